#!/bin/sh
# The page is asked for from outside the container, so it needs a token: made at the first start,
# kept with the state. Read it with: docker exec CONTAINER cat /var/lib/watcher/page-token
set -eu
[ $# -gt 0 ] || set -- run
token=${WATCHER_STATE:-/var/lib/watcher}/page-token
if [ "$1" = run ] && [ ! -s "$token" ]; then
    umask 077
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$token.new"
    mv "$token.new" "$token"
    echo "{\"event\": \"page.token\", \"note\": \"made; it stands in $token\"}"
fi
exec watcher "$@"

# Two images from one file:
#   docker build -t watcher .                   with the converters: the embedded scheduler works
#   docker build -t watcher:lean --target lean .   the daemon for a Pixyz Scheduler elsewhere
# docs/operations.md tells how to run them; compose.yaml does it.

# ---- builds environments; nothing of the build tools reaches an image
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY watcher watcher

FROM build AS build-lean
RUN python -m venv /opt/watcher \
    && /opt/watcher/bin/pip install ".[postgres]" \
    && /opt/watcher/bin/python -m compileall -q /opt/watcher/lib

FROM build AS build-full
ARG EXTRAS=embedded,postgres,celery
RUN python -m venv /opt/watcher \
    && /opt/watcher/bin/pip install ".[${EXTRAS}]" \
    && /opt/watcher/bin/python -m compileall -q /opt/watcher/lib

# ---- what both images share: not root, nothing to write but state, input and output folders
FROM python:3.11.14-slim-bookworm AS base
LABEL org.opencontainers.image.title="watcher" \
      org.opencontainers.image.description="Converts 3D and CAD files dropped into folders" \
      org.opencontainers.image.licenses="Apache-2.0"
# tini: signals reach the daemon, and orphaned workers are reaped. libatomic1: the one system
# library of Mitsuba; without it thumbnails are drawn plainly. Their versions are Debian's, which
# keeps only the newest: a pin would break the build with each security update
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libatomic1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 watcher \
    && useradd --system --uid 10001 --gid watcher --create-home --home-dir /var/lib/watcher watcher \
    && mkdir -p /srv/drop /srv/ready /srv/failed /srv/archive \
    && chown watcher:watcher /srv/drop /srv/ready /srv/failed /srv/archive
COPY config/container/watcher.yaml /etc/watcher/watcher.yaml
COPY --chmod=755 config/container/entrypoint.sh /usr/local/bin/entrypoint
ENV PATH=/opt/watcher/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/watcher \
    WATCHER_CONFIG=/etc/watcher/watcher.yaml \
    WATCHER_STATE=/var/lib/watcher
WORKDIR /var/lib/watcher
VOLUME ["/var/lib/watcher"]
EXPOSE 9410
# the daemon's own /healthz, with the token that the configuration names
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "watcher.cli.probe"]
# SIGTERM drains; give it the time: docker stop -t 90
STOPSIGNAL SIGTERM
USER 10001:10001
ENTRYPOINT ["tini", "--", "entrypoint"]
CMD ["run"]

FROM base AS lean
COPY --from=build-lean /opt/watcher /opt/watcher

FROM base AS full
COPY --from=build-full /opt/watcher /opt/watcher

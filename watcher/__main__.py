"""``python -m watcher``: the same as the ``watcher`` command."""

from watcher.cli.app import main

if __name__ == "__main__":
    main()

"""watcher: a hands-off watch-folder service for 3D and CAD files.

The map (arrows of import point down; ``tests/unit/test_layers.py`` holds the code to it)::

    cli/        talks: the command line, tables, progress, exit codes
    daemon/     joins: the engine (the only caller of effects), the service, logs
    config      reads watcher.yaml into frozen settings
    adapters/   acts: one outside thing each (watches, files, ledger, HTTP scheduler)
    embedded/   the embedded scheduler, a neighbour seen only through the scheduler port
    core/       decides: pure functions over plain data
    content     the identity of bytes
    cores       the one core that the daemon's threads share
    errors      the exception tree
"""

__version__ = "0.1.0"

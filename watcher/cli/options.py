"""Options and look-ups that several commands share.

Imports click, ``config`` and ``adapters``. Invariant: a path given by a person is found in the
configuration the same way by every command.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from watcher.config.load import Loaded, find, load
from watcher.core.ports import Ledger
from watcher.core.settings import Folder, Settings
from watcher.errors import LedgerNew, LedgerUnusable, UsageError

F = TypeVar("F", bound=Callable[..., Any])
# seconds to wait for SQLite's lock, which gives nobody a turn: a daemon that commits all the time
# on a slow disk leaves it for moments only
PATIENT = 60.0


def config_option(command: F) -> F:
    """``-c FILE``."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        help="The configuration; else $WATCHER_CONFIG, ./watcher.yaml, /etc/watcher/watcher.yaml.",
    )(command)


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(command)


def loaded(config: Path | None, *, usable: bool = True) -> Loaded:
    """The configuration that a command is about; ``usable``: its folders can be used now."""
    return load(find(config, os.environ), os.environ, usable=usable)


def ledger_of(settings: Settings, *, write: bool = False) -> Ledger | None:
    """The ledger beside a daemon, or None when nothing was ever recorded: also while a daemon's
    very first start makes it."""
    from watcher.adapters.ledger import SQLITE, open_ledger  # noqa: PLC0415  (--help stays quick)

    try:
        return open_ledger(settings.state, read_only=not write, url=settings.ledger, busy=PATIENT)
    except LedgerUnusable as error:
        own = settings.ledger == SQLITE
        if own and not any(settings.state.glob("ledger*")):
            return None
        if own and isinstance(error, LedgerNew) and daemon_runs(settings.state):
            return None
        raise


def daemon_runs(state: Path) -> bool:
    """Whether a daemon holds this state folder."""
    try:
        with (state / "lock").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holders_of(ledger: Ledger | None) -> dict[int, str] | None:
    """The names of the watchers that share a ledger by their seats; None for one of one's own."""
    if ledger is None or ledger.seats is None:
        return None
    return {one.seat: one.name for one in ledger.seats.watchers()}


def place_of(settings: Settings, path: str) -> tuple[Folder, str]:
    """The folder and the path below its input (or failed or archive folder) that is meant.

    A path may be absolute, relative to the working directory, or relative to an input folder.

    Raises:
        UsageError: it is in none of the folders.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (links stay as they were typed)
    for folder in settings.folders:
        for root in (folder.input, folder.failed, folder.done):
            if isinstance(root, Path) and absolute.is_relative_to(root):
                return folder, str(absolute.relative_to(root))
    if not Path(path).is_absolute() and settings.folders:
        for folder in settings.folders:
            if (folder.input / path).exists() or len(settings.folders) == 1:
                return folder, path
        return settings.folders[0], path
    names = ", ".join(str(folder.input) for folder in settings.folders)
    raise UsageError("not in a watched folder", where=path, fix=f"the inputs are {names}")

"""The broker of ``serve --executor celery`` and ``worker``: where its address comes from.

Imports click, ``errors`` and, when it is asked, ``daemon.logs`` and the embedded farm. Invariant:
the password of an address is in no message and no log line.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click
from structlog.typing import FilteringBoundLogger

from watcher.core.settings import Secret
from watcher.errors import UsageError


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--broker`` and ``--broker-file`` to a command."""
    for added in (
        click.option(
            "--broker-file",
            type=click.Path(path_type=Path),
            help="The file that holds the address of the broker [$WATCHER_BROKER_FILE].",
        ),
        click.option(
            "--broker",
            help="redis://[user:password@]host:port/number, or rediss:// [$WATCHER_BROKER]; "
            "others see a command line.",
        ),
    ):
        command = added(command)
    return command


def address(given: str | None, file: Path | None, environ: Mapping[str, str]) -> str:
    """The address of the broker.

    Raises:
        UsageError: none is given, it is none, or Celery is not installed.
    """
    if importlib.util.find_spec("celery") is None or importlib.util.find_spec("redis") is None:
        raise UsageError(
            "Celery is not installed", fix="pip install 'pixyz-watcher[celery]' beside watcher"
        )
    from watcher.embedded.farm.tasks import checked  # noqa: PLC0415  (needs the extra)

    if given is None and file is None:
        given = environ.get("WATCHER_BROKER")
        named = environ.get("WATCHER_BROKER_FILE")
        file = Path(named) if named else None
    if not given and file is not None:
        given = _read(file)
    if not given:
        raise UsageError("no broker is given", fix="--broker redis://host:6379/0")
    return checked(given)


def _read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise UsageError(f"the broker cannot be read ({reason})", where=str(file)) from error


def secrets(url: str) -> list[Secret]:
    """What must not be logged: the password as it is written, and as it is meant."""
    password = urlsplit(url).password
    return [Secret(text) for text in {password, unquote(password)}] if password else []


def logger(url: str, *, verbose: bool) -> FilteringBoundLogger:
    """The log of a worker."""
    from watcher.daemon import logs  # noqa: PLC0415  (--help stays quick)

    return logs.configure(level="debug" if verbose else "info", secrets=secrets(url))

"""Where the scheduler is: the options that stand before or behind a command, and the environment.

Imports click and errors only, so that ``--help`` stays quick. Invariants: what stands behind the
command wins; a token never enters a message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from watcher.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_URL = "http://127.0.0.1:8001"
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a person said of the scheduler. ``words`` is how to say it again in a command line."""

    url: str
    token: str = field(default="", repr=False)
    ca: Path | None = None
    insecure: bool = False
    words: str = ""


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Remember a given option for the whole command line."""
    kept = ctx.find_root().ensure_object(dict)
    if value and param.name:
        kept[param.name] = value


def _option(*names: str, **more: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep, **more)


_VERBOSE = _option("-v", "--verbose", is_flag=True, help="Show tracebacks and debug logs.")
_ALL = (
    _option(
        "-u",
        "--url",
        metavar="URL",
        help=f"The scheduler, or `embedded` [$PIXYZ_SCHEDULER_URL, else {DEFAULT_URL}].",
    ),
    _option(
        "-t",
        "--token",
        metavar="TOKEN",
        help="Its token; other users see it in the process list, so better "
        "$PIXYZ_SCHEDULER_TOKEN or $PIXYZ_SCHEDULER_TOKEN_FILE.",
    ),
    _option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Certificates to trust, a PEM file.",
    ),
    _option("--insecure", is_flag=True, help="Accept any certificate."),
    _VERBOSE,
)


def connection_options(command: F) -> F:
    """``-u -t --ca --insecure -v``."""
    for option in reversed(_ALL):
        command = option(command)
    return command


def given(name: str) -> Any:
    """What was given for a kept option (``json``, ``verbose`` ...), or None."""
    return click.get_current_context().find_root().ensure_object(dict).get(name)


def chosen(environ: Mapping[str, str] = os.environ) -> Connection:
    """The scheduler that the command line and the environment name.

    Raises:
        UsageError: the address, the token or the token's file cannot be used.
    """
    said = given("url")
    url = said or environ.get("PIXYZ_SCHEDULER_URL") or DEFAULT_URL
    words = f"-u {said} " if said else ""
    if url == EMBEDDED:
        return Connection(url=url, words=words)
    return Connection(
        url=_address(url),
        token=_sendable(given("token") or _token(environ)),
        ca=given("ca"),
        insecure=bool(given("insecure")),
        words=words,
    )


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise UsageError("the scheduler's address cannot be read", where="--url") from None
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "an address with a name or a password in it is not used",
            where="--url",
            fix="give a token: -t, $PIXYZ_SCHEDULER_TOKEN",
        )
    if not usable or parts.query or parts.fragment:
        raise UsageError(
            "not an address of a scheduler",
            where=url,
            fix=f"write it as {DEFAULT_URL}, https://host or embedded",
        )
    return url.rstrip("/")


def _token(environ: Mapping[str, str]) -> str:
    if token := environ.get("PIXYZ_SCHEDULER_TOKEN"):
        return token
    path = environ.get("PIXYZ_SCHEDULER_TOKEN_FILE")
    if not path:
        return ""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise UsageError(f"the token's file cannot be read: {reason}", where=path) from error


def _sendable(token: str) -> str:
    if not all("!" <= letter <= "~" for letter in token):
        raise UsageError("the token holds characters that no header can carry", where="--token")
    return token

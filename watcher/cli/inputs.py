"""What a person gives a job: parameters, ids, files and their parts. All checked before it is sent.

Imports click, ``core.assets``, the files adapter's look-up, ports and errors. Invariant: what is
wrong here is a ``UsageError``, and nothing was sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from watcher.core.source import Source
from watcher.errors import FileChanged, OutsideRoot, UsageError

F = TypeVar("F", bound=Callable[..., Any])
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _uuid(_: click.Context, __: click.Parameter, value: str) -> str:
    if not _UUID.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is not the id of a job (8-4-4-4-12 hexadecimal digits)"
        )
    return value


def _object(_: click.Context, __: click.Parameter, value: str) -> dict[str, Any]:
    """A JSON object, or ``@FILE`` that holds one."""
    try:
        text = Path(value[1:]).read_text(encoding="utf-8-sig") if value[:1] == "@" else value
        found = json.loads(text, parse_constant=_no_number)
    except OSError as error:
        raise click.BadParameter(f"{value[1:]}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        start = text.strip()[:40]
        raise click.BadParameter(f'a JSON object is needed, like {{"width": 512}}; not {start}')
    return found


def _seconds(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Whole where it was given whole, as the server shows it."""
    return int(value) if value is not None and value.is_integer() else value


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


READABLE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def job_option(command: F) -> F:
    """``-j UUID``."""
    return click.option(
        "-j", "--jobid", "uuid", callback=_uuid, required=True, metavar="UUID", help="The job's id."
    )(command)


def input_option(*, required: bool) -> Callable[[F], F]:
    """``-i FILE``."""
    return click.option(
        "-i", "--input", "input_", type=READABLE, required=required, help="The input file."
    )


def params_option(command: F) -> F:
    """``-p JSON`` or ``-p @FILE``."""
    return click.option(
        "-p",
        "--params",
        callback=_object,
        default="{}",
        metavar="JSON",
        help="Parameters: a JSON object, or @FILE that holds one.",
    )(command)


def run_options(command: F) -> F:
    """``-q -l -a``: how the job is run; what is not given is not sent."""
    queue = click.option("-q", "--queue", default="", help="The queue to run in.")
    limit = click.option(
        "-l",
        "--limit",
        type=click.FloatRange(min=0, min_open=True),
        callback=_seconds,
        metavar="SECONDS",
        help="How long the job may run.",
    )
    alias = click.option("-a", "--alias", default="", metavar="NAME", help="A name for the job.")
    return queue(limit(alias(command)))


def config_of(queue: str, limit: float | None, entrypoint: str = "") -> dict[str, Any]:
    """The run options that were given; the server has its own defaults for the others."""
    found = {"entrypoint": entrypoint or None, "queue": queue or None, "time_limit": limit}
    return {key: value for key, value in found.items() if value is not None}


def source(path: Path, name: str = "") -> Source:
    """A file to send, proved readable."""
    if not path.is_file():
        raise UsageError("not a regular file", where=str(path))
    try:
        with path.open("rb") as stream:
            length = stream.seek(0, 2)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise UsageError(reason, where=str(path)) from error
    return Source(name or path.name, length, partial(_opened, path))


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise FileChanged(error.strerror or "cannot be read", where=str(path)) from error


def with_parts(path: Path) -> tuple[tuple[Source, ...], tuple[str, ...]]:
    """A model and the files beside it that it names (materials, textures, buffers), and warnings.

    Names that lead out of the model's folder are told, not followed.
    """
    from watcher.core import assets  # noqa: PLC0415  (only for models)

    main = source(path)
    if not assets.has_references(path.name):
        return (main,), ()
    folder = path.parent

    def read(name: str) -> assets.Findings:
        with (folder / name).open("rb") as stream:
            return assets.references(name, stream)

    try:
        closed = assets.closure(path.name, read, partial(_find, folder))
        parts = tuple(source(folder / at, name) for name, at in sorted(closed.found.items()))
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise UsageError(reason, where=str(error.filename or path)) from error
    missing = tuple(f"{name!r} is missing beside it" for name in closed.missing)
    return (main, *parts), tuple(f"{path}: {told}" for told in (*closed.warnings, *missing))


def _find(folder: Path, directory: str, name: str) -> str | None:
    from watcher.adapters.files.look import find  # noqa: PLC0415  (only for models)

    try:
        return find(folder, directory, name)
    except OutsideRoot:
        return None

"""A program of this machine as a job: the ``command:`` of a rule.

Runs in a worker; imports the standard library, ``core.fields`` and ``script``. Invariant: no shell,
one pass over the placeholders, and the program lives in the worker's process group, under its
limits, so that it ends with it.
"""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from watcher.core import fields
from watcher.core.model import printable
from watcher.embedded.script import JobFailure, ProcessContext
from watcher.errors import WatcherError

MODULE = __name__
TAKES_ARCHIVES = True  # an archive is handed on as it is
_TAIL = 4000  # bytes of what it printed that a reason may quote
_LINES = 3
_LONGEST = 600  # characters


class ProgramFailed(WatcherError):
    """The program says that it failed; another try may succeed (a licence, a busy disk)."""


def main(pc: ProcessContext, params: dict[str, Any]) -> None:
    """Run ``params["command"]`` with its placeholders filled in; its working folder is where its
    outputs go.

    Raises:
        JobFailure: there is no such program, or it made nothing.
        ProgramFailed: it ended with another code than 0.
    """
    outputs = pc.get_output_dir()
    own = {"outputs": outputs, "input_dir": str(pc["input_dir"])}
    source = pc.get_input_file()
    own |= {"input": source} if source is not None else {}
    values = {**params["values"], **own}
    command = [fields.fill(word, values, params["at"]) for word in params["command"]]
    pc.progress_set_total(1)
    pc.progress_next(Path(command[0]).name)
    _judge(command[0], _run(command, outputs))
    if not any(path.is_file() for path in Path(outputs).rglob("*")):
        raise JobFailure(f"{_called(command[0])} made no file in its outputs folder ({{outputs}})")


def _run(command: list[str], outputs: str) -> int:
    try:
        # the configuration's own words, without a shell
        done = subprocess.run(command, cwd=outputs, stdin=subprocess.DEVNULL, check=False)  # noqa: S603
    except FileNotFoundError:
        reason = f"there is no program {command[0]!r} on this machine"
        raise JobFailure(reason, fix="install it, or name it with its full path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        raise JobFailure(f"the program {command[0]!r} cannot be started ({reason})") from error
    return done.returncode


def _judge(program: str, code: int) -> None:
    if code == 0:
        return
    if code < 0:
        ended = f"was ended by signal {-code}"
        with suppress(ValueError):
            ended += f" ({(signal.strsignal(-code) or '').lower()})"
    else:
        ended = f"ended with exit code {code}"
    said = _tail()
    raise ProgramFailed(f"{_called(program)} {ended}" + (f": {said}" if said else ""))


def _called(program: str) -> str:
    return Path(program).name


def _tail() -> str:
    """The last lines that were printed, for the reason."""
    try:
        with Path("/proc/self/fd/2").open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - _TAIL))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(" | ".join(lines[-_LINES:])[-_LONGEST:])

"""Progress bars on standard error: upload, the job's steps, downloads. Silent off a terminal.

Imports click, the HTTP client's types, and rich when there is somebody to look. Invariant: nothing
of it ever reaches standard output.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import click

from watcher.adapters.http import Details, State
from watcher.core.printing import printable

STEP = 60  # characters of a step's text
ENDS = {State.SUCCESS: "done", State.FAILURE: "failed", State.REVOKED: "revoked"}


class Bars:
    """``with Bars() as bars``: each method shows how far something has come."""

    def __init__(self) -> None:
        self._progress: Any = _drawn() if sys.stderr.isatty() else None
        self._tasks: dict[str, Any] = {}

    def upload(self, done: int, total: int) -> None:
        """Bytes of the form that were sent."""
        self._bytes("upload", done, total)

    def download(self, name: str) -> _Download:
        """A listener for the bytes of one output."""
        return _Download(self, name)

    def job(self, details: Details) -> None:
        """The state, percent and current step of a job."""
        job = details.job
        running = [step.info for step in details.steps if step.duration is None]
        step = printable(running[-1] if running else "")[:STEP]
        if job.state.ended:
            done = 100 if job.state is State.SUCCESS else (job.progress or 0)
            word = ENDS[job.state]
        else:
            done = job.progress or 0
            word = f"{done:>3} %  {job.state.lower()}  {step}".rstrip()
        self._show("job", done, 100, word, now=True)

    def note(self, text: str) -> None:
        """A line for people, beside the bars."""
        self.aside(lambda: click.echo(f"watcher: {printable(text)}", err=True))

    def aside(self, say: Callable[[], object]) -> None:
        """Print something while the bars are away."""
        if self._progress is not None:
            self._progress.stop()
        say()
        if self._progress is not None:
            self._progress.start()

    def _bytes(self, name: str, done: int, total: int) -> None:
        left = f"{size(done)} of {size(total)}" if total else size(done)
        self._show(name, done, total or None, left)

    def _show(
        self, name: str, done: int, total: int | None, text: str, *, now: bool = False
    ) -> None:
        """``now``: drawn at once, whether or not the thread that draws ten times a second gets its
        turn before the next word."""
        if self._progress is None:
            return
        label = printable(name)
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(label, total=total, text=text)
        known = self._tasks[name]
        self._progress.update(known, completed=done, total=total, text=text, refresh=now)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()


class _Download:
    def __init__(self, bars: Bars, name: str) -> None:
        self._bars, self._name, self._last = bars, name, 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._last > 0.05:  # noqa: PLR2004 - as often as it is drawn
            self._last = now
            self._bars._bytes(self._name, done, total)  # noqa: SLF001 - of this module


def _drawn() -> Any:
    from rich.console import Console  # noqa: PLC0415  (only where somebody looks)
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(stderr=True),
        redirect_stdout=False,  # else what is printed meanwhile would go to standard error
        redirect_stderr=False,
    )


def size(count: float) -> str:
    """Bytes in the unit that reads best: ``42.2 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - IEC units
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"

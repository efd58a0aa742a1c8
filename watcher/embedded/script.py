"""What a process script meets: the ``pc`` it is given, and the error it may fail with.

Imports the standard library and ``watcher.errors``. Invariant: ``main(pc, params)`` written for the
real scheduler runs unchanged where it needs no SDK; ``warn`` is our one addition.
"""

from __future__ import annotations

from typing import Any, Protocol

from watcher.errors import WatcherError


class JobFailure(WatcherError):
    """The job cannot succeed, and the text tells an operator why; shown without a traceback."""


class ProcessContext(Protocol):
    """The ``pc`` of ``main(pc, params)``; also a mapping of the job's own settings."""

    def get_input_file(self) -> str | None:
        """The path of the input file (the main file of an asset), or None when none was sent."""
        ...

    def get_output_dir(self, name: str = "") -> str:
        """The output folder, or a path in it: a file to be written when the name has an extension,
        else a folder, made when missing."""
        ...

    def progress_set_total(self, total: int) -> None:
        """How many steps there will be."""
        ...

    def progress_next(self, text: str = "") -> None:
        """The next step begins; the one before it is done."""
        ...

    def warn(self, text: str) -> None:
        """Something an operator should know of a job that succeeds all the same."""
        ...

    def __getitem__(self, key: str) -> Any:
        """One of the job's settings (``input_file``, ``params``, ``time_limit`` ...)."""
        ...

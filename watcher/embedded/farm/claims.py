"""Who runs an attempt, and how it ended: small files in the folder of the job.

Imports the standard library, ``errors`` and the package's ``folders`` and ``store``. Invariant: an
attempt has one claim, ever, made by an exclusive create; so a task that is delivered twice, or
after its job was cancelled, runs nothing.

::

    jobs/farm                    the name of this farm: workers of another folder take nothing here
    jobs/<id>/claim.<attempt>    who runs it; made by ``serve`` itself to cancel a waiting job
    jobs/<id>/verdict.<attempt>  how it ended; read by ``serve``, which alone moves the job on
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from watcher.embedded.folders import Folders
from watcher.embedded.store import Outcome, Step
from watcher.errors import Unreachable

ENDED, AGAIN, LEFT = "ended", "again", "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How an attempt ended: ``ended`` with an outcome; ``again``, a crash that may be run once
    more; ``left``, the worker stopped. ``began`` in UTC seconds; ``kept``: it has outputs."""

    kind: str
    began: float
    outcome: Outcome | None = None
    error: str = ""
    kept: bool = False


class Claims:
    """The claims and verdicts of all jobs."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def claim(self, job_id: str, attempt: int, who: str) -> bool:
        """Claim an attempt; False when somebody has it, or the job is gone.

        Raises:
            OSError: the shared folder cannot be used.
        """
        path = self._folders.job(job_id) / f"claim.{attempt}"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        except (FileExistsError, FileNotFoundError):
            return False
        with os.fdopen(descriptor, "w") as file:
            file.write(who)
        return True

    def claimed(self, job_id: str, attempt: int) -> bool:
        """Whether somebody has it."""
        return (self._folders.job(job_id) / f"claim.{attempt}").exists()

    def judge(self, job_id: str, attempt: int, verdict: Verdict) -> None:
        """Keep a verdict, durably and whole.

        Raises:
            OSError: the shared folder cannot be used, or the job is gone.
        """
        final = self._folders.job(job_id) / f"verdict.{attempt}"
        part = final.with_name(final.name + ".part")
        with part.open("w") as file:
            json.dump(asdict(verdict), file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(final)

    def verdict(self, job_id: str, attempt: int) -> Verdict | None:
        """How an attempt ended, or None when nothing is known yet."""
        try:
            text = (self._folders.job(job_id) / f"verdict.{attempt}").read_text()
            return _read(json.loads(text))
        except (OSError, ValueError, TypeError, LookupError):  # absent, or not of our making
            return None


def _read(left: dict[str, Any]) -> Verdict:
    if left["outcome"] is not None:
        told = left["outcome"]
        told["steps"] = tuple(Step(**step) for step in told["steps"])
        left["outcome"] = Outcome(**told | {"warnings": tuple(told["warnings"])})
    return Verdict(**left)


def named(root: Path) -> str:
    """The name of the farm of a jobs folder; made on first use, by ``serve``.

    Raises:
        Unreachable: the folder cannot be written.
    """
    known = name_of(root)
    if known:
        return known
    name = secrets.token_hex(4)
    part = root / ".farm"
    try:
        part.write_text(name)
        part.rename(root / "farm")
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(f"the jobs folder cannot be used ({reason})", where=str(root)) from error
    return name


def name_of(root: Path) -> str:
    """The name of the farm, or nothing when ``serve`` has not begun there yet."""
    try:
        return (root / "farm").read_text().strip()
    except OSError:
        return ""

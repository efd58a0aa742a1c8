"""Which rule takes a file, and why not: ignored names, conditions, the first that matches.

Imports ``globs``, ``model``, ``settings``. Invariant: a pure function of settings, path and size;
every refusal has its reason in words, the ones that ``plan`` prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from watcher.core import globs
from watcher.core.model import nfc
from watcher.core.settings import Folder, Match, Rule

# Names that are never a finished drop. Each is tested on every component of a path, so that a
# folder of that name hides all that lies in it.
IGNORED: tuple[str, ...] = (
    ".*",  # dot files, rsync's .name.XXXXXX, ._* and .DS_Store of macOS
    "*.{part,partial,filepart,crdownload,opdownload,download,aria2,!qb,!ut}",  # partial downloads
    "*.{tmp,temp,swp,swx}",
    "*~",
    "~$*",  # owner files of office programs
    "thumbs.db",
    "desktop.ini",
    "@eadir",  # Synology
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "*.error.txt",  # our own, beside failed files
)


@dataclass(frozen=True, slots=True)
class NoRule:
    """No rule takes the file: for each rule its name and why not."""

    reasons: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        """One line for people."""
        if not self.reasons:
            return "matches no rule: the folder has none"
        told = "; ".join(f"{name}: {reason}" for name, reason in self.reasons)
        return f"matches no rule ({told})"


def choose(folder: Folder, path: str, size: int) -> Rule | NoRule:
    """The first rule that takes a file of ``size`` bytes at ``path`` below the input."""
    reasons: list[tuple[str, str]] = []
    for rule in folder.rules:
        reason = refusal(rule.match, path, size)
        if reason is None:
            return rule
        reasons.append((rule.name, reason))
    return NoRule(tuple(reasons))


def refusal(match: Match, path: str, size: int) -> str | None:
    """Why a file does not fulfil the conditions, in words; None when it does."""
    return next(_refusals(match, path, size), None)


def _refusals(match: Match, path: str, size: int) -> Iterator[str]:
    if match.globs and not any(globs.matches(pattern, path) for pattern in match.globs):
        spoken = "path" if any("/" in pattern for pattern in match.globs) else "name"
        yield f"{spoken} does not match {' or '.join(repr(p) for p in match.globs)}"
    if match.regex and not _expression(match.regex).search(nfc(path)):
        yield f"path does not match regex {match.regex!r}"
    if match.min_size is not None and size < match.min_size:
        yield f"smaller than min_size ({size} < {match.min_size} bytes)"
    if match.max_size is not None and size > match.max_size:
        yield f"larger than max_size ({size} > {match.max_size} bytes)"
    if match.exclude is not None and refusal(match.exclude, path, size) is None:
        yield "excluded by not"


@lru_cache(maxsize=1024)
def _expression(regex: str) -> re.Pattern[str]:
    return re.compile(nfc(regex), re.IGNORECASE)


def ignored(folder: Folder, path: str) -> str | None:
    """Why a path is never looked at, in words; None when it is.

    A path below an ignored folder is ignored, so the reason may name a folder above the file.
    """
    if not folder.recursive and "/" in path:
        return "in a sub-folder, and recursive is false"
    names = path.split("/")
    for name in names:
        pattern = _junk(name)
        if pattern:
            return f"ignored by built-in pattern {pattern!r}"
    for depth in range(1, len(names) + 1):
        for pattern in folder.ignore:
            if globs.matches(pattern, "/".join(names[:depth])):
                return f"ignored by pattern {pattern!r}"
    return None


@lru_cache(maxsize=4096)  # the folders of a scan come again with each of their files
def _junk(name: str) -> str:
    return next((pattern for pattern in IGNORED if globs.matches(pattern, name)), "")


def takes_all(match: Match) -> bool:
    """Whether no file can fail these conditions, so that a rule after them gets nothing."""
    limited = match.regex or match.min_size or match.max_size is not None or match.exclude
    return not limited and (not match.globs or bool({"*", "**", "**/*"} & set(match.globs)))

"""Which rule takes a file, and why not: ignored names, conditions, the first that matches.

Imports ``globs``, ``magic``, ``model``, ``settings``. Invariant: a pure function of settings and
what was seen of a file; every refusal has its reason in words, the ones that ``plan`` prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from watcher.core import globs, magic
from watcher.core.model import nfc
from watcher.core.settings import Folder, Match, Rule

STATUS_FILE = "watcher-status.txt"  # ours, where a folder wants it

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
    STATUS_FILE,
)


_NAMED = re.compile(r"(?<!\\)\(\?<(?=[A-Za-z_])")


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


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a file. ``age`` in seconds and ``head``, its first bytes, are None when
    nobody looked: a condition on them then counts as one that may hold."""

    size: int
    age: float | None = None
    head: bytes | None = None


def choose(folder: Folder, path: str, seen: Seen | int) -> Rule | NoRule:
    """The first rule that takes the file at ``path`` below the input; a bare number is its size."""
    return first(folder.rules, path, seen)


def first(rules: Iterable[Rule], path: str, seen: Seen | int) -> Rule | NoRule:
    """``choose`` among these rules."""
    reasons: list[tuple[str, str]] = []
    for rule in rules:
        reason = refusal(rule.match, path, seen)
        if reason is None:
            return rule
        reasons.append((rule.name, reason))
    return NoRule(tuple(reasons))


def refusal(match: Match, path: str, seen: Seen | int) -> str | None:
    """Why a file does not fulfil the conditions, in words; None when it does."""
    known = Seen(seen) if isinstance(seen, int) else seen
    return next(_refusals(match, path, known), None)


def groups(match: Match, path: str) -> dict[str, str]:
    """What the named groups of the regex found in a path; those that took no part are empty."""
    found = expression(match.regex).search(nfc(path)) if match.regex else None
    return {name: text or "" for name, text in found.groupdict().items()} if found else {}


def needs_head(folder: Folder) -> bool:
    """Whether any rule of a folder asks for the content."""
    return any(_asks(rule.match, "content") for rule in folder.rules)


def _asks(match: Match, *conditions: str) -> bool:
    asked = any(getattr(match, name) not in (None, ()) for name in conditions)
    return asked or (match.exclude is not None and _asks(match.exclude, *conditions))


def _refusals(match: Match, path: str, seen: Seen) -> Iterator[str]:
    yield from _names(match, path)
    yield from _sizes(match, seen.size)
    if seen.age is not None:
        yield from _ages(match, seen.age)
    if match.content and seen.head is not None:
        head = seen.head
        if not any(magic.begins(head, wanted) for wanted in match.content):
            yield f"content does not begin as {' or '.join(match.content)}"
    exclude = match.exclude if match.exclude and not _unsure(match.exclude, seen) else None
    if exclude is not None and refusal(exclude, path, seen) is None:
        yield "excluded by not"


def _unsure(match: Match, seen: Seen) -> bool:
    """Whether a condition asks for what nobody looked at."""
    unseen = (seen.age is None and _asks(match, "min_age", "max_age")) or (
        seen.head is None and _asks(match, "content")
    )
    return bool(unseen)


def _names(match: Match, path: str) -> Iterator[str]:
    if match.globs and not any(globs.matches(pattern, path) for pattern in match.globs):
        spoken = "path" if any("/" in pattern for pattern in match.globs) else "name"
        yield f"{spoken} does not match {' or '.join(repr(p) for p in match.globs)}"
    if match.paths and not any(globs.matches(pattern, path, whole=True) for pattern in match.paths):
        yield f"path does not match {' or '.join(repr(p) for p in match.paths)}"
    if match.regex and not expression(match.regex).search(nfc(path)):
        yield f"path does not match regex {match.regex!r}"


def _sizes(match: Match, size: int) -> Iterator[str]:
    if match.min_size is not None and size < match.min_size:
        yield f"smaller than min_size ({size} < {match.min_size} bytes)"
    if match.max_size is not None and size > match.max_size:
        yield f"larger than max_size ({size} > {match.max_size} bytes)"


def _ages(match: Match, age: float) -> Iterator[str]:
    if match.min_age is not None and age < match.min_age:
        yield f"younger than min_age ({age:.0f} < {match.min_age:g} s)"
    if match.max_age is not None and age > match.max_age:
        yield f"older than max_age ({age:.0f} > {match.max_age:g} s)"


@lru_cache(maxsize=1024)
def expression(regex: str) -> re.Pattern[str]:
    """A regex as it is used: caseless, in NFC, ``(?<name>...)`` as good as ``(?P<name>...)``.

    Raises:
        re.error: it is none.
    """
    return re.compile(_NAMED.sub("(?P<", nfc(regex)), re.IGNORECASE)


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


def _junk(name: str) -> str:
    """The built-in pattern that a name matches; all of them are tried at once, since this is asked
    of every component of every path."""
    if not globs.any_matches(IGNORED, name):
        return ""
    return next(pattern for pattern in IGNORED if globs.matches(pattern, name))


def takes_all(match: Match) -> bool:
    """Whether no file can fail these conditions, so that a rule after them gets nothing."""
    limited = bool(match.regex or match.min_size or match.max_size is not None or match.exclude)
    limited = limited or bool(match.paths) or _asks(match, "min_age", "max_age", "content")
    return not limited and (not match.globs or bool({"*", "**", "**/*"} & set(match.globs)))

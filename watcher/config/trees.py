"""The folders against one another: no tree that is read may overlap one that is written.

Imports the table and ``checks``. Invariant: paths are compared after resolving links, also through
folders that do not exist yet, and by device and inode where they do (bind mounts, odd cases).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from watcher.config.checks import Checking, folder_name
from watcher.config.model import FolderKeys
from watcher.config.positions import Path as Steps


@dataclass(frozen=True, slots=True)
class Root:
    """One configured tree. ``kind`` is its key, ``identities`` those of it and all above it."""

    kind: str
    called: str
    steps: Steps
    real: Path
    identities: tuple[tuple[int, int], ...]

    def within(self, other: Root) -> bool:
        """Whether this tree is the other or lies inside it."""
        if self.real == other.real or other.real in self.real.parents:
            return True
        return _there(other.real) and other.identities[0] in self.identities


def check_trees(check: Checking, *, usable: bool = True) -> None:
    """Overlaps and, if they are to be ``usable``, roots that are no folders or cannot be made."""
    roots = list(_roots(check))
    for one, other in combinations(roots, 2):
        if _apart(one, other) and (one.within(other) or other.within(one)):
            check.say(_later(check, one, other), _overlap(one, other))
    for root in roots if usable else ():
        _usable(check, root)


def failed_of(folder: FolderKeys, check: Checking) -> Path:
    """The failed folder: as configured, or ``<input>/../failed/<name>``."""
    if folder.failed is not None:
        return check.located(folder.failed)
    return check.located(folder.input).parent / "failed" / folder_name(folder)


def _roots(check: Checking) -> Iterator[Root]:
    yield _root("state", "state", ("state",), check.located(check.keys.state))
    for number, folder in enumerate(check.keys.folders):
        steps: Steps = ("folders", number)
        name, lost = folder_name(folder), check.tree.follow(steps)[-1].lost
        if "input" in lost or "output" in lost:
            continue  # told already
        yield _root("input", f"{name}: input", (*steps, "input"), check.located(folder.input))
        yield _root("output", f"{name}: output", (*steps, "output"), check.located(folder.output))
        if folder.done not in {"keep", "delete"}:
            yield _root("done", f"{name}: done", (*steps, "done"), check.located(folder.done))
        yield _root("failed", f"{name}: failed", (*steps, "failed"), failed_of(folder, check))


def _root(kind: str, called: str, steps: Steps, path: Path) -> Root:
    real = Path(os.path.realpath(path))
    found = tuple(_identity(one) for one in (real, *real.parents) if os.path.lexists(one))
    return Root(kind, called, steps, real, found)


def _there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  (Path.exists raises where a folder above is closed)


def _identity(path: Path) -> tuple[int, int]:
    facts = os.lstat(path)
    return facts.st_dev, facts.st_ino


def _apart(one: Root, other: Root) -> bool:
    """Whether two trees must not overlap: an input and any other, the state and an output."""
    kinds = {one.kind, other.kind}
    return "input" in kinds or kinds == {"state", "output"}


def _later(check: Checking, one: Root, other: Root) -> Steps:
    return max((one.steps, other.steps), key=check.tree.at)


def _overlap(one: Root, other: Root) -> str:
    if one.real == other.real:
        return f"{one.called} and {other.called} are the same folder ({one.real})"
    inner, outer = (one, other) if one.within(other) else (other, one)
    return f"{inner.called} ({inner.real}) lies inside {outer.called} ({outer.real})"


def _usable(check: Checking, root: Root) -> None:
    above = next(one for one in (root.real, *root.real.parents) if _there(one))
    if not above.is_dir():
        check.say(root.steps, f"{root.called}: {above} is not a folder")
    elif root.kind == "input" and above != root.real:
        check.warn(root.steps, f"{root.called}: {root.real} does not exist yet")
    elif root.kind == "failed" and not os.access(above, os.W_OK | os.X_OK):
        check.say(root.steps, f"{root.called}: {root.real} cannot be made or written; set `failed`")

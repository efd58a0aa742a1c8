"""In-memory ``Files``, and a wrapper that fails or dies at a chosen effect.

Imports core, errors and the content digest. Invariant: ``MemoryFiles`` passes the conformance
suite of the port as ``LocalFiles`` does; it knows no links and no leases but those it is told of.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from watcher import content as contents
from watcher.core.model import Facts, Fetched, Fingerprint, Lease, nfc, printable
from watcher.core.ports import Entry, Listing, Lone, Placement
from watcher.core.templates import numbered
from watcher.errors import (
    FileChanged,
    FileError,
    FileGone,
    FolderOffline,
    NoSpace,
    NotRegular,
    OutsideRoot,
    TargetExists,
)

STAGING = "staging"


@dataclass(frozen=True)
class Node:
    """What stands under a path; ``kind`` is file, folder, link or fifo."""

    kind: str
    inode: int
    body: bytes = b""
    mtime_ns: int = 0
    lease: Lease = Lease.FREE

    @property
    def print(self) -> Fingerprint:
        return Fingerprint(len(self.body), self.mtime_ns)


@dataclass
class MemoryFiles:
    """The file system as one dictionary of absolute paths; ``room`` is what ``space`` answers."""

    nodes: dict[str, Node] = field(default_factory=dict)
    room: int = 1 << 40
    inodes: int = 0

    # ------------------------------------------------ what tests set up and look at
    def add_folder(self, path: Path) -> None:
        for each in reversed([path, *path.parents]):
            if str(each) not in self.nodes:
                self.nodes[str(each)] = Node("folder", self._inode())

    def add(self, path: Path, body: bytes, *, mtime_ns: int = 1, kind: str = "file") -> None:
        """Put something there, replacing what was there, as a rename does."""
        self.add_folder(path.parent)
        self.nodes[str(path)] = Node(kind, self._inode(), body, mtime_ns)

    def set_lease(self, path: Path, lease: Lease) -> None:
        self.nodes[str(path)] = replace(self.nodes[str(path)], lease=lease)

    def body(self, path: Path) -> bytes | None:
        node = self.nodes.get(str(path))
        return node.body if node and node.kind == "file" else None

    def take_away(self, path: Path) -> None:
        for each in [p for p in self.nodes if p == str(path) or p.startswith(f"{path}/")]:
            del self.nodes[each]

    # ------------------------------------------------ the port
    def identity(self, root: Path) -> tuple[int, int]:
        self._root(root)
        return 1, self.nodes[str(root)].inode

    def look(self, root: Path, path: str) -> Facts | None:
        node = self._node(root, path)
        if node is None:
            return None
        if node.kind != "file":
            raise NotRegular("not a regular file", where=printable(path))
        return self._facts(node, node.lease)

    def walk(
        self,
        root: Path,
        below: str = "",
        *,
        recursive: bool = True,
        skip: Callable[[str], bool] | None = None,
    ) -> Iterator[Listing]:
        self._root(root)
        listing = self._listing(root, below)
        yield listing
        if recursive:
            for name in listing.folders:
                path = f"{below}/{name}" if below else name
                if skip is None or not skip(path):
                    yield from self.walk(root, path, skip=skip)

    def _listing(self, root: Path, directory: str) -> Listing:
        files, folders, odd = [], [], []
        for name, node in self._children(root / directory):
            if node.kind == "folder":
                folders.append(name)
            elif node.kind == "file":
                files.append(Entry(name, node.print.size, node.print.mtime_ns))
            else:
                odd.append(name)
        mark = self._mark(root, directory)
        return Listing(directory, tuple(files), tuple(folders), tuple(odd), mark=mark)

    def _mark(self, root: Path, directory: str) -> int:
        inodes = [(name, node.inode) for name, node in self._children(root / directory)]
        return hash((directory, *sorted(inodes))) or 1

    def changed(self, root: Path, marks: Mapping[str, int]) -> Iterator[str]:
        self._root(root)
        return (one for one, mark in marks.items() if mark != self._mark(root, one))

    def missing(self, root: Path, directory: str, names: Sequence[str]) -> list[str]:
        self._root(root)
        there = {name for name, node in self._children(root / directory) if node.kind == "file"}
        return [name for name in names if name not in there]

    def open(self, root: Path, path: str) -> IO[bytes]:
        return io.BytesIO(self._file(root, path).body)

    def digest(self, root: Path, path: str) -> str:
        return contents.digest(self.open(root, path))

    def find(self, root: Path, directory: str, name: str) -> str | None:
        self._root(root)
        plain = name.replace("\\", "/")
        if plain.startswith("/") or plain[1:2] == ":":
            raise OutsideRoot("leads out", where=printable(name))
        parts = directory.split("/") if directory else []
        for part in plain.split("/"):
            if part == "..":
                if not parts:
                    raise OutsideRoot("leads out", where=printable(name))
                parts.pop()
            elif part not in {"", "."}:
                parts.append(part)
        return self._search(root, "/".join(parts))

    def _search(self, root: Path, wanted: str) -> str | None:
        if self._kind(root / wanted) == "file":
            return wanted
        below = {
            str(PurePosixPath(path).relative_to(root)): node
            for path, node in self.nodes.items()
            if path.startswith(f"{root}/") and node.kind == "file"
        }
        alike = sorted(p for p in below if _plain(p) == _plain(wanted))
        return alike[0] if alike else None

    def staging(self, output: Path, state: Path, token: str) -> Path:
        place = self.staged(output, state, token)
        self.take_away(place)
        self.add_folder(place)
        return place

    def staged(self, output: Path, state: Path, token: str) -> Path:
        self._root(output)
        self._root(state)
        return state / STAGING / _one(token)

    def discard(self, output: Path, state: Path, token: str) -> None:
        self._root(output)
        self.take_away(state / STAGING / _one(token))

    def leftovers(self, output: Path, state: Path) -> tuple[str, ...]:
        self._root(output)
        self._root(state)
        depth = len((state / STAGING).parts)
        below = (Path(place) for place in self.nodes)
        inside = (path for path in below if path.is_relative_to(state / STAGING))
        return tuple({path.parts[depth] for path in inside if len(path.parts) > depth})

    def adopt(self, seats: Path, mine: str, living: Sequence[str]) -> None:
        self._root(seats.parent)
        for place in [Path(place) for place in self.nodes]:
            if not place.is_relative_to(seats) or place == seats:
                continue
            name, *below = place.relative_to(seats).parts
            if name not in {mine, *living}:
                self.nodes.setdefault(str(seats.joinpath(mine, *below)), self.nodes[str(place)])
                del self.nodes[str(place)]

    def stage_copy(self, root: Path, path: str, into: Path, name: str) -> Fetched:
        node = self._file(root, path)
        self._root(into)
        target = into / _checked(name)
        if self._kind(target):
            raise TargetExists("taken", where=printable(name))
        self.add(target, node.body)
        return Fetched(name, len(node.body), contents.digest(io.BytesIO(node.body)))

    def stage_lone(
        self, output: Path, state: Path, lones: Sequence[Lone]
    ) -> list[Fetched | FileError]:
        self._root(output)
        self._root(state)
        return [self._staged_lone(output, state, lone) for lone in lones]

    def _staged_lone(self, output: Path, state: Path, lone: Lone) -> Fetched | FileError:
        try:
            node = self._expected(lone.root, lone.path, lone.expect)
            if node is None:
                return FileGone("gone", where=printable(lone.path))
            if len(node.body) > self.room:
                return NoSpace("full", where=str(output))
            place = self.staged(output, state, lone.token)
        except FileError as error:
            return error
        self.take_away(place)
        self.add(place, node.body)
        name = lone.path.rpartition("/")[2]
        return Fetched(name, len(node.body), contents.digest(io.BytesIO(node.body)))

    def publish_each(
        self, output: Path, units: Sequence[Sequence[Placement]]
    ) -> list[FileError | None]:
        self._root(output)
        return [self._published(output, unit) for unit in units]

    def _published(self, output: Path, unit: Sequence[Placement]) -> FileError | None:
        try:
            self.publish(output, unit)
        except FileError as error:
            return error
        return None

    def publish(self, output: Path, placements: Sequence[Placement]) -> None:
        self._root(output)
        staged = [self._hardened(placement) for placement in placements]
        for placement, node in zip(placements, staged, strict=True):
            self._place(output, placement, node)

    def _hardened(self, placement: Placement) -> Node | None:
        node = self.nodes.get(str(placement.staged))
        if node is None and not placement.resumed:
            raise FileGone("gone", where=str(placement.staged))
        if node is not None and len(node.body) != placement.size:
            raise FileChanged("another length", where=str(placement.staged))
        return node

    def _place(self, output: Path, placement: Placement, node: Node | None) -> None:
        target = output / _checked(placement.target)
        self._folders_for(output, placement.target)
        there = self.nodes.get(str(target))
        if there and placement.resumed and there.kind == "file" and _equal(there, placement):
            self.nodes.pop(str(placement.staged), None)
            return
        if node is None:
            raise FileGone("gone", where=str(placement.staged))
        if there and not (placement.replace and there.kind == "file"):
            raise TargetExists("taken", where=printable(placement.target))
        self.add_folder(target.parent)
        self.nodes[str(target)] = self.nodes.pop(str(placement.staged))

    def archive(self, root: Path, path: str, expect: Fingerprint, into: Path, target: str) -> None:
        node = self._expected(root, path, expect)
        self._root(into)
        there = self.nodes.get(str(into / _checked(target)))
        if node is None:
            if there is None or there.print != expect:
                raise FileGone("neither here nor there", where=printable(path))
            return
        if there is not None and (there.print, there.body) != (node.print, node.body):
            raise TargetExists("taken", where=printable(target))
        self._folders_for(into, target)
        self.add_folder((into / target).parent)
        self.nodes[str(into / target)] = self.nodes.pop(str(root / path))

    def remove(self, root: Path, path: str, expect: Fingerprint) -> None:
        if self._expected(root, path, expect) is not None:
            del self.nodes[str(root / path)]

    def prune(self, root: Path, directory: str) -> None:
        self._root(root)
        top = str(root / _checked(directory))
        below = [p for p in self.nodes if p == top or p.startswith(f"{top}/")]
        for each in sorted(below, key=len, reverse=True):
            held = any(p.startswith(f"{each}/") for p in self.nodes)
            if self.nodes[each].kind == "folder" and not held:
                del self.nodes[each]

    def write(self, root: Path, target: str, content: bytes, *, replace: bool = True) -> None:
        self._root(root)
        kind = self._kind(root / _checked(target))
        if kind and not (replace and kind == "file"):
            raise TargetExists("taken", where=printable(target))
        self._folders_for(root, target)
        self.add(root / target, content)

    def free_name(self, root: Path, target: str) -> str:
        self._root(root)
        number, free = 1, _checked(target)
        while self._kind(root / free):
            number += 1
            free = numbered(target, number)
        return free

    def space(self, root: Path) -> int:
        self._root(root)
        return self.room

    # ------------------------------------------------ inside
    def _inode(self) -> int:
        self.inodes += 1
        return self.inodes

    def _facts(self, node: Node, lease: Lease) -> Facts:
        return Facts(len(node.body), node.mtime_ns, node.mtime_ns, node.inode, 1, lease)

    def _root(self, root: Path) -> None:
        if self._kind(root) != "folder":
            raise FolderOffline("the folder is not there", where=str(root))

    def _kind(self, path: Path) -> str:
        node = self.nodes.get(str(path))
        return node.kind if node else ""

    def _node(self, root: Path, path: str) -> Node | None:
        self._root(root)
        for parent in (root / _checked(path)).parents:
            if parent != root and root in parent.parents and self._kind(parent) == "link":
                raise OutsideRoot("a link", where=printable(path))
        return self.nodes.get(str(root / path))

    def _file(self, root: Path, path: str) -> Node:
        node = self._node(root, path)
        if node is None:
            raise FileGone("gone", where=printable(path))
        if node.kind != "file":
            raise NotRegular("not a regular file", where=printable(path))
        return node

    def _expected(self, root: Path, path: str, expect: Fingerprint) -> Node | None:
        node = self._node(root, path)
        if node is None:
            return None
        if node.kind != "file":
            raise NotRegular("not a regular file", where=printable(path))
        if node.print != expect:
            raise FileChanged("changed", where=printable(path))
        return node

    def _folders_for(self, root: Path, target: str) -> None:
        for parent in (root / target).parents:
            if root in parent.parents and self._kind(parent) not in {"", "folder"}:
                raise (OutsideRoot if self._kind(parent) == "link" else TargetExists)(
                    "no folder", where=printable(target)
                )

    def _children(self, folder: Path) -> list[tuple[str, Node]]:
        return [
            (PurePosixPath(path).name, node)
            for path, node in self.nodes.items()
            if PurePosixPath(path).parent == PurePosixPath(folder) and path != str(folder)
        ]


def _plain(name: str) -> str:
    return nfc(nfc(name).casefold())


def _equal(node: Node, placement: Placement) -> bool:
    return contents.digest(io.BytesIO(node.body)) == placement.digest


def _checked(path: str) -> str:
    if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
        raise OutsideRoot("not a plain path", where=printable(path))
    return path


def _one(token: str) -> str:
    if "/" in token:
        raise OutsideRoot("a staging token is one name", where=printable(token))
    return _checked(token)


class Died(BaseException):
    """The process is gone; no code of ours may catch this."""


EFFECTS = (
    "staging", "discard", "stage_copy", "stage_lone", "publish", "publish_each", "archive",
    "remove", "write",
)  # fmt: skip


@dataclass
class FailingFiles:
    """Another ``Files`` that raises ``error`` at its n-th effect (from 1), before or after it.

    ``at=0`` never fails; ``done`` lists the effects begun so far. For a crash, raise ``Died()``:
    ``for n in range(1, total + 1): FailingFiles(real, at=n, error=Died(), after=...)``.
    """

    real: Any
    at: int = 0
    error: BaseException = field(default_factory=Died)
    after: bool = False
    done: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.real, name)
        return self._counted(name, method) if name in EFFECTS else method

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def effect(*args: Any, **named: Any) -> Any:
            self.done.append(name)
            hit = len(self.done) == self.at
            if hit and not self.after:
                raise self.error
            answer = method(*args, **named)
            if hit:
                raise self.error
            return answer

        return effect

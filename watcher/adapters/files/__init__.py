"""The file system below given roots: what is seen, staged, published and disposed of.

Imports core, the content digest and its own parts: ``faults`` (the error map), ``beneath`` (opening
without following links), ``look``, ``staging``, ``lone``, ``rename``, ``publish``, ``dispose``.
Invariant: the promises of ``core.ports.Files``; no method keeps a descriptor after it returns,
save the stream of ``open`` and a walk between the pieces of a large folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from watcher import content
from watcher.adapters.files import beneath, dispose, lone, look, publish, rename, staging
from watcher.adapters.files.faults import Told, shown
from watcher.core.model import Facts, Fetched, Fingerprint
from watcher.core.ports import Listing, Lone, Placement
from watcher.errors import FileError


class LocalFiles:
    """``Files`` on whatever is mounted. Has no state but the umask, so any thread may use it.

    Args:
        umask: of the process, for the mode of outputs; None asks the process, which is only safe
            while no other thread creates files.
        kernel: rename by renameat2(2) where there is one; False does it by link and unlink.
    """

    def __init__(self, *, umask: int | None = None, kernel: bool = True) -> None:
        mover = rename.kernel_rename() if kernel else None
        self._publisher = publish.Publisher(mover, process_umask() if umask is None else umask)
        self._archivist = dispose.Archivist(mover)

    def identity(self, root: Path) -> tuple[int, int]:
        """See ``Files``."""
        with beneath.Held(beneath.open_root(root)) as fd, Told(shown(root)):
            found = os.fstat(fd)
        return found.st_dev, found.st_ino

    def look(self, root: Path, path: str) -> Facts | None:
        """See ``Files``."""
        return look.look(root, path)

    def walk(
        self,
        root: Path,
        below: str = "",
        *,
        recursive: bool = True,
        skip: Callable[[str], bool] | None = None,
    ) -> Iterator[Listing]:
        """See ``Files``."""
        return look.walk(root, below, recursive=recursive, skip=skip)

    def changed(self, root: Path, marks: Mapping[str, int]) -> Iterator[str]:
        """See ``Files``."""
        return look.changed(root, marks)

    def missing(self, root: Path, directory: str, names: Sequence[str]) -> list[str]:
        """See ``Files``."""
        return look.missing(root, directory, names)

    def open(self, root: Path, path: str) -> IO[bytes]:
        """See ``Files``."""
        return beneath.open_stream(root, path)

    def digest(self, root: Path, path: str) -> str:
        """See ``Files``."""
        with beneath.open_stream(root, path) as stream, Told(path):
            return content.digest(stream)

    def find(self, root: Path, directory: str, name: str) -> str | None:
        """See ``Files``."""
        return look.find(root, directory, name)

    def staging(self, output: Path, state: Path, token: str) -> Path:
        """See ``Files``."""
        return staging.staging(output, state, token)

    def staged(self, output: Path, state: Path, token: str) -> Path:
        """See ``Files``."""
        return staging.staged(output, state, token)

    def discard(self, output: Path, state: Path, token: str) -> None:
        """See ``Files``."""
        staging.discard(output, state, token)

    def leftovers(self, output: Path, state: Path) -> tuple[str, ...]:
        """See ``Files``."""
        return staging.leftovers(output, state)

    def adopt(self, seats: Path, mine: str, living: Sequence[str]) -> None:
        """See ``Files``."""
        staging.adopt(seats, mine, living)

    def stage_copy(self, root: Path, path: str, into: Path, name: str) -> Fetched:
        """See ``Files``."""
        return staging.stage_copy(root, path, into, name)

    def stage_lone(
        self, output: Path, state: Path, lones: Sequence[Lone]
    ) -> list[Fetched | FileError]:
        """See ``Files``."""
        return lone.stage(output, state, lones)

    def publish(self, output: Path, placements: Sequence[Placement]) -> None:
        """See ``Files``."""
        self._publisher.publish(output, placements)

    def publish_each(
        self, output: Path, units: Sequence[Sequence[Placement]]
    ) -> list[FileError | None]:
        """See ``Files``."""
        return self._publisher.publish_each(output, units)

    def archive(self, root: Path, path: str, expect: Fingerprint, into: Path, target: str) -> None:
        """See ``Files``."""
        self._archivist.archive(root, path, expect, into, target)

    def remove(self, root: Path, path: str, expect: Fingerprint) -> None:
        """See ``Files``."""
        self._archivist.remove(root, path, expect)

    def prune(self, root: Path, directory: str) -> None:
        """See ``Files``."""
        dispose.prune(root, directory)

    def write(self, root: Path, target: str, content: bytes, *, replace: bool = True) -> None:
        """See ``Files``."""
        self._publisher.write(root, target, content, replace=replace)

    def free_name(self, root: Path, target: str) -> str:
        """See ``Files``."""
        return publish.free_name(root, target)

    def space(self, root: Path) -> int:
        """See ``Files``."""
        with beneath.Held(beneath.open_root(root)) as fd, Told(shown(root)):
            found = os.fstatvfs(fd)
        return found.f_bavail * found.f_frsize


def process_umask() -> int:
    """The umask, which can only be read by setting it; the strictest one stands meanwhile."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


__all__ = ["LocalFiles", "process_umask"]

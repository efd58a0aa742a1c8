"""Where downloads land: targets checked before anything is sent, final names for whole files only.

Imports errors and the standard library. Invariants: what does not end well leaves nothing behind;
a name that a scheduler gave is proved inside its folder by whoever calls.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from watcher.errors import Denied, FileError, NameTooLong, NoSpace, TargetExists, UsageError

NAME = 255  # bytes of a file's name on Linux
_CLASSES: dict[int, type[FileError]] = {
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: NoSpace,
    errno.ENAMETOOLONG: NameTooLong,
}


def failed(error: OSError, where: Path) -> FileError:
    """Our error for one of the file system."""
    kind = _CLASSES.get(error.errno or 0, Denied)
    return kind(f"cannot be written: {error.strerror or error}", where=str(where))


def is_folder(output: str) -> bool:
    """Whether ``-o`` means a folder: it is one, or ends in a slash."""
    return output.endswith("/") or _is_dir(Path(output))


def _is_dir(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 - pathlib raises where a name is too long


def target_of(output: str | None, name: str) -> Path:
    """The file that ``-o`` means for something called ``name``: itself, or ``name`` in a folder."""
    if output is None:
        return Path(name)
    return Path(output) / name if is_folder(output) else Path(output)


def check_writable(target: Path) -> None:
    """Prove, as far as one can before it is tried, that a file may be made there.

    Raises:
        UsageError: it is a folder, or nothing can be written there.
    """
    if _is_dir(target):
        raise UsageError("it is a folder", where=str(target))
    if len(os.fsencode(target.name)) > NAME:
        raise UsageError("the name is too long", where=str(target), fix="choose another -o")
    check_folder(target.parent)


def check_folder(folder: Path) -> None:
    """As ``check_writable``, for a folder that is to hold files."""
    near = folder
    while not os.path.lexists(near) and near != near.parent:
        near = near.parent
    if not near.is_dir():
        raise UsageError("not a folder", where=str(near), fix="choose another -o")
    try:
        tempfile.TemporaryFile(dir=near).close()
    except OSError as error:
        reason = f"cannot be written to: {error.strerror or error}"
        raise UsageError(reason, where=str(near), fix="choose another -o") from error


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes ``target`` when the block ends well.

    Raises:
        FileError: it cannot be written.
    """
    part = target.with_name(f".watcher-{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(target)
    except OSError as error:
        raise failed(error, target) from error
    finally:
        with suppress(OSError):  # its folder could not be made, or went away
            part.unlink()


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder on the file system of ``folder``, gone afterwards."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=".watcher-", dir=folder))
    except OSError as error:
        raise failed(error, folder) from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two regular files hold the same."""
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while block := left.read(1 << 20):
            if block != right.read(1 << 20):
                return False
    return True


def settle(moves: dict[Path, Path], *, over: frozenset[Path]) -> None:
    """Give staged files their final names: all of them, or, if one may not be had, none.

    Args:
        moves: staged file to final name; the last becomes visible last.
        over: the final names that may replace a file. Any other that is taken by a file with
            other bytes fails the whole before anything is written.

    Raises:
        TargetExists: a file stands there; the message names it.
        FileError: a name cannot be written.
    """
    for staged, target in moves.items():
        taken = _is_dir(target) or (target not in over and os.path.lexists(target))
        if taken and not same_bytes(staged, target):
            raise TargetExists(
                "it is there already and is not replaced; nothing was written",
                where=str(target),
                fix='move it away, or choose another -o or another "filename" in -p',
            )
    for staged, target in moves.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(target)
        except OSError as error:
            raise failed(error, target) from error

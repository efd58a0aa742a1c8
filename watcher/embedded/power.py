"""What a power cut may have torn: the jobs of an owner who asked for no durability.

Imports the standard library and ``watcher.errors``. Invariant: what was written without fsync is
never believed in another run of the kernel; in the same one it is whole, whoever was killed.

The mark holds the kernel's boot id (proc(5), ``/proc/sys/kernel/random/boot_id``).
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from watcher.errors import StateTaken

MARK = "unsynced"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def prove(root: Path, *, durable: bool, boot: Path = _BOOT) -> None:
    """Forget the jobs in a folder that a power cut may have torn, and mark it for its next owner.

    Raises:
        StateTaken: the folder cannot be written.
    """
    now = _read(boot)
    mark = root / MARK
    try:
        found = _read(mark) if mark.exists() else None
        if found is not None and (found != now or not now):
            _clear(root)
        if durable and found is not None:
            os.sync()
            mark.unlink()
        elif not durable and found != now:
            _keep(mark, now)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StateTaken(f"the jobs folder cannot be used ({reason})", where=str(root)) from error


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""


def _clear(root: Path) -> None:
    for path in root.glob("jobs.sqlite*"):
        path.unlink()
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _keep(mark: Path, text: str) -> None:
    for place, flags in ((mark, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), (mark.parent, os.O_RDONLY)):
        descriptor = os.open(place, flags, 0o600)
        try:
            if place is mark:
                os.write(descriptor, text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

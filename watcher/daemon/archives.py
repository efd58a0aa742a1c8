"""Which file of an archive a job is about: ``root_file`` of a rule.

Imports ``globs`` and the standard library. Invariant: only the list of names is read, in flat
memory; nothing is unpacked.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from typing import IO

from watcher.core import globs
from watcher.errors import Refused

MOST = 100_000  # names that are looked at
_TOLD = 5
_DAMAGED = (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error)


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked for the job."""
    return name.lower().endswith((".zip", ".tar.gz", ".tgz"))


def chosen(path: str, stream: IO[bytes], pattern: str) -> str:
    """The shallowest name in an archive that matches; empty for what is no archive.

    Raises:
        Refused: none does, or the archive cannot be read.
    """
    if not is_archive(path):
        return ""
    try:
        names = _zip(stream) if path.lower().endswith(".zip") else _tar(stream)
    except _DAMAGED as error:
        raise Refused(f"the archive cannot be read ({error})") from error
    fits = [name for name in names if globs.matches(pattern, name)]
    if not fits:
        held = ", ".join(sorted(names)[:_TOLD]) + (", ..." if len(names) > _TOLD else "")
        raise Refused(
            f"no file in the archive matches root_file {pattern!r}; it holds {held or 'none'}"
        )
    return min(fits, key=lambda name: (name.count("/"), name))


def _zip(stream: IO[bytes]) -> list[str]:
    with zipfile.ZipFile(stream) as archive:
        return [one.filename for one in archive.infolist()[:MOST] if not one.is_dir()]


def _tar(stream: IO[bytes]) -> list[str]:
    with tarfile.open(fileobj=stream, mode="r:gz") as archive:
        return [one.name for _, one in zip(range(MOST), archive, strict=False) if one.isreg()]

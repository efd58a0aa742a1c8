"""An archive as a job's input: unpacked within limits; which of its files is the main one.

Imports the standard library and ``script``. Invariant: nothing is written outside the given folder,
no link is made, and a bomb costs a bounded amount of disk.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from watcher.embedded.script import JobFailure

# the order of preference is that of richness: a scene beside its textures and its parts
_KNOWN = """
    .gltf .glb .stp .step .igs .iges .fbx .3dxml .dae .3mf .obj .x3d .3ds .ifc .ply .off .stl .xyz
    .jt .prt .sldasm .sldprt .catproduct .catpart .cgr .asm .iam .ipt .model .dwg .dxf .rvt .skp
    .usd .usda .usdc .usdz .x_t .x_b .sat .e57 .pts .ptx .pxz .vrml .wrl .abc .las .laz .pvz
"""
EXTENSIONS = tuple(_KNOWN.split())
_MEMBERS = 100_000
_RATIO = 200  # deflate reaches 1032; real models stay below 30
_ALWAYS = 256 << 20  # bytes that are allowed whatever the ratio
_RESERVE = 1 << 30  # bytes of disk left for others

_Member = tuple[str, IO[bytes]]


def is_archive(name: str) -> bool:
    """Whether an input of this name is unpacked for the job."""
    return name.lower().endswith((".zip", ".tar.gz", ".tgz"))


def unpack(packed: Path, into: Path) -> None:
    """Write the archive's regular files below ``into``; links and devices are left out.

    Raises:
        JobFailure: no archive, damaged, encrypted, a name that leads out, or too big when unpacked.
    """
    into.mkdir(exist_ok=True)
    room = shutil.disk_usage(into).free - _RESERVE
    left = min(max(_ALWAYS, packed.stat().st_size * _RATIO), room)
    members = _zip(packed) if packed.name.lower().endswith(".zip") else _tar(packed)
    try:
        for count, (name, stream) in enumerate(members):
            if count >= _MEMBERS:
                raise JobFailure(f"the archive has more than {_MEMBERS} files")
            left = _write(stream, _inside(into, name), left)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
        # RuntimeError and NotImplementedError are zipfile's words for what it cannot decrypt or do
        raise JobFailure(f"{packed.name} cannot be unpacked: {error}") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise JobFailure(f"{packed.name} cannot be unpacked: {reason}") from error


def _zip(packed: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(packed) as archive:
        for member in archive.infolist():
            kind = member.external_attr >> 28  # the file type of Unix modes: 0o12 is a link
            if not member.is_dir() and kind in (0, 0o10):
                with archive.open(member) as stream:
                    yield member.filename, stream


def _tar(packed: Path) -> Iterator[_Member]:
    with tarfile.open(packed, "r:gz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is not None:
                yield member.name, stream


def _inside(into: Path, name: str) -> Path:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in name:
        raise JobFailure(f"the archive holds a name that leads out of it: {name!r}")
    return into.joinpath(*parts)


def _write(stream: IO[bytes], target: Path, left: int) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while chunk := stream.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise JobFailure(
                    "the archive is far too big when unpacked (a bomb, or a full disk)"
                )
            file.write(chunk)
    return left


def pick_main(folder: Path, root: str | None) -> Path:
    """The input of the job: ``root`` if given, else the likeliest file by its extension.

    The shallowest folder wins, then the order of ``EXTENSIONS``, then the name.
    """
    if root:
        chosen = _inside(folder, root)
        if not chosen.is_file():
            raise JobFailure(f"root_file {root!r} is not in the archive")
        return chosen
    found = [file for file in folder.rglob("*") if file.is_file() and _known(file)]
    if not found:
        raise JobFailure("the archive holds no file with a known 3D extension; set root_file")
    return min(found, key=lambda file: (len(file.parts), _known(file), str(file)))


def _known(file: Path) -> int:
    """1 for the richest known extension, 0 for an unknown one."""
    suffix = file.suffix.lower()
    return EXTENSIONS.index(suffix) + 1 if suffix in EXTENSIONS else 0

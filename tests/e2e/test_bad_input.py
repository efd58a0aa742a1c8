"""Bad files and bad names, before the real command: each comes to its one end with a clear reason,
and everything else goes on.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.place import POWERLESS, Place, tree
from watcher.core.templates import suffixed

MODELS = Path(__file__).parents[1] / "models"
LONG = "n" * 251
AWKWARD = (
    "two\nlines.txt",
    "quotes'\"`$(id).txt",
    "-rf.txt",
    "--help",
    "trailing ",
    "trailing .",
    "trailing dots..",
    "100%s%d%(x)s.txt",
    "{name}{stem}{0}.txt",
    "back\\slash.txt",
    "\x1b[31mred.txt",
    os.fsdecode(b"\xff\xfe latin \xe9.txt"),
    "\u00e9.txt",  # NFC and NFD of one name are two files
    "e\u0301.txt",
    LONG + ".txt",
    "\u00e9" * 125 + ".long",
    "tab\tand\rreturn",
    "\u202egnp.txt",
    "NUL",
    "deep/" * 40 + "file.txt",
)
BAD = ("-bad.stl", "{bad}.stl", os.fsdecode(b"bad\xff.stl"), "b" * 251 + ".stl", "new\nline.stl")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One run over all of it, as a process for which rights count."""
    root = tmp_path_factory.mktemp("bad")
    prefix = POWERLESS if os.geteuid() == 0 else ()
    place = Place(root, prefix=prefix, receipt="true")
    fill(place.inp)
    place.code = place.once()
    place.rows = place.told()
    yield place
    (place.inp / "shut").chmod(0o755)


def fill(inp: Path) -> None:
    for name in AWKWARD:
        write(inp / name, name.encode("utf-8", "surrogateescape"))
    for name in BAD:
        write(inp / name, b"no mesh at all")
    write(inp / "empty.stl", b"")
    write(inp / "empty.txt", b"")
    shutil.copy(MODELS / "binary_cube.stl", inp / "good.stl")
    shutil.copy(MODELS / "corrupt" / "binary_cube_trunc.stl", inp / "cut.stl")
    shutil.copy(MODELS / "pins.glb", inp / "misnamed.stl")
    for name in ("closed.stl", "closed.txt"):
        write(inp / name, b"secret")
        (inp / name).chmod(0)
    write(inp / "shut" / "inside.txt", b"unseen")
    os.mkfifo(inp / "pipe.txt")
    (inp / "link.txt").symlink_to("/etc/passwd")
    (inp / "folder-link").symlink_to("/etc")
    (inp / "loop").symlink_to(".")
    (inp / "dangling.stl").symlink_to("nowhere.stl")
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(inp)  # a socket's path may have 107 bytes
        unix.bind("socket.txt")
        os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(inp / "device.txt", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (inp / "shut").chmod(0)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def note_of(place: Place, name: str) -> str:
    return (place.failed / suffixed(name, ".error.txt")).read_text()


def test_the_exit_code_says_that_something_failed(place):
    assert place.code == 1
    assert not place.events("fault", "trouble")


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_an_awkward_name_is_delivered_under_itself_with_a_receipt(place, name):
    content = name.encode("utf-8", "surrogateescape")
    assert (place.out / name).read_bytes() == content
    assert (place.archive / name).read_bytes() == content
    assert (place.out / suffixed(name, ".json")).stat().st_size
    assert place.rows[name]["state"] == "archived"


def test_a_good_file_among_them_is_converted(place):
    assert (place.out / "good.glb").read_bytes().startswith(b"glTF")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((name, "STL") for name in BAD),
        ("empty.stl", "the file is empty"),
        ("cut.stl", "260 triangles and holds 142"),
        ("misnamed.stl", "holds a GLB model"),
        ("closed.stl", "no permission"),
        ("closed.txt", "no permission"),
    ],
    ids=ascii,
)
def test_a_bad_file_stands_in_failed_beside_its_reason(place, name, reason):
    if name.startswith("closed") and os.geteuid() != 0:
        assert not os.access(place.failed / name, os.R_OK)
    assert (place.failed / name).exists()
    assert not (place.inp / name).exists()
    told = note_of(place, name)
    assert reason in told
    assert "watcher retry" in told
    assert "Traceback" not in told
    assert "codec" not in told
    row = place.rows[name]
    assert row["state"] == "failed"
    assert reason in row["reason"]
    assert reason in place.ask("explain", f"in/{name}").stdout
    assert not (place.out / name).exists()


def test_the_retry_command_of_the_note_works_in_a_shell(place):
    for name in BAD:
        line = next(ln for ln in note_of(place, name).splitlines() if "watcher retry" in ln)
        words = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {line}"],
            capture_output=True,
            check=True,
        ).stdout.split(b"\0")
        assert words[-2] == os.fsencode(place.inp / name)


def test_what_is_no_file_is_left_alone_and_explained(place):
    expected = {
        "pipe.txt": "a named pipe",
        "link.txt": "a symbolic link",
        "folder-link": "a symbolic link",
        "loop": "a symbolic link",
        "dangling.stl": "a symbolic link",
        "socket.txt": "a socket",
    }
    if os.geteuid() == 0:
        expected["device.txt"] = "a device"
    for name, kind in expected.items():
        assert (place.inp / name).is_symlink() or (place.inp / name).exists()
        assert kind in place.ask("explain", f"in/{name}").stdout, name
        assert name not in place.rows
    refused = {event["file"] for event in place.events("file.refused")}
    assert refused == set(expected)
    assert b"root:" not in b"".join(tree(place.root / "out").values())


def test_a_folder_that_cannot_be_read_is_told_and_explained(place):
    assert "shut: no permission" in place.events("root.trouble")[-1]["reason"]
    told = place.ask("explain", "in/shut/inside.txt")
    assert "shut: no permission" in told.stdout
    assert "Traceback" not in told.stderr


def test_nothing_is_left_in_staging_and_no_part_file_anywhere(place):
    assert tree(place.root / "var" / "staging") == {}
    names = [path.name for path in place.root.rglob("*") if path.name.endswith(".part")]
    assert names == []


def test_all_is_mended_and_moved_back_and_then_the_run_is_clean(place):
    """The gesture of an operator: mend, move back, run again."""
    for name in ("closed.txt", "empty.stl"):
        (place.failed / name).chmod(0o644)
        if name.endswith(".stl"):
            shutil.copy(MODELS / "binary_cube.stl", place.failed / name)
        (place.failed / name).rename(place.inp / name)
    for odd in place.inp.iterdir():
        if odd.is_symlink() or not (odd.is_file() or odd.is_dir()):
            odd.unlink()
    (place.inp / "shut").chmod(0o755)
    assert place.once() == 0, place.tail()
    assert (place.out / "closed.txt").read_bytes() == b"secret"
    assert (place.out / "empty.glb").read_bytes().startswith(b"glTF")
    assert (place.out / "shut" / "inside.txt").read_bytes() == b"unseen"
    for name in ("closed.txt", "empty.stl"):
        assert not (place.failed / name).exists()
        assert not (place.failed / f"{name}.error.txt").exists()

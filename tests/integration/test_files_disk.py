"""``LocalFiles`` on a real disk: links, writers, rights, modes and odd names."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import textwrap

import pytest

from watcher.adapters.files import LocalFiles
from watcher.adapters.files.look import probe_lease
from watcher.core.model import Fingerprint, Lease
from watcher.core.ports import Placement
from watcher.errors import (
    FileGone,
    FolderOffline,
    NameTooLong,
    NotRegular,
    OutsideRoot,
    TargetExists,
)

NAMES = [
    "a\nb",
    "'\"",
    "\udcff\udcfe.obj",
    "x" * 255,
    "cafe\u0301",
    " ",
    "-rf",
    "\u202egnp",
    "a\\b",
]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")


@pytest.fixture
def files():
    return LocalFiles()


@pytest.fixture
def roots(tmp_path):
    places = [tmp_path / name for name in ("in", "out", "state", "kept")]
    for place in places:
        place.mkdir()
    return places


def run(script: str, *arguments: object) -> str:
    """Run a script in a process of its own; its output."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


# ---------------------------------------------------------------- names
@pytest.mark.parametrize("name", NAMES)
def test_any_name_the_disk_takes_goes_all_the_way(files, roots, name):
    root, output, state, kept = roots
    (root / name).write_bytes(b"1")
    (listing,) = files.walk(root)
    assert [entry.name for entry in listing.files] == [name]
    if "\\" not in name:
        assert files.find(root, "", name) == name
    into = files.staging(output, state, "t")
    copy = files.stage_copy(root, name, into, name)
    files.publish(output, [Placement(into / name, f"d/{name}", copy.size, copy.digest)])
    assert (output / "d" / name).read_bytes() == b"1"
    files.archive(root, name, files.look(root, name).fingerprint, kept, name)
    assert [path.name for path in kept.iterdir()] == [name]
    files.write(output, name, b"receipt")
    assert (output / name).read_bytes() == b"receipt"


def test_a_name_too_long_for_the_disk_is_told(files, roots):
    with pytest.raises(NameTooLong):
        files.write(roots[1], "x" * 256, b"")
    with pytest.raises(NameTooLong):
        files.write(roots[1], "x" * 256 + "/a", b"")
    with pytest.raises(NameTooLong):
        files.free_name(roots[1], "x" * 256)


def test_a_name_that_no_disk_takes_is_refused(files, roots):
    with pytest.raises(OutsideRoot):
        files.look(roots[0], "\ud800")
    assert files.find(roots[0], "", "\ud800") is None


# ---------------------------------------------------------------- links and odd things
@pytest.fixture
def secret(tmp_path, roots):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_bytes(b"secret")
    for root in roots:
        (root / "link").symlink_to(tmp_path / "secret")
        (root / "key").symlink_to(tmp_path / "secret/key")
    return tmp_path / "secret"


def test_no_link_is_followed_to_read(files, roots, secret):
    root = roots[0]
    for act in (files.look, files.open, files.digest):
        with pytest.raises(OutsideRoot):
            act(root, "link/key")
        with pytest.raises(NotRegular):
            act(root, "key")
    listings = list(files.walk(root))
    assert [found.directory for found in listings] == [""]
    assert set(listings[0].odd) == {"link", "key"}
    (listing,) = files.walk(root, "link")
    assert "link" in listing.error
    assert files.find(root, "", "link/key") is None
    assert files.find(root, "", "KEY") is None


def test_no_link_is_followed_to_write_move_or_delete(files, roots, secret):
    root, output, state, _ = roots
    into = files.staging(output, state, "t")
    (into / "o").write_bytes(b"x")
    digest = files.digest(into, "o")
    for replace in (False, True):
        for target, error in (("link/new", OutsideRoot), ("key", TargetExists)):
            with pytest.raises(error):
                files.publish(output, [Placement(into / "o", target, 1, digest, replace=replace)])
            with pytest.raises(error):
                files.write(output, target, b"x", replace=replace)
    with pytest.raises(OutsideRoot):
        files.remove(root, "link/key", Fingerprint(6, 0))
    with pytest.raises(NotRegular):
        files.remove(root, "key", Fingerprint(6, 0))
    with pytest.raises(OutsideRoot):
        files.free_name(output, "link/new")
    assert [path.name for path in secret.iterdir()] == ["key"]
    assert (secret / "key").read_bytes() == b"secret"


def test_emptied_staging_does_not_empty_what_a_link_points_to(files, roots, secret):
    _, output, state, _ = roots
    into = files.staging(output, state, "t")
    (into / "link").symlink_to(secret)
    files.discard(output, state, "t")
    assert (secret / "key").exists()
    (state / "staging/t").symlink_to(secret)
    assert list(files.staging(output, state, "t").iterdir()) == []
    assert (secret / "key").exists()


def test_a_staged_link_is_not_published(files, roots, secret):
    _, output, state, _ = roots
    into = files.staging(output, state, "t")
    (into / "o").symlink_to(secret / "key")
    with pytest.raises(OutsideRoot):
        files.publish(output, [Placement(into / "o", "o", 6, "")])


def test_a_root_may_be_reached_through_a_link(files, roots, tmp_path):
    (tmp_path / "alias").symlink_to(roots[0])
    (roots[0] / "a").write_bytes(b"1")
    assert files.look(tmp_path / "alias", "a").size == 1


def test_sockets_and_devices_are_not_files(files, roots):
    root = roots[0]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(root / "s"))
        with pytest.raises(NotRegular):
            files.look(root, "s")
    with pytest.raises(NotRegular):
        files.look(root.__class__("/dev"), "null")


# ---------------------------------------------------------------- writers
def test_a_writer_is_seen_until_it_closes(files, roots):
    root = roots[0]
    with (root / "a").open("wb"):
        assert files.look(root, "a").lease is Lease.REFUSED
    assert files.look(root, "a").lease is Lease.FREE


def test_a_file_under_another_programs_write_lease_is_in_its_hands(files, roots):
    root = roots[0]
    (root / "a").write_bytes(b"12")
    script = """
        import fcntl, os, signal, sys
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        fd = os.open(sys.argv[1], os.O_RDWR)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        print("held", flush=True)
        sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), os.fspath(root / "a")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout.readline() == b"held\n"
        facts = files.look(root, "a")
        holder.stdin.close()
    assert (facts.size, facts.lease) == (2, Lease.REFUSED)


def test_writers_that_open_during_the_lease_do_not_end_the_process(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    writer = """
        import os, sys
        while os.getppid() != 1:
            os.close(os.open(sys.argv[1], os.O_WRONLY))
    """
    script = """
        import os, sys, time
        from watcher.adapters.files.look import probe_lease
        fd, seen, deadline = os.open(sys.argv[1], os.O_RDONLY), set(), time.monotonic() + 30
        ends = time.monotonic() + 1
        while time.monotonic() < ends or len(seen) < 2 and time.monotonic() < deadline:
            seen.add(probe_lease(fd))
        print(*sorted(seen))
    """
    command = [sys.executable, "-c", textwrap.dedent(writer), os.fspath(tmp_path / "a")]
    with subprocess.Popen(command) as busy:
        try:
            assert run(script, tmp_path / "a") == "free refused"
        finally:
            busy.kill()


def test_a_lease_that_cannot_be_asked_for_is_unknown():
    reader, writer = os.pipe()
    assert probe_lease(reader) is Lease.UNKNOWN
    os.close(reader)
    os.close(writer)


def test_the_lease_is_given_back(files, roots):
    (roots[0] / "a").write_bytes(b"1")
    with files.open(roots[0], "a") as stream:
        assert probe_lease(stream.fileno()) is Lease.FREE
        assert fcntl.fcntl(stream.fileno(), fcntl.F_GETLEASE) == fcntl.F_UNLCK


# ---------------------------------------------------------------- rights and modes
AS_NOBODY = """
    import os, sys
    from pathlib import Path
    from watcher.adapters.files import LocalFiles
    from watcher.errors import Denied
    os.setgid(65534)
    os.setuid(65534)
    root, files = Path(sys.argv[1]), LocalFiles()
    def tell(act):
        try:
            print(type(act()).__name__)
        except Denied as error:
            print(error)
"""


@as_root
def test_refused_rights_name_owner_and_mode(tmp_path):
    # pytest's own folders are closed to others
    for place in (tmp_path, *tmp_path.parents):
        if place == tmp_path or place.name.startswith(("pytest-", "popen-")):
            place.chmod(0o755)
    (tmp_path / "closed").write_bytes(b"1")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "theirs").write_bytes(b"1")
    (tmp_path / "theirs").chmod(0o644)
    (tmp_path / "shut").mkdir(mode=0o700)
    script = (
        AS_NOBODY
        + """
    print(files.look(root, "closed").lease)
    tell(lambda: files.open(root, "closed"))
    tell(lambda: files.look(root, "shut/a"))
    tell(lambda: files.find(root, "", "shut/a"))
    tell(lambda: files.write(root, "new", b""))
    tell(lambda: files.identity(root / "shut"))
    print(files.look(root, "theirs").lease)
    print([found.error for found in files.walk(root)][1])
    """
    )
    looked, opened, shut, sought, written, root, lease, walked = run(script, tmp_path).splitlines()
    rights = "uid=0 gid=0 mode=0000; we are uid=65534 gid=65534"
    assert looked == "unreadable"
    assert opened.startswith(f"closed: no permission ({rights})")
    assert shut.startswith("shut: no permission (uid=0 gid=0 mode=0700")
    assert sought.startswith("shut: no permission")
    assert written.startswith("new: no permission")
    assert "shut: no permission (uid=0 gid=0 mode=0700" in root
    assert lease == "unknown"
    assert walked == shut


def test_outputs_get_the_mode_that_the_umask_allows(roots):
    _, output, state, _ = roots
    files = LocalFiles(umask=0o027)
    into = files.staging(output, state, "t")
    (into / "o").write_bytes(b"x")
    (into / "o").chmod(0o600)
    files.publish(output, [Placement(into / "o", "o", 1, "")])
    assert (output / "o").stat().st_mode & 0o777 == 0o640
    assert into.stat().st_mode & 0o777 == 0o700


# ---------------------------------------------------------------- walking
def test_a_walk_of_a_folder_that_vanishes_goes_on(files, roots):
    root = roots[0]
    for name in ("a", "b"):
        (root / name).mkdir()
    walk = files.walk(root)
    assert set(next(walk).folders) == {"a", "b"}
    (root / "a").rmdir()
    assert [(found.directory, found.error) for found in walk] in (
        [("a", ""), ("b", "")],
        [("b", ""), ("a", "")],
    )


def test_a_root_that_vanishes_ends_the_walk(files, roots):
    (roots[0] / "a").mkdir()
    walk = files.walk(roots[0])
    assert next(walk).folders == ("a",)
    (roots[0] / "a").rmdir()
    roots[0].rmdir()
    with pytest.raises(FolderOffline):
        next(walk)


def test_a_file_in_a_missing_folder_is_gone(files, roots):
    for act in (files.open, files.digest):
        with pytest.raises(FileGone):
            act(roots[0], "no/a")

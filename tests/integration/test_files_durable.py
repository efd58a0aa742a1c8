"""``LocalFiles`` when power fails, disks fill up, mounts divide the tree and others interfere."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from watcher.adapters.files import LocalFiles
from watcher.adapters.files.dispose import Archivist
from watcher.adapters.files.publish import Publisher
from watcher.adapters.files.rename import (
    kernel_rename,
    link_rename,
    part_name,
    rename_new,
    sync_folder,
)
from watcher.core.model import Fingerprint
from watcher.core.ports import Placement
from watcher.errors import Denied, FileChanged, TargetExists

SHM = Path("/dev/shm")  # noqa: S108 - the one other file system that every Linux has
KERNEL = kernel_rename()


@pytest.fixture
def files():
    return LocalFiles()


@pytest.fixture
def roots(tmp_path):
    places = [tmp_path / name for name in ("in", "out", "state", "kept")]
    for place in places:
        place.mkdir()
    return places


@pytest.fixture
def other_disk(tmp_path):
    if not os.access(SHM, os.W_OK) or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        yield Path(folder)


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# ---------------------------------------------------------------- the order of system calls
def traced(script: str, folder: Path, *more: Path) -> list[tuple[str, str]]:
    """The names of what was synced, made and renamed, in order."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    log = folder / "trace"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,linkat,unlinkat,mkdirat"
    command = [strace, "-f", "-y", "-o", log, "-e", calls, sys.executable, "-c"]
    done = subprocess.run(
        [*command, textwrap.dedent(script), folder], capture_output=True, check=False, timeout=60
    )
    if done.returncode:
        pytest.skip(f"strace may not trace here: {done.stderr[-200:]!r}")
    found = re.findall(r"^\d+ +(\w+)\((.*?)\) += (-?\d+)", log.read_text(), re.MULTILINE)
    ours = re.compile("|".join(re.escape(os.fspath(each)) for each in (folder, *more)))
    return [
        (call.rstrip("2").removesuffix("at"), ours.sub("", arguments))
        for call, arguments, result in found
        if ours.search(arguments) and result == "0"
    ]


SETUP = """
    import sys
    from pathlib import Path
    from watcher.adapters.files import LocalFiles
    from watcher.core.ports import Placement
    base, files = Path(sys.argv[1]), LocalFiles()
"""


def test_contents_are_durable_before_their_names_and_names_before_the_return(tmp_path):
    for name in ("out", "state"):
        (tmp_path / name).mkdir()
    script = """
    into = files.staging(base / "out", base / "state", "t")
    (into / "1").write_bytes(b"1")
    (into / "2").write_bytes(b"2")
    files.publish(base / "out", [Placement(into / n, "d/" + n, 1, "") for n in "12"])
    """
    calls = [c for c in traced(SETUP + script, tmp_path) if "probe" not in c[1]]
    steps = [(call, re.findall(r"</([^>]*)>", arguments)) for call, arguments in calls]
    kinds = [call for call, _ in steps if call != "mkdir"]
    assert kinds == ["fsync", "fsync", "rename", "rename", "fsync", "fsync"]
    synced = [places[0] for call, places in steps if call == "fsync"]
    # one fsync for each folder, though two files went there; the parent of the new one included
    assert synced == ["state/staging/t/1", "state/staging/t/2", "out", "out/d"]


def test_a_source_is_unlinked_only_after_its_copy_is_durable(tmp_path, other_disk):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"1")
    script = f"""
    expect = files.look(base / "in", "a").fingerprint
    files.archive(base / "in", "a", expect, Path({os.fspath(other_disk)!r}), "a")
    """
    calls = traced(SETUP + script, tmp_path, other_disk)
    kinds = [call for call, _ in calls]
    # the copy, its name, the archive's folder; then the source, aside and away, and its folder
    assert kinds == ["fsync", "rename", "fsync", "rename", "unlink", "fsync"]
    assert ".watcher-" in calls[0][1]
    assert "</in>" in calls[4][1]
    assert (other_disk / "a").read_bytes() == b"1"


def test_a_failed_source_and_its_reason_are_durable_before_the_ledger_hears_of_it(tmp_path):
    for name in ("in", "failed"):
        (tmp_path / name).mkdir()
    (tmp_path / "in/a").write_bytes(b"1")
    script = """
    expect = files.look(base / "in", "a").fingerprint
    files.archive(base / "in", "a", expect, base / "failed", "a")
    files.write(base / "failed", "a.error.txt", b"why")
    """
    calls = traced(SETUP + script, tmp_path)
    assert [call for call, _ in calls] == ["rename", "fsync", "fsync", "fsync", "rename", "fsync"]
    folders = [arguments for call, arguments in calls if call == "fsync"]
    assert [re.findall(r"</([^>]*)>", one)[0] for one in (folders[0], folders[1])] == [
        "failed",
        "in",
    ]
    assert ".part" in folders[2]  # the text, before it has its name
    assert (tmp_path / "failed/a.error.txt").read_bytes() == b"why"


def test_outputs_of_an_embedded_job_are_durable_before_it_counts_as_a_success(tmp_path):
    made = tmp_path / "jobs/j/outputs.1/deep"
    made.mkdir(parents=True)
    (made / "a.glb").write_bytes(b"1")
    script = """
    from watcher.embedded.folders import Folders
    Folders(base / "jobs").keep_outputs("j", 1)
    """
    calls = traced(SETUP + script, tmp_path)
    names = [(call, re.findall(r"</([^>]*)>", arguments)) for call, arguments in calls]
    synced = [places[0] for call, places in names if call == "fsync"]
    assert [call for call, _ in names] == ["fsync", "fsync", "fsync", "rename", "fsync"]
    assert {"jobs/j/outputs.1", "jobs/j/outputs.1/deep"} <= set(synced[:3])
    assert "jobs/j/outputs.1/deep/a.glb" in synced[:3]
    assert synced[-1] == "jobs/j"
    assert (tmp_path / "jobs/j/outputs/deep/a.glb").read_bytes() == b"1"


# ---------------------------------------------------------------- two file systems
def test_staging_on_the_state_folder_only_where_one_rename_joins_them(files, roots, other_disk):
    _, output, state, _ = roots
    assert files.staging(output, state, "t") == state / "staging/t"
    apart = files.staging(output, other_disk, "t")
    assert apart == output / ".watcher-staging/t"
    assert files.staged(output, other_disk, "t") == apart
    assert apart.stat().st_mode & 0o777 == 0o700
    files.staging(output, other_disk, "u")
    files.discard(output, other_disk, "t")
    assert (output / ".watcher-staging/u").is_dir()
    files.discard(output, other_disk, "u")
    assert hidden(output) == []


@pytest.mark.parametrize("replacing", [False, True])
def test_a_mount_below_the_output_still_gets_whole_files(files, roots, other_disk, replacing):
    output = roots[1]
    (other_disk / "o").write_bytes(b"new")
    if replacing:
        (output / "o").write_bytes(b"old")
    files.publish(output, [Placement(other_disk / "o", "o", 3, "", replace=replacing)])
    assert (output / "o").read_bytes() == b"new"
    assert hidden(output) == []
    assert not (other_disk / "o").exists()


def test_a_name_taken_while_copying_beside_it_is_kept(roots, other_disk):
    output = roots[1]
    (other_disk / "o").write_bytes(b"new")

    def late(source, name, target, new):
        if source >= 0:
            (output / "o").write_bytes(b"theirs")
        KERNEL(source, name, target, new)

    with pytest.raises(TargetExists):
        Publisher(late, 0o022).publish(output, [Placement(other_disk / "o", "o", 3, "")])
    assert (output / "o").read_bytes() == b"theirs"
    assert hidden(output) == []


def test_archiving_to_another_disk_keeps_content_time_and_mode(files, roots, other_disk):
    source = roots[0] / "a"
    source.write_bytes(b"src")
    source.chmod(0o640)
    os.utime(source, ns=(1, 1_600_000_000_123_456_789))
    before = files.look(roots[0], "a").fingerprint
    for _ in range(2):
        files.archive(roots[0], "a", before, other_disk, "d/a")
    assert files.look(other_disk, "d/a").fingerprint == before
    assert (other_disk / "d/a").stat().st_mode & 0o777 == 0o640
    assert not source.exists()


@pytest.mark.parametrize("same_disk", [False, True])
def test_an_archive_that_died_before_the_unlink_is_finished(files, roots, other_disk, same_disk):
    into = roots[3] if same_disk else other_disk
    (roots[0] / "a").write_bytes(b"src")
    if same_disk:
        os.link(roots[0] / "a", into / "a")
    else:
        shutil.copy2(roots[0] / "a", into / "a")
    files.archive(roots[0], "a", files.look(roots[0], "a").fingerprint, into, "a")
    assert not (roots[0] / "a").exists()
    assert (into / "a").read_bytes() == b"src"


def test_a_half_written_copy_of_an_archive_that_died_is_replaced(files, roots, other_disk):
    (roots[0] / "a").write_bytes(b"src")
    expect = files.look(roots[0], "a").fingerprint
    (other_disk / part_name("a")).write_bytes(b"half of it")
    files.archive(roots[0], "a", expect, other_disk, "a")
    assert (other_disk / "a").read_bytes() == b"src"
    assert hidden(other_disk) == []


def test_other_content_of_the_same_length_and_time_is_not_taken_for_the_archive(
    files, roots, other_disk
):
    (roots[0] / "a").write_bytes(b"src")
    shutil.copy2(roots[0] / "a", other_disk / "a")
    facts = (other_disk / "a").stat()
    (other_disk / "a").write_bytes(b"old")
    os.utime(other_disk / "a", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    with pytest.raises(TargetExists):
        files.archive(roots[0], "a", files.look(roots[0], "a").fingerprint, other_disk, "a")
    assert (roots[0] / "a").read_bytes() == b"src"


# ---------------------------------------------------------------- others interfere
def test_a_file_that_takes_the_name_in_between_is_put_back(files, roots):
    root, kept = roots[0], roots[3]
    (root / "a").write_bytes(b"src")
    expect = files.look(root, "a").fingerprint

    def swapped(source, name, target, new):
        if (root / "a").exists():
            (root / "newer").write_bytes(b"newer")
            (root / "newer").replace(root / "a")
        KERNEL(source, name, target, new)

    with pytest.raises(FileChanged):
        Archivist(swapped).archive(root, "a", expect, kept, "a")
    assert (root / "a").read_bytes() == b"newer"
    assert list(kept.iterdir()) == []


def test_two_replacements_in_between_lose_nothing(files, roots):
    root, kept = roots[0], roots[3]
    (root / "a").write_bytes(b"src")
    expect = files.look(root, "a").fingerprint

    def swapped(source, name, target, new):
        if not (kept / "a").exists():
            (root / "b").write_bytes(b"second")
            (root / "b").replace(root / "a")
            KERNEL(source, name, target, new)
            (root / "a").write_bytes(b"third")
        else:
            KERNEL(source, name, target, new)

    with pytest.raises(FileChanged, match="stands in a"):
        Archivist(swapped).archive(root, "a", expect, kept, "a")
    assert ((root / "a").read_bytes(), (kept / "a").read_bytes()) == (b"third", b"second")


def test_a_source_rewritten_while_it_is_copied_away_stays(files, roots, other_disk):
    root = roots[0]
    (root / "a").write_bytes(b"src")
    expect = files.look(root, "a").fingerprint

    def rewritten(source, name, target, new):
        if source != target:
            raise OSError(errno.EXDEV, "x")
        KERNEL(source, name, target, new)
        (root / "a").write_bytes(b"more than before")

    with pytest.raises(FileChanged):
        Archivist(rewritten).archive(root, "a", expect, other_disk, "a")
    assert (root / "a").read_bytes() == b"more than before"


def test_a_source_replaced_before_it_is_copied_away_stays(files, roots, other_disk):
    root = roots[0]
    (root / "a").write_bytes(b"src")
    expect = files.look(root, "a").fingerprint

    def replaced(*_):
        (root / "b").write_bytes(b"newer")
        (root / "b").replace(root / "a")
        raise OSError(errno.EXDEV, "x")

    with pytest.raises(FileChanged):
        Archivist(replaced).archive(root, "a", expect, other_disk, "a")
    assert (root / "a").read_bytes() == b"newer"
    assert list(other_disk.iterdir()) == []


def test_a_source_deleted_by_somebody_after_its_copy_is_archived(files, roots, other_disk):
    root = roots[0]
    (root / "a").write_bytes(b"src")

    def deleted(source, name, target, new):
        KERNEL(source, name, target, new)
        (root / "a").unlink()

    expect = files.look(root, "a").fingerprint
    Archivist(deleted).archive(root, "a", expect, other_disk, "a")
    assert (other_disk / "a").read_bytes() == b"src"


def test_an_archive_name_taken_during_the_copy_is_kept(files, roots, other_disk):
    (roots[0] / "a").write_bytes(b"src")

    def late(source, name, target, new):
        if name.startswith("."):
            (other_disk / "a").write_bytes(b"theirs")
        KERNEL(source, name, target, new)

    expect = files.look(roots[0], "a").fingerprint
    for _ in range(2):
        with pytest.raises(TargetExists):
            Archivist(late).archive(roots[0], "a", expect, other_disk, "a")
    assert (roots[0] / "a").read_bytes() == b"src"
    assert [path.name for path in other_disk.iterdir()] == ["a"]


def test_a_rename_that_is_not_permitted_is_denied(files, roots):
    for root in (roots[0], roots[2]):
        (root / "a").write_bytes(b"src")

    def denied(*_):
        raise OSError(errno.EACCES, "x")

    expect = files.look(roots[0], "a").fingerprint
    with pytest.raises(Denied):
        Archivist(denied).archive(roots[0], "a", expect, roots[3], "a")
    with pytest.raises(Denied):
        Publisher(denied, 0).publish(roots[1], [Placement(roots[2] / "a", "a", 3, "")])
    assert (roots[0] / "a").read_bytes() == b"src"
    assert (roots[2] / "a").read_bytes() == b"src"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_a_file_system_that_cannot_rename_without_replacing_links_instead(roots, number):
    output = roots[1]

    def unable(*_):
        raise OSError(number, "x")

    (roots[2] / "o").write_bytes(b"x")
    placement = Placement(roots[2] / "o", "o", 1, "")
    Publisher(unable, 0o022).publish(output, [placement])
    (roots[2] / "o").write_bytes(b"y")
    with pytest.raises(TargetExists):
        Publisher(unable, 0o022).publish(output, [placement])
    assert (output / "o").read_bytes() == b"x"


def test_a_crash_between_link_and_unlink_is_finished_by_the_repeat(files, roots):
    output, state = roots[1:3]
    (state / "o").write_bytes(b"x")
    os.link(state / "o", output / "o")
    digest = files.digest(output, "o")
    files.publish(output, [Placement(state / "o", "o", 1, digest, resumed=True)])
    assert (output / "o").read_bytes() == b"x"
    assert not (state / "o").exists()


def test_where_there_are_neither_a_taken_name_is_still_kept(roots):
    # a folder cannot be linked: EPERM, as on file systems without links
    root = os.open(roots[0], os.O_RDONLY)
    (roots[0] / "folder").mkdir()
    (roots[0] / "taken").mkdir()
    with pytest.raises(FileExistsError):
        link_rename(root, "folder", root, "taken")
    rename_new(None, (root, "folder"), (root, "free"))
    with pytest.raises(FileNotFoundError):
        link_rename(root, "gone", root, "new")
    os.close(root)
    with pytest.raises(OSError, match="descriptor"):
        sync_folder(root)
    assert (roots[0] / "free").is_dir()


def test_a_folder_that_knows_no_fsync_is_fine():
    reader, writer = os.pipe()  # EINVAL, as CIFS answers for folders
    sync_folder(reader)
    os.close(reader)
    os.close(writer)


def test_what_was_named_before_a_fault_stays_named(files, roots):
    output, state = roots[1:3]
    for name in "12":
        (state / name).write_bytes(b"x")
    (output / "2").write_bytes(b"theirs")
    digest = files.digest(state, "1")
    placements = [Placement(state / name, name, 1, digest) for name in "12"]
    with pytest.raises(TargetExists):
        files.publish(output, placements)
    assert (output / "1").read_bytes() == b"x"
    with pytest.raises(TargetExists):
        files.publish(output, [replace(each, resumed=True) for each in placements])


def test_many_folders_are_published_with_few_open_at_once(files, roots):
    output, state = roots[1:3]
    for number in range(200):
        (state / str(number)).write_bytes(b"x")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - Path would not show its own
    files.publish(output, [Placement(state / str(n), f"{n}/a/b", 1, "") for n in range(200)])
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
    assert all((output / f"{n}/a/b").exists() for n in range(200))


def test_a_leftover_part_is_replaced_and_none_is_left(files, roots):
    output = roots[1]
    (output / part_name("a")).write_bytes(b"half of it")
    files.write(output, "a", b"1")
    assert hidden(output) == []


def test_a_sparse_file_stays_sparse_and_equal(files, roots):
    root, output = roots[0], roots[1]
    with (root / "sparse").open("wb") as out:
        out.write(b"head")
        out.seek(200 << 20)
        out.write(b"tail")
        out.truncate((300 << 20) + 1)
    fetched = files.stage_copy(root, "sparse", output, "copy")
    facts = (output / "copy").stat()
    assert facts.st_size == fetched.size == (300 << 20) + 1
    assert facts.st_blocks * 512 < 10 << 20
    assert files.digest(output, "copy") == files.digest(root, "sparse") == fetched.digest


# ---------------------------------------------------------------- a full disk
FULL = """
    import sys
    from pathlib import Path
    from watcher.adapters.files import LocalFiles
    from watcher.errors import NoSpace
    root, small, files = Path(sys.argv[1]), Path(sys.argv[2]), LocalFiles()
    expect = files.look(root, "big").fingerprint
    assert files.space(small) < expect.size
    for act in (
        lambda: files.stage_copy(root, "big", small, "copy"),
        lambda: files.archive(root, "big", expect, small, "kept"),
        lambda: files.write(small, "receipt", bytes(expect.size)),
    ):
        try:
            act()
        except NoSpace as error:
            print(error, sorted(path.name for path in small.iterdir()))
    print((root / "big").stat().st_size == expect.size)
"""


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "big").write_bytes(b"x" * (1 << 20))
    mount = 'mount -t tmpfs -o size=64k none "$2" || exit 77; exec "$3" -c "$4" "$1" "$2"'
    command = ["unshare", "-m", "sh", "-c", mount, "sh", tmp_path, tmp_path / "small"]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    done = subprocess.run(
        [*command, sys.executable, textwrap.dedent(FULL)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("may not mount here")
    fix = "the disk is full; free some space []"
    assert done.stdout.splitlines() == [
        f"big: {fix}",
        f"kept: {fix}",
        f"receipt: {fix}",
        "True",
    ], done.stderr


# ---------------------------------------------------------------- a name taken in the last moment
def names_in(folder):
    return [path.name for path in folder.iterdir()]


def swapping(path, body):
    """A kernel's rename before which somebody replaces ``path``, once."""
    mover, left = kernel_rename(), [body]

    def rename(*where):
        if left:
            fresh = path.with_name("fresh")
            fresh.write_bytes(left.pop())
            fresh.replace(path)
        mover(*where)

    return rename


def test_what_takes_a_name_between_the_check_and_the_end_is_not_deleted(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    found = Fingerprint(3, path.stat().st_mtime_ns)
    with pytest.raises(FileChanged):
        Archivist(swapping(path, b"newer")).remove(tmp_path, "a", found)
    assert path.read_bytes() == b"newer"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("newest", [None, b"newest"])
def test_a_removal_that_died_is_finished_without_harm(tmp_path, newest):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    found = Fingerprint(3, path.stat().st_mtime_ns)
    hidden = tmp_path / (part_name("a").removesuffix(".part") + ".gone")
    path.rename(hidden)
    LocalFiles().remove(tmp_path, "a", found)
    assert names_in(tmp_path) == []
    # it died after it had moved another file than the one that was meant
    hidden.write_bytes(b"newer")
    if newest is not None:
        path.write_bytes(newest)
    with pytest.raises(FileChanged):
        LocalFiles().remove(tmp_path, "a", found)
    assert path.read_bytes() == (newest or b"newer")
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("newest", [None, b"newest"])
def test_an_archive_that_died_with_a_newer_file_aside_gives_it_back(
    files, roots, other_disk, newest
):
    path = roots[0] / "a"
    path.write_bytes(b"old")
    found = files.look(roots[0], "a").fingerprint
    shutil.copy2(path, other_disk / "a")
    path.write_bytes(b"newer")
    hidden_name = roots[0] / (part_name("a").removesuffix(".part") + ".gone")
    path.rename(hidden_name)
    if newest is not None:
        path.write_bytes(newest)
    with pytest.raises(FileChanged):
        files.archive(roots[0], "a", found, other_disk, "a")
    assert path.read_bytes() == (newest or b"newer")
    assert names_in(roots[0]) == ["a"]

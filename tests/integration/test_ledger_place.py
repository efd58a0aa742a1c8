"""Where a ledger may lie, and what its reader is told when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy.exc

from watcher.adapters.ledger import open_ledger
from watcher.adapters.ledger.place import FILE, NETWORK, network_mount, owner
from watcher.adapters.ledger.troubles import told, translated
from watcher.cli import doctor
from watcher.cli.options import ledger_of
from watcher.core.model import FileRecord, FileState, Fingerprint
from watcher.core.ports import NewFile
from watcher.core.settings import Settings
from watcher.daemon.lock import lock_state
from watcher.errors import LedgerAway, LedgerDamaged, LedgerError, LedgerUnusable, StaleRecord

MOUNT = "{n} 1 0:2 / {point} rw,relatime shared:1 - {kind} source rw"


def mounts(*pairs):
    return "\n".join(MOUNT.format(n=n, point=p, kind=k) for n, (p, k) in enumerate(pairs))


def a_file(number):
    return FileRecord(
        id=number,
        folder="in",
        path=f"file{number}",
        arrival=1,
        state=FileState.ACCEPTED,
        rule="r",
        print=Fingerprint(1, 1),
        reason="x" * 500,
    )


def filled(state, count=500):
    ledger = open_ledger(state, read_only=False)
    ledger.apply(NewFile(a_file(number), ()) for number in range(1, count + 1))
    ledger.close()
    return state / FILE


@pytest.mark.parametrize("kind", sorted(NETWORK))
def test_a_network_mount_is_refused_by_name(tmp_path, kind):
    with pytest.raises(LedgerUnusable, match=f"network mount \\({kind}\\)"):
        open_ledger(tmp_path, read_only=False, mounts=mounts(("/", "ext4"), (tmp_path, kind)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ((("/", "nfs"), ("/srv", "ext4")), ""),
        ((("/", "ext4"), ("/srv", "ext4"), ("/srv", "cifs")), "cifs"),
        ((("/", "ext4"), ("/srvother", "nfs")), ""),
        ((("/srv/a\\040b", "nfs4"), ("/", "ext4")), ""),
        ((("/srv/state", "fuse.sshfs"), ("/", "ext4")), "fuse.sshfs"),
    ],
)
def test_the_deepest_and_latest_mount_counts(pairs, kind):
    assert network_mount(Path("/srv/state"), mounts(*pairs) + "\nnonsense") == kind


def test_a_mount_point_with_a_space_is_recognised():
    assert network_mount(Path("/a b/c"), mounts(("/a\\040b", "nfs"))) == "nfs"


def test_a_missing_folder_and_a_missing_ledger_are_told_apart(tmp_path):
    with pytest.raises(LedgerUnusable, match="folder is not there"):
        open_ledger(tmp_path / "none", read_only=False)
    with pytest.raises(LedgerUnusable, match="no ledger yet; start watcher run"):
        open_ledger(tmp_path, read_only=True)
    (tmp_path / FILE).touch()
    with pytest.raises(LedgerUnusable, match="ledger is empty"):
        open_ledger(tmp_path, read_only=True)


def test_what_is_not_a_ledger_is_called_damaged(tmp_path):
    (tmp_path / FILE).write_bytes(b"this is no database at all" * 100)
    for read_only in (True, False):
        with pytest.raises(LedgerUnusable, match="damaged") as caught:
            open_ledger(tmp_path, read_only=read_only)
        assert caught.value.fix
        assert caught.value.where == str(tmp_path / FILE)


def test_a_corrupt_page_is_called_damaged(tmp_path):
    file = filled(tmp_path)
    with file.open("r+b") as stream:
        stream.seek(20 * 4096)
        stream.write(os.urandom(40 * 4096))
    with pytest.raises(LedgerDamaged, match="damaged"):  # noqa: PT012  (whichever reads it first)
        ledger = open_ledger(tmp_path, read_only=True)
        ledger.files()


def test_an_empty_ledger_is_damage_only_where_watcher_had_worked(tmp_path):
    (tmp_path / FILE).touch()
    open_ledger(tmp_path, read_only=False).close()  # a crash while the very first one was made
    os.truncate(tmp_path / FILE, 0)
    (tmp_path / "roots.json").write_text("{}")
    with pytest.raises(LedgerDamaged, match="empty, though"):
        open_ledger(tmp_path, read_only=False)
    (tmp_path / FILE).unlink()
    open_ledger(tmp_path, read_only=False).close()


def test_a_newer_version_is_refused_and_left_alone(tmp_path):
    file = filled(tmp_path)
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE meta SET value = '99' WHERE name = 'version'")
    raw.close()
    for read_only in (True, False):
        with pytest.raises(LedgerUnusable, match="version 99"):
            open_ledger(tmp_path, read_only=read_only)


def test_a_lock_held_too_long_is_told(tmp_path):
    file = filled(tmp_path)
    ledger = open_ledger(tmp_path, read_only=False, busy=0.05)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnusable, match="locked by another program"):
        ledger.ask("retry", {}, 1.0)
    holder.execute("ROLLBACK")
    holder.close()
    ledger.ask("retry", {}, 1.0)
    assert len(ledger.requests()) == 1
    ledger.close()


@pytest.mark.parametrize("made", [False, True])
def test_a_ledger_that_a_daemon_is_about_to_make_holds_nothing_yet(tmp_path, made):
    settings = Settings(source=tmp_path / "watcher.yaml", state=tmp_path)
    (tmp_path / (FILE if made else f"{FILE}-journal")).touch()
    with lock_state(tmp_path):
        assert ledger_of(settings) is None
        (one,) = doctor.ledger(settings)
        assert one.found == "not there yet, will be made"
    with pytest.raises(LedgerUnusable, match="empty" if made else "no ledger yet"):
        ledger_of(settings)


def test_a_command_that_writes_has_far_more_patience_than_the_daemon_which_asks_again(tmp_path):
    """A daemon that commits all the time on a slow disk leaves SQLite's lock for moments only."""
    filled(tmp_path)
    settings = Settings(source=tmp_path / "watcher.yaml", state=tmp_path)
    asking, daemons = ledger_of(settings, write=True), open_ledger(tmp_path, read_only=False)
    assert patience(asking) >= 60
    assert patience(daemons) == 10
    asking.close()
    daemons.close()


def patience(ledger):
    with ledger._writing() as connection:
        return connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() / 1000


def test_a_ledger_opened_to_read_writes_nothing(tmp_path):
    filled(tmp_path)
    ledger = open_ledger(tmp_path, read_only=True)
    with pytest.raises(LedgerUnusable, match="reading only"):
        ledger.apply([])
    assert ledger.work(1).file.path == "file1"
    ledger.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("hidden", ["file", "folder", "parent"])
def test_another_user_is_told_as_whom_to_run(tmp_path, read_only, hidden):
    state = tmp_path / "outer" / "state"
    state.mkdir(parents=True)
    file = filled(state, 1)
    {"file": file, "folder": state, "parent": state.parent}[hidden].chmod(0o600)
    for place in [state, *state.parents] if hidden != "parent" else state.parent.parents:
        if place.stat().st_uid == 0 and str(place).startswith("/tmp/") and place != state:  # noqa: S108  (only what pytest made)
            place.chmod(0o711)
    if hidden == "folder":
        state.parent.chmod(0o711)
    if hidden == "file":
        state.chmod(0o777)
    program = (
        "import os, sys; from pathlib import Path; from watcher.adapters.ledger import *;"
        "from watcher.errors import LedgerUnusable\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        f"try: open_ledger(Path({str(state)!r}), read_only={read_only})\n"
        "except LedgerUnusable as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert f"run as {owner(Path('/'))}" in done.stdout


def every(kind):
    return {kind}.union(*(every(sub) for sub in kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(every(sqlalchemy.exc.DBAPIError), key=lambda k: k.__name__))
def test_no_database_error_stays_foreign(kind):
    try:
        error = kind("SELECT 1", {}, sqlite3.OperationalError("first line\nsecond"))
    except TypeError:
        pytest.skip("needs arguments of its own")
    ours = translated(error, where="here")
    assert isinstance(ours, LedgerError)
    assert isinstance(ours, StaleRecord) == issubclass(kind, sqlalchemy.exc.IntegrityError)
    assert "second" not in str(ours)


def test_a_full_disk_is_told():
    raw = sqlite3.connect(":memory:")
    raw.execute("PRAGMA max_page_count = 2")
    with pytest.raises(LedgerUnusable, match="no space"), told("here"):
        raw.executescript("CREATE TABLE a (x); CREATE TABLE b (x); CREATE TABLE c (x);")
    raw.close()


def test_the_class_says_whether_waiting_helps(tmp_path):
    def kind(code, where=tmp_path / FILE):
        error = sqlite3.OperationalError("x")
        error.sqlite_errorcode = code
        return translated(error, where=str(where))

    for code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):
        assert type(kind(code)) is LedgerAway
    for code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        assert type(kind(code)) is LedgerDamaged
    assert type(kind(sqlite3.SQLITE_READONLY)) is LedgerUnusable
    assert "the disk fails" in str(kind(sqlite3.SQLITE_IOERR_SHMSIZE))
    # a file of /proc/self has no room at all: so SQLite's shared memory tells of a full disk
    assert "free space" in str(kind(sqlite3.SQLITE_IOERR_SHMSIZE, "/proc/self/none"))
    assert "the disk fails" in str(kind(sqlite3.SQLITE_IOERR_SHMSIZE, tmp_path / "no" / "file"))


def test_a_read_only_file_is_told(tmp_path):
    file = filled(tmp_path, 1)
    raw = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    with pytest.raises(LedgerUnusable, match="read-only"), told(str(file)):
        raw.execute("DELETE FROM files")
    raw.close()

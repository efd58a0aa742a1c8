"""The ledger on a real disk: death in the middle, other processes, and its use of indexes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, event

from watcher.adapters.ledger import open_ledger, reading, scanning
from watcher.adapters.ledger.batch import compiled
from watcher.adapters.ledger.ids import Ids
from watcher.adapters.ledger.place import FILE
from watcher.adapters.ledger.scanning import AS_BYTES, AS_TEXT
from watcher.core.model import FileState
from watcher.core.ports import Lane

# writes batches of ten files and says so after each; dies only by a signal
WRITER = """
import itertools, sys
from pathlib import Path
from watcher.adapters.ledger import open_ledger
from watcher.core.model import FileRecord, FileState, Fingerprint
from watcher.core.ports import NewFile, Note
ledger = open_ledger(Path(sys.argv[1]), read_only=False)
for batch in itertools.count():
    files = [FileRecord(id=i, folder="in", path=f"{batch}/{i}", arrival=1, rule="r",
             state=FileState.ACCEPTED, print=Fingerprint(1, 1)) for i in ledger.new_ids(10)]
    ledger.apply([NewFile(file, (), (Note(1.0, "accepted"),)) for file in files])
    print(batch, flush=True)
"""


@pytest.fixture
def writer(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("batches", [1, 57, 400])
def test_a_killed_writer_leaves_every_acknowledged_batch_and_no_half_one(tmp_path, writer, batches):
    for _ in range(batches):
        writer.stdout.readline()
    writer.send_signal(signal.SIGKILL)
    said = batches + len(writer.stdout.readlines())
    writer.wait()
    ledger = open_ledger(tmp_path, read_only=False)
    found = list(ledger.directories("in"))
    sizes = {name: len(ledger.known("in", name)) for name in found}
    assert set(sizes.values()) == {10}
    assert {str(number) for number in range(said)} <= set(sizes)
    assert len(sizes) - said in (0, 1)
    assert ledger.counts() == {("in", FileState.ACCEPTED): 10 * len(sizes)}
    told = ledger.history("in", ledger.files(limit=1)[0].file.path)
    assert [row.event for row in told[0][1]] == ["accepted"]
    ledger.close()


def test_another_process_may_read_and_ask_while_one_writes(tmp_path, writer):
    writer.stdout.readline()
    beside = open_ledger(tmp_path, read_only=False)
    for number in range(20):
        beside.ask("retry", {"number": number}, 1.0)
    assert [request.body["number"] for request in beside.requests()] == list(range(20))
    reader = open_ledger(tmp_path, read_only=True)
    assert reader.counts()["in", FileState.ACCEPTED] >= 10
    assert len(reader.requests()) == 20
    assert writer.poll() is None
    reader.close()
    beside.close()


def test_ids_rise_when_the_wall_clock_steps_back_and_after_a_restart():
    times = iter([2_000_000_000.0, 1_900_000_000.0, 0.0])
    ids = Ids(lambda: next(times))
    seen = [*ids.take(3), *ids.take(0), *ids.take(3)]
    assert seen == sorted(set(seen))
    assert Ids(lambda: 0.0, above=seen[-1]).take(1)[0] == seen[-1] + 1


def plans(state, ask):
    """The query plan of every statement that ``ask`` runs."""
    ledger = open_ledger(state, read_only=False)
    ledger.close()
    engine = create_engine(f"sqlite:///{state / FILE}")
    found = []

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_connection, cursor, statement, parameters, *_):
        rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        found.append(" / ".join(row[3] for row in rows))

    with engine.connect() as connection:
        ask(connection)
    engine.dispose()
    return found


@pytest.mark.parametrize(
    ("index", "ask"),
    [
        ("files_live", lambda c: reading.live(c, "in", ["a/b", "a/c"])),
        ("COVERING INDEX files_seen", lambda c: c.exec_driver_sql(AS_TEXT, ("in", b"d"))),
        (
            "COVERING INDEX files_seen (folder=? AND directory=? AND name=?)",
            lambda c: c.exec_driver_sql(f"{AS_BYTES} AND name IN (?,?)", ("in", b"d", b"a", b"b")),
        ),
        ("COVERING INDEX", lambda c: scanning.known_count(c, "in", "d")),
        ("COVERING INDEX", lambda c: scanning.known_names(c, "in", "d", "a", 10)),
        ("COVERING INDEX", lambda c: scanning.directories(c, "in", b"d")),
        ("files_arrival", lambda c: reading.last_arrival(c, "in", "a/b")),
        ("files_unfinished", reading.unfinished),
        ("files_lane", reading.lanes),
        ("files_lane", lambda c: reading.waiting(c, Lane("in", "r"), 10, (0, 1))),
    ],
)
def test_daily_questions_are_answered_from_their_index(tmp_path, index, ask):
    for plan in plans(tmp_path, ask):
        assert index in plan
        assert "TEMP B-TREE" not in plan


def test_the_statements_name_columns_in_the_order_of_the_rows():
    statements = compiled(create_engine("sqlite://").dialect)
    assert statements[2].startswith("UPDATE files SET state=?, reason=?, digest=?, warnings=?")
    assert statements[4].endswith("WHERE jobs.id = ? AND jobs.state = ? AND jobs.version = ?")


def test_a_ledger_that_nobody_wrote_to_is_not_read_for_requests(tmp_path):
    ledger = open_ledger(tmp_path, read_only=False)
    ledger.ask("reload", {}, 1.0)
    (first,) = ledger.requests()
    ledger.answered([first.id])
    assert ledger.requests() == []
    for place in ledger.places[:2]:
        os.utime(place, (1.0, 1.0))  # written long ago
    told = []
    event.listen(ledger._read, "before_cursor_execute", lambda *words: told.append(words[2]))
    assert [ledger.requests() for _ in range(3)] == [[], [], []]
    assert len(told) <= 2  # BEGIN, and one question
    other = open_ledger(tmp_path, read_only=False)
    other.ask("retry", {"files": [1]}, 2.0)
    (second,) = ledger.requests()
    assert second.kind == "retry"
    assert ledger.requests() == [second]
    other.close()
    ledger.close()

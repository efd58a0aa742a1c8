"""Several watchers at one ledger, on a real PostgreSQL server: claims, fences, inheritance."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.contract.test_ledger import a_file, a_job, accept, moved, save
from watcher.adapters.ledger import open_ledger
from watcher.adapters.ledger.schema import WATCHERS
from watcher.core.model import FileState
from watcher.core.ports import Lane, NewFile, Note, SaveFile
from watcher.errors import Fenced, LedgerUnusable, StaleRecord

LANE = Lane("in", "cad")


@pytest.fixture
def sits(postgres_server):
    """Opens a ledger of a watcher of its own; the database is the test's."""
    url, made = postgres_server.emptied(), []

    def sitting(name, lease=60.0):
        made.append(open_ledger(Path(), read_only=False, url=url, lease=lease))
        made[-1].number = made[-1].seats.sit()
        called(made[-1], name)
        return made[-1]

    yield sitting
    for ledger in made:
        ledger.close()


def called(ledger, name):
    """Another name than this process's, whose connections must live on."""
    mine = WATCHERS.c.seat == ledger.number
    with ledger._writing() as connection:
        connection.execute(update(WATCHERS).where(mine).values(name=name))


def silence(ledger, seconds=100):
    """A watcher that has given no sign for so long."""
    mine = WATCHERS.c.seat == ledger.number
    with ledger._writing() as connection:
        connection.execute(update(WATCHERS).where(mine).values(seen=WATCHERS.c.seen - seconds))


def test_watchers_are_listed_with_their_silence(sits):
    one, other = sits("one:1"), sits("two:2")
    silence(one)
    first, second = other.seats.watchers()
    assert (first.name, second.name) == ("one:1", "two:2")
    assert first.silent > 90 > second.silent
    one.seats.renew()
    assert other.seats.watchers()[0].silent < 90


def test_of_two_that_accept_a_path_one_wins_with_all_that_belongs_to_it(sits):
    one, other = sits("one"), sits("two")
    work = accept(one, "a.step", jobs=2)
    loser, second = a_file(other, "a.step"), a_file(other, "b.step")
    begun = moved(loser, state=FileState.FAILED)
    refused = other.apply(
        [
            NewFile(loser, (a_job(other, loser),), (Note(1.0, "accepted"),)),
            SaveFile(loser, begun, (Note(1.0, "fail"),)),
            NewFile(second, (a_job(other, second),), (Note(1.0, "accepted"),)),
        ]
    )
    assert refused == {loser.id}
    assert other.work(loser.id) is None
    assert other.work(work.file.id) == work
    assert other.counts() == {("in", FileState.ACCEPTED): 2}
    assert [len(rows) for _, rows in other.history("in", "a.step")] == [1]


def test_each_file_is_claimed_once_by_all_that_claim_at_once(sits):
    ledgers = [sits(f"w{number}") for number in range(3)]
    for number in range(60):
        accept(ledgers[0], f"{number}.step")
    claimed = {ledger.number: [] for ledger in ledgers}

    def claim_all(ledger):
        mine = claimed[ledger.number]
        while works := ledger.seats.claim(LANE, 5, [work.file.id for work in mine]):
            mine.extend(works)

    threads = [threading.Thread(target=claim_all, args=(one,)) for one in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [work.file.id for works in claimed.values() for work in works]
    assert len(ids) == len(set(ids)) == 60
    assert all(work.file.holder == seat for seat, works in claimed.items() for work in works)
    assert ledgers[0].seats.lanes({LANE, Lane("in", "other")}) == {LANE}  # ours, and not begun
    for work in claimed[ledgers[0].number]:
        save(ledgers[0], work.file, state=FileState.WORKING)
    assert ledgers[0].seats.lanes({LANE}) == set()


def test_a_claim_goes_by_priority_then_age(sits):
    one = sits("one")
    for priority, path in ((0, "old"), (5, "urgent"), (0, "new")):
        accept(one, path, priority=priority)
    assert [work.file.path for work in one.seats.claim(LANE, 2, [])] == ["urgent", "old"]


def test_a_claim_whose_reply_was_lost_is_given_again(sits):
    one = sits("one")
    accept(one)
    lost = one.seats.claim(LANE, 5, [])
    again = one.seats.claim(LANE, 5, [])
    assert [work.file.id for work in again] == [work.file.id for work in lost]
    assert one.seats.claim(LANE, 5, [again[0].file.id]) == []


def test_a_dead_watchers_files_are_inherited_and_it_is_fenced(sits):
    dead, heir = sits("dead", lease=10.0), sits("heir", lease=10.0)
    accept(dead, "waiting.step")
    accept(dead, "working.step", priority=1)
    claimed = dead.seats.claim(LANE, 2, [])
    begun = save(dead, claimed[0].file, state=FileState.WORKING)
    assert heir.seats.lapsed() == []
    silence(dead)
    assert heir.seats.lapsed() == [dead.number]
    inherited = heir.seats.inherit(dead.number)
    assert [(w.file.path, w.file.holder) for w in inherited] == [("working.step", heir.number)]
    assert heir.seats.lapsed() == []
    assert heir.seats.inherit(dead.number) == []
    assert [w.file.path for w in heir.seats.claim(LANE, 9, [])] == ["waiting.step"]
    for act in (
        lambda: save(dead, begun, reason="x"),
        lambda: accept(dead, "other.step"),
        dead.seats.renew,
        lambda: dead.seats.claim(LANE, 1, []),
        dead.seats.lapsed,
        lambda: dead.seats.inherit(heir.number),
    ):
        with pytest.raises(Fenced, match="took over"):
            act()
    assert heir.live("in", ["other.step"]) == {}


def test_one_that_leaves_frees_its_files_at_once(sits):
    one, other = sits("one"), sits("two")
    accept(one, "a.step")
    accept(one, "b.step")
    first, _ = one.seats.claim(LANE, 2, [])
    save(one, first.file, state=FileState.WORKING)
    one.seats.leave()
    assert [w.file.path for w in other.seats.claim(LANE, 9, [])] == ["b.step"]
    assert other.seats.lapsed() == [one.number]


def test_a_batch_whose_commit_was_not_heard_of_is_recorded_once(sits, postgres_server):
    one = sits("one")
    work = accept(one)
    changes = [SaveFile(work.file, moved(work.file, reason="x"), (Note(1.0, "note"),))]
    assert one.apply(changes) == frozenset()
    one.seats._batch -= 1  # the commit came through, the word of it did not
    assert one.apply(changes) == frozenset()
    assert len(one.history("in", "a.step")[0][1]) == 2
    with pytest.raises(StaleRecord):
        one.apply(changes)


def test_files_refused_by_an_unheard_commit_are_told_the_second_time(sits):
    one, other = sits("one"), sits("two")
    accept(one, "a.step")
    loser = a_file(other, "a.step")
    changes = [NewFile(loser, ())]
    assert other.apply(changes) == {loser.id}
    other.seats._batch -= 1
    assert other.apply(changes) == {loser.id}


def test_a_ledger_of_the_first_version_is_brought_up(postgres_server):
    url = postgres_server.emptied()
    ledger = open_ledger(Path(), read_only=False, url=url)
    work = accept(ledger)
    ledger.close()
    postgres_server.sql(
        "DROP TABLE watchers; DROP INDEX files_held, files_seen;"
        "ALTER TABLE files DROP COLUMN holder, DROP COLUMN params;"
        "UPDATE meta SET value = '1' WHERE name = 'version'"
    )
    ledger = open_ledger(Path(), read_only=False, url=url)
    assert ledger.work(work.file.id) == work
    ledger.seats.sit()
    assert len(ledger.seats.claim(LANE, 1, [])) == 1
    ledger.close()
    postgres_server.sql("UPDATE meta SET value = '9' WHERE name = 'version'")
    with pytest.raises(LedgerUnusable, match="version 9"):
        open_ledger(Path(), read_only=False, url=url)


def test_a_holder_is_part_of_the_record(sits):
    one = sits("one")
    accept(one)
    (work,) = one.seats.claim(LANE, 1, [])
    assert one.work(work.file.id) == work
    live = one.live("in", ["a.step"])["a.step"]
    assert work.file._replace(holder=0, version=0) == live._replace(holder=0, version=0)

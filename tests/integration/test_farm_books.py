"""How serve moves jobs on by what the shared folder says, and what it makes of silence."""

from __future__ import annotations

import time
import uuid

import pytest

from watcher.embedded.executor import Books
from watcher.embedded.farm import roster
from watcher.embedded.farm.board import Row
from watcher.embedded.farm.claims import AGAIN, ENDED, LEFT, Claims, Verdict, name_of, named
from watcher.embedded.farm.referee import Referee
from watcher.embedded.farm.roster import Roster, Sent
from watcher.embedded.farm.tasks import step
from watcher.embedded.folders import Folders
from watcher.embedded.store import PENDING, SUCCESS, Job, Outcome, Step, Store
from watcher.errors import Unreachable

DONE = Outcome(status=SUCCESS, result={"a": 1}, warnings=("w",), steps=(Step("s", 0.5),))


class Rig:
    def __init__(self, root):
        self.store, self.folders = Store(root / "jobs.sqlite"), Folders(root)
        self.claims = Claims(self.folders)
        self.told, self.waiting = [], []
        books = Books(self.store, self.folders, self.told.append)
        self.referee = Referee(books, self.claims, self.waiting.append)

    def job(self):
        found = str(uuid.uuid4())
        self.folders.job(found).mkdir()
        self.store.add(
            Job(seq=0, id=found, name="", process="p", priority=0, status=PENDING, requested=1.0)
        )
        return found

    def judged(self, job, attempt, verdict):
        assert self.claims.claim(job, attempt, "w")
        self.claims.judge(job, attempt, verdict)


@pytest.fixture
def rig(tmp_path):
    made = Rig(tmp_path)
    yield made
    made.store.close()


def test_an_attempt_has_one_claim_and_a_job_that_is_gone_none(rig):
    job = rig.job()
    assert not rig.claims.claimed(job, 1)
    assert rig.claims.claim(job, 1, "one")
    assert rig.claims.claimed(job, 1)
    assert not rig.claims.claim(job, 1, "two")
    assert not rig.claims.claim("gone", 1, "one")


def test_an_end_that_is_read_twice_is_told_once(rig):
    job = rig.job()
    made = rig.folders.job(job) / "outputs.1"
    made.mkdir()
    rig.judged(job, 1, Verdict(kind=ENDED, began=5.0, outcome=DONE, kept=True))
    assert rig.referee.finish(job, 1)
    assert rig.referee.finish(job, 1)
    assert rig.told == [job]
    found = rig.store.get(job)
    assert (found.status, found.result, found.warnings, found.steps, found.started) == (
        SUCCESS, {"a": 1}, ("w",), (Step("s", 0.5),), 5.0,
    )  # fmt: skip
    assert (rig.folders.job(job) / "outputs").is_dir()


def test_an_old_attempt_changes_nothing(rig):
    job = rig.job()
    rig.judged(job, 1, Verdict(kind=LEFT, began=5.0))
    assert rig.referee.finish(job, 1)
    assert [one.id for one in rig.waiting] == [job]
    assert rig.referee.begin(job, 2, 6.0)
    assert not rig.referee.begin(job, 1, 5.0)
    rig.claims.judge(job, 1, Verdict(kind=ENDED, began=5.0, outcome=DONE))
    assert rig.referee.finish(job, 1)
    assert rig.store.get(job).runs == 2
    assert rig.told == []
    assert not rig.referee.begin("gone", 1, 5.0)
    assert not rig.referee.finish(job, 2)


def test_a_crash_waits_again_with_its_reason(rig):
    job = rig.job()
    rig.judged(job, 1, Verdict(kind=AGAIN, began=5.0, error="it crashed"))
    assert rig.referee.finish(job, 1)
    found = rig.store.get(job)
    assert (found.status, found.retry, found.error) == ("RETRY", 1, "it crashed")


def test_a_lost_attempt_counts_when_it_ran_and_its_verdict_is_read_first(rig):
    never, ran, ended = rig.job(), rig.job(), rig.job()
    for job in (never, ran, ended):
        rig.referee.begin(job, 1, 5.0)
    rig.claims.claim(ran, 1, "w")
    rig.judged(ended, 1, Verdict(kind=ENDED, began=5.0, outcome=DONE))
    for job in (never, ran, ended):
        rig.referee.lose(job, 1)
    assert (rig.store.get(never).runs, rig.store.get(never).retry) == (0, 0)
    assert (rig.store.get(ran).runs, rig.store.get(ran).retry) == (1, 1)
    assert rig.store.get(ended).status == SUCCESS
    rig.referee.begin(ran, 2, 6.0)
    rig.claims.claim(ran, 2, "w")
    rig.referee.lose(ran, 1)  # long over
    assert rig.store.get(ran).runs == 2
    rig.referee.lose(ran, 2)
    assert "given up" in rig.store.get(ran).error


def test_a_cancelled_job_that_waits_can_be_claimed_by_nobody(rig):
    waiting, begun = rig.job(), rig.job()
    rig.claims.claim(begun, 1, "w")  # its worker has not told of it yet
    assert rig.referee.cancel(waiting) is None
    assert not rig.claims.claim(waiting, 1, "w")
    assert rig.referee.cancel(begun) == 1
    assert rig.referee.cancel("gone") is None
    assert rig.told == [waiting, begun]


def test_the_folder_names_its_farm_once(tmp_path):
    assert name_of(tmp_path) == ""
    found = named(tmp_path)
    assert (named(tmp_path), name_of(tmp_path)) == (found, found)
    with pytest.raises(Unreachable, match="cannot be used"):
        named(tmp_path / "gone")


def row(attempt=1, beat=0, shown=0):
    return Row(attempt=attempt, began=1.0, worker="w", beat=beat, shown=shown)


@pytest.fixture
def late():
    """A roster, and a way to make all it knows older."""
    made = Roster()

    def age(seconds):
        for live in (*made.live.values(), *made.strays.values()):
            live.seen -= seconds
        made.sent = {job: Sent(s.attempt, s.queue, s.at - seconds) for job, s in made.sent.items()}

    return made, age


def test_silence_is_a_loss_only_while_the_broker_is_there(late):
    found, age = late
    found.begin("a", 1)
    age(roster.LOST_AFTER + 1)
    found.reachable_since = time.monotonic()
    assert found.lost() == []
    found.reachable_since -= roster.LOST_AFTER + 1
    assert found.lost() == ["a"]
    assert found.heard({"a": row(beat=1, shown=1), "b": row()}) == ["a"]
    assert found.lost() == []
    age(roster.LOST_AFTER + 1)
    found.heard({"a": row(beat=1, shown=1)})  # the same beat is no sign of life
    assert found.lost() == ["a"]
    found.live["a"].told = time.monotonic()  # a share may show its verdict late
    assert (found.lost(), found.told()) == ([], ["a"])
    found.live["a"].told -= roster.AWAITED + 1
    assert found.lost() == ["a"]


def test_strays_are_stopped_and_forgotten_when_they_are_silent(late):
    found, age = late
    assert found.stray({"a": row(beat=1)}) == ({"a": 1}, [])
    age(roster.LOST_AFTER + 1)
    assert found.stray({"a": row(beat=1)}) == ({"a": 1}, ["a"])
    assert found.stray({"a": row(beat=2)}) == ({"a": 1}, [])
    assert found.stray({}) == ({}, [])
    assert not found.strays


def test_what_was_sent_long_ago_is_looked_after(late):
    found, age = late
    found.sent["a"] = Sent(1, "gpu", time.monotonic())
    assert found.stale() == {}
    age(roster.STALE_AFTER + 1)
    assert list(found.stale()) == ["a"]
    assert found.queues(["a", "b"]) == {"gpu"}
    live = roster.Live(1, 0.0)
    found.leave("a", live)
    found.end("a")
    assert found.stale() == {}


def test_priorities_come_in_ten_steps():
    assert [step(one) for one in (1000, 5, 4, 0, -4, -1000)] == [0, 0, 1, 5, 9, 9]

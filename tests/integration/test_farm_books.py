"""How serve moves jobs on by what the shared folder says, and what it makes of silence."""

from __future__ import annotations

import time
import uuid

import pytest

from watcher.embedded.executor import Books
from watcher.embedded.farm import roster
from watcher.embedded.farm.board import ANSWER_WITHIN, Row
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


class Rounds:
    """What a dispatcher does to its roster, at times of its own."""

    def __init__(self):
        self.roster, self.at = Roster(), 1000.0
        self.roster.listen(self.at)
        self.roster.back()
        self.roster.begin("a", 1)

    def pass_by(self, seconds, *, every=0.5):
        """So many seconds of rounds in which nobody gives a sign of life."""
        for _ in range(int(seconds / every)):
            self.at += every
            self.roster.listen(self.at)
            self.roster.heard({"a": row(beat=1)})
        return self.roster.lost()


def test_a_silent_worker_is_lost_within_ten_seconds_and_a_telling_one_is_not():
    rounds = Rounds()
    assert rounds.pass_by(7) == []
    assert rounds.pass_by(3) == ["a"]
    assert rounds.roster.heard({"a": row(beat=2, shown=1), "b": row()}) == ["a"]
    assert rounds.roster.lost() == []


def test_a_lost_attempt_whose_end_was_told_of_may_show_its_verdict_late():
    rounds = Rounds()
    rounds.pass_by(10)
    live = rounds.roster.live["a"]
    live.told = time.monotonic()
    assert (rounds.roster.lost(), rounds.roster.told()) == ([], ["a"])
    live.told -= roster.AWAITED + 1
    assert rounds.roster.lost() == ["a"]


def test_a_pause_of_serve_is_no_silence_of_its_workers():
    rounds = Rounds()
    rounds.pass_by(1)
    rounds.at += 60
    assert rounds.pass_by(1) == []
    assert rounds.pass_by(8) == ["a"]


def test_rounds_that_are_always_late_find_a_lost_worker_all_the_same():
    rounds = Rounds()
    assert rounds.pass_by(60, every=6.0) == ["a"]


def test_workers_have_time_to_find_redis_again_when_it_is_back():
    rounds = Rounds()
    rounds.pass_by(5)
    rounds.roster.away()
    rounds.at += 100
    rounds.roster.listen(rounds.at)
    rounds.roster.back()
    assert rounds.pass_by(ANSWER_WITHIN + 6) == []
    assert rounds.pass_by(4) == ["a"]


def test_strays_are_stopped_and_forgotten_when_they_are_silent():
    rounds = Rounds()
    found = rounds.roster
    assert found.stray({"s": row(beat=1)}) == ({"s": 1}, [])
    rounds.pass_by(10)
    assert found.stray({"s": row(beat=1)}) == ({"s": 1}, ["s"])
    assert found.stray({"s": row(beat=2)}) == ({"s": 1}, [])
    assert found.stray({}) == ({}, [])
    assert not found.strays


def test_what_was_sent_long_ago_is_looked_after():
    found = Roster()
    found.sent["a"] = Sent(1, "gpu", time.monotonic())
    assert found.stale() == {}
    found.sent["a"] = Sent(1, "gpu", time.monotonic() - roster.STALE_AFTER - 1)
    assert list(found.stale()) == ["a"]
    assert found.queues(["a", "b"]) == {"gpu"}
    live = roster.Live(1, 0.0)
    found.leave("a", live)
    found.end("a")
    assert found.stale() == {}


def test_priorities_come_in_ten_steps():
    assert [step(one) for one in (1000, 5, 4, 0, -4, -1000)] == [0, 0, 1, 5, 9, 9]

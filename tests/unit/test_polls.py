"""When jobs are asked for, and which of them together."""

from __future__ import annotations

import itertools

from watcher.core.settings import SchedulerSettings
from watcher.daemon.polls import SOONEST, Asked, Polls

EVERY = SchedulerSettings(url="http://x").poll_every


def sent(polls: Polls, remote: str, at: float) -> None:
    polls.add(remote, Asked(remote, 1, 1, since=at, due=at + EVERY, news=at))


def test_a_poll_takes_along_what_falls_due_soon():
    polls = begun(SchedulerSettings(url="http://x"))
    sent(polls, "first", 0.0)
    sent(polls, "second", EVERY * 0.4)
    sent(polls, "just now", EVERY * 0.9)
    assert polls.due(EVERY * 0.95) is None
    assert polls.due(EVERY) == ("first", "second")


def test_polls_keep_their_distance_and_older_jobs_are_left_alone_for_longer():
    polls, now = Polls(SchedulerSettings(url="http://x")), 100.0
    sent(polls, "old", 0.0)
    sent(polls, "young", now)
    asked: list[tuple[float, tuple[str, ...]]] = []
    for step in range(40):
        at = now + step * EVERY / 4
        remotes = polls.due(at)
        if remotes is not None:
            asked.append((at, remotes))
            for remote in remotes:
                polls.heard(remote, "RUNNING", at, seen=True)
            polls.answered(at)
    times = [at for at, _ in asked]
    assert all(b - a >= EVERY for a, b in itertools.pairwise(times))
    assert sum("young" in remotes for _, remotes in asked) > 4
    assert sum("old" in remotes for _, remotes in asked) <= 3


def begun(settings: SchedulerSettings) -> Polls:
    polls = Polls(settings)
    polls.answered(0.0)  # the probe of a start
    return polls


def looked(polls: Polls, remote: str, at: float, *, ended: bool) -> float:
    """Sends a job and looks at it for the first time; returns after how long that was."""
    polls.add(remote, Asked(remote, 1, 1, since=at, due=at + polls.look, news=at))
    for step in range(3000):
        now = at + step / 1000
        remotes = polls.due(now)
        for one in remotes or ():
            polls.heard(one, "a word", now, seen=True, ended=ended and one == remote)
        if remotes is not None:
            polls.answered(now)
        if remote in (remotes or ()):
            if ended:
                polls.drop(remote)
            return step / 1000
    raise AssertionError


def test_where_jobs_have_ended_at_the_first_look_the_next_ones_are_looked_at_sooner():
    polls = begun(SchedulerSettings(url="http://x"))
    waits = [looked(polls, str(number), 2.0 * number, ended=True) for number in range(8)]
    assert waits[0] == EVERY
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] == SOONEST
    looks = []
    for number in range(9):
        looked(polls, f"long{number}", 20.0 + 2 * number, ended=False)
        looks.append(polls.look)
    assert looks == sorted(looks)
    assert looks[-1] == EVERY


def test_no_job_is_asked_for_more_often_than_once_in_a_period_however_short_others_are():
    polls = begun(SchedulerSettings(url="http://x"))
    for number in range(8):
        looked(polls, str(number), 2.0 * number, ended=True)
    sent_at, asked = 40.0, []
    polls.add("long", Asked("long", 1, 1, since=sent_at, due=sent_at + polls.look, news=sent_at))
    for step in range(600):
        at = sent_at + step / 50
        polls.add(f"s{step}", Asked("", 1, 1, since=at, due=at + polls.look, news=at))
        remotes = polls.due(at)
        for remote in remotes or ():
            polls.heard(remote, "a word", at, seen=True, ended=remote != "long")
            if remote == "long":
                asked.append(at)
            else:
                polls.drop(remote)
        if remotes is not None:
            polls.answered(at)
    assert len(asked) > 8
    assert all(b - a >= EVERY for a, b in itertools.pairwise(asked))


def test_a_poll_every_below_the_soonest_look_is_kept_to():
    polls = begun(SchedulerSettings(url="http://x", poll_every=SOONEST / 2))
    assert [looked(polls, str(n), 2.0 * n, ended=True) for n in range(3)] == [SOONEST / 2] * 3


def test_who_tells_by_itself_is_not_looked_at_sooner():
    polls = begun(SchedulerSettings(url="embedded"))
    polls.add("a", Asked("a", 1, 1, since=0.0, due=polls.look, news=0.0))
    polls.hint("a", 0.1)
    assert polls.due(0.1) == ("a",)
    polls.heard("a", "a word", 0.1, seen=True, ended=True)
    assert polls.look == EVERY

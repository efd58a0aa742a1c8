"""When jobs are asked for, and which of them together."""

from __future__ import annotations

import itertools

from watcher.core.settings import SchedulerSettings
from watcher.daemon.polls import Asked, Polls

EVERY = SchedulerSettings(url="http://x").poll_every


def sent(polls: Polls, remote: str, at: float) -> None:
    polls.add(remote, Asked(remote, 1, 1, since=at, due=at + EVERY, news=at))


def test_a_poll_takes_along_all_that_fall_due_before_the_next_one():
    polls = Polls(SchedulerSettings(url="http://x"))
    polls.answered(0.0)  # the probe of a start
    sent(polls, "first", 0.0)
    sent(polls, "second", EVERY * 0.9)
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

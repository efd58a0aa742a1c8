"""Copies and publications that leave together."""

from __future__ import annotations

from tests import build
from watcher.core.effects import Copy, Place, Publish
from watcher.core.model import Fingerprint
from watcher.daemon.crowd import GROUP, HEAVY, Crowd


def copy(size: int = 1) -> Copy:
    work = build.accepted()
    return Copy(work.file._replace(print=Fingerprint(size, 1)), work.jobs[0])


def publish(size: int) -> Publish:
    return Publish(build.accepted().file, (Place(1, "a", "a", size, "", replace=False),))


def test_the_first_calls_for_a_thread_and_the_next_wait_for_it():
    crowd = Crowd(4)
    assert [crowd.add(copy()) for _ in range(GROUP)] == [True] + [False] * (GROUP - 1)
    assert len(crowd.take()) == GROUP
    assert crowd.take() == []
    assert crowd.add(copy())


def test_many_call_for_more_threads_up_to_all():
    crowd = Crowd(2)
    called = [crowd.add(copy()) for _ in range(4 * GROUP)]
    assert sum(called) == 2
    assert [len(crowd.take()) for _ in range(5)] == [GROUP] * 4 + [0]


def test_the_large_go_alone_and_at_once():
    crowd = Crowd(4)
    large = GROUP * HEAVY
    assert [crowd.add(one) for one in (copy(large), publish(large), copy(large))] == [True] * 3
    assert [len(crowd.take()) for _ in range(4)] == [1, 1, 1, 0]


def test_order_is_kept():
    crowd = Crowd(1)
    effects = [copy(), publish(1), copy(GROUP * HEAVY), copy()]
    for one in effects:
        crowd.add(one)
    assert [*crowd.take(), *crowd.take(), *crowd.take()] == effects

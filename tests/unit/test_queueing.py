"""Who is next: priority first, round robin among equals, a bounded window in memory."""

from __future__ import annotations

from itertools import islice

from tests import build
from watcher.core.model import FileState
from watcher.core.ports import Lane
from watcher.core.queueing import WINDOW, Lanes

A, B, C = Lane("cad", "a"), Lane("cad", "b"), Lane("other", "c")


def waiting(number: int, lane: Lane = A, priority: int = 0):
    return build.work(
        FileState.ACCEPTED, id=number, folder=lane.folder, rule=lane.rule, priority=priority
    )


def order(lanes: Lanes, most: int = 99) -> list[int]:
    found = []
    for _, queue in islice(lanes.order(lambda lane: True), most):
        found.append(queue.window.popleft().file.id)
    return found


def test_equal_lanes_take_turns():
    lanes = Lanes()
    for number in range(3):
        lanes.queue(A, 0).add(waiting(number, A))
        lanes.queue(B, 0).add(waiting(10 + number, B))
    assert order(lanes) == [0, 10, 1, 11, 2, 12]
    assert len(lanes) == 0


def test_a_higher_priority_goes_first():
    lanes = Lanes()
    lanes.queue(A, 0).add(waiting(1, A))
    for number in (2, 3):
        lanes.queue(B, 5).add(waiting(number, B))
    assert order(lanes) == [2, 3, 1]


def test_a_lane_that_may_not_go_waits():
    lanes = Lanes()
    lanes.queue(A, 9).add(waiting(1, A))
    lanes.queue(C, 0).add(waiting(2, C))
    ((lane, _),) = islice(lanes.order(lambda lane: lane == C), 1)
    assert lane == C
    assert lanes.waiting() == {A: 1, C: 1}


def test_what_the_window_cannot_hold_is_only_counted():
    queue = Lanes().queue(A, 0)
    for number in range(WINDOW + 5):
        queue.add(waiting(number))
    assert (len(queue.window), queue.beyond, len(queue)) == (WINDOW, 5, WINDOW + 5)
    queue.window.popleft()
    queue.add(waiting(999))  # after those in the ledger, whatever room there is
    assert queue.beyond == 6
    assert queue.last == (0, WINDOW - 1)


def test_a_changed_record_replaces_the_one_in_the_window():
    lanes = Lanes()
    assert not lanes.replace(waiting(1))
    queue = lanes.queue(A, 0)
    queue.add(waiting(1))
    queue.add(waiting(2))
    newer = build.work(FileState.ACCEPTED, id=2, rule="a", version=1)
    assert lanes.replace(newer)
    assert queue.window[1] is newer
    assert not lanes.replace(waiting(3))


def test_the_ledgers_part_of_a_lane_is_what_comes_after_the_window():
    lanes = Lanes()
    assert not lanes.holds(waiting(1))
    queue = lanes.queue(A, 0)
    queue.add(waiting(5))
    assert not lanes.holds(waiting(6))
    queue.beyond = 1
    assert lanes.holds(waiting(6))
    assert not lanes.holds(waiting(4))
    assert not lanes.holds(waiting(9, priority=1))
    queue.last = None
    assert lanes.holds(waiting(1))

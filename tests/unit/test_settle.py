from dataclasses import replace

import pytest

from watcher.core.model import Facts, Lease
from watcher.core.ports import Entry
from watcher.core.settle import (
    FIRST_RETRY,
    LAST_RETRY,
    PAIR,
    UNREADABLE_QUIET,
    Again,
    Candidate,
    Gone,
    Hint,
    Settled,
    judge,
)

FREE = Facts(10, 1, 1, 7, 1, Lease.FREE)
UNKNOWN = replace(FREE, lease=Lease.UNKNOWN)
REFUSED = replace(FREE, lease=Lease.REFUSED)


def verdict(before, look, *, now=100.0, settle=1.0, hint=Hint.SCAN):
    return judge(before, look, now=now, settle=settle, hint=hint)


def test_a_vanished_file_is_gone():
    assert verdict(Candidate(FREE, 0.0), None) == Gone()


def test_a_first_look_asks_for_a_second_after_the_quiet_time():
    assert verdict(None, FREE) == Again(Candidate(FREE, 100.0), 101.0)


def test_an_unchanged_file_settles_after_the_quiet_time():
    assert verdict(Candidate(FREE, 99.0), FREE) == Settled(FREE)


def test_an_unchanged_file_waits_for_the_rest_of_the_quiet_time():
    assert verdict(Candidate(FREE, 99.5), FREE) == Again(Candidate(FREE, 99.5), 100.5)


@pytest.mark.parametrize("name", ["size", "mtime_ns", "ctime_ns", "inode", "device"])
def test_any_change_begins_the_quiet_time_anew(name):
    changed = replace(FREE, **{name: 99})
    assert verdict(Candidate(FREE, 0.0), changed) == Again(Candidate(changed, 100.0), 101.0)


def test_a_refused_lease_is_never_settled_however_quiet():
    found = verdict(Candidate(REFUSED, 0.0), REFUSED, settle=0.0, hint=Hint.MOVED)
    assert isinstance(found, Again)


def test_looks_at_a_refused_file_back_off_to_a_limit():
    candidate, waits = None, []
    for _ in range(8):
        found = verdict(candidate, REFUSED)
        candidate = found.candidate
        waits.append(found.at - 100.0)
    assert waits[0] == pytest.approx(FIRST_RETRY)
    assert waits[1] == pytest.approx(2 * FIRST_RETRY)
    assert waits[-1] == pytest.approx(LAST_RETRY)


def test_the_time_under_a_writer_is_not_quiet():
    assert verdict(Candidate(REFUSED, 0.0, 3), FREE) == Again(Candidate(FREE, 100.0), 101.0)


def test_a_rename_into_place_counts_as_quiet():
    assert verdict(None, UNKNOWN, hint=Hint.MOVED) == Settled(UNKNOWN)


def test_without_quiet_time_a_free_lease_is_enough():
    assert verdict(None, FREE, settle=0.0) == Settled(FREE)


def test_without_quiet_time_an_unknown_lease_needs_a_closed_event():
    assert verdict(None, UNKNOWN, settle=0.0, hint=Hint.CLOSED) == Settled(UNKNOWN)


def test_without_quiet_time_or_lease_two_equal_looks_settle():
    first = verdict(None, UNKNOWN, settle=0.0)
    assert first == Again(Candidate(UNKNOWN, 100.0), 100.0 + PAIR)
    assert verdict(first.candidate, UNKNOWN, now=first.at, settle=0.0) == Settled(UNKNOWN)


def test_an_empty_file_just_created_is_looked_at_twice():
    empty = replace(FREE, size=0)
    assert isinstance(verdict(None, empty, settle=0.0, hint=Hint.CREATED), Again)
    assert verdict(None, empty, settle=0.0, hint=Hint.CLOSED) == Settled(empty)


def test_an_unreadable_file_gets_a_longer_patience():
    unreadable = replace(FREE, lease=Lease.UNREADABLE)
    found = verdict(None, unreadable, settle=0.0, hint=Hint.MOVED)
    assert found == Again(Candidate(unreadable, 100.0), 100.0 + UNREADABLE_QUIET)


def test_what_a_scan_sees_of_a_file_tells_length_and_time_only():
    seen = Entry("a", 7, 9)
    assert seen.facts == Facts(7, 9, 0, 0, 0)
    assert seen.facts.lease is Lease.UNKNOWN

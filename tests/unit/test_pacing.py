"""When to try again, to poll, to give up: values, in seconds, whatever the clock does."""

from __future__ import annotations

import pytest

from watcher.core import pacing
from watcher.core.pacing import Breaker, GiveUp, Quiet, RetryAt

HOUR = 3600.0


def test_the_wait_doubles_up_to_its_limit_and_jitter_adds_a_quarter():
    waits = [pacing.backoff(n, 1.0, 60.0, 0.0) for n in (1, 2, 3, 7, 99)]
    assert waits == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert pacing.backoff(1, 1.0, 60.0, 0.9999) < 1.25


def test_a_job_is_tried_again_as_often_as_the_rule_says():
    assert pacing.retry(1, retries=2, base=30.0, now=100.0, spread=0.0) == RetryAt(130.0)
    assert pacing.retry(2, retries=2, base=30.0, now=100.0, spread=0.0) == RetryAt(160.0)
    assert pacing.retry(3, retries=2, base=30.0, now=100.0, spread=0.0) == GiveUp(3)
    assert pacing.retry(1, retries=0, base=30.0, now=100.0, spread=0.0) == GiveUp(1)


def test_what_time_mends_comes_back_within_a_minute_or_so():
    assert pacing.transient(1, now=0.0, spread=0.0) == 1.0
    assert pacing.transient(50, now=0.0, spread=0.0) == pacing.SLOWEST_TRANSIENT


@pytest.mark.parametrize(
    ("at", "now", "expected"), [(10.0, 4.0, 6.0), (4.0, 10.0, 0.0), (1e9, 0.0, 1.25 * HOUR)]
)
def test_a_recorded_time_is_waited_for_no_longer_than_any_retry(at, now, expected):
    assert pacing.until(at, now) == expected


@pytest.mark.parametrize(
    ("passed", "held"), [(0.0, True), (20.0, True), (21.0, False), (-1, False)]
)
def test_an_unsure_sending_is_held_for_a_bounded_while(passed, held):
    assert pacing.unsure(1000.0, 1000.0 + passed) is held


@pytest.mark.parametrize(
    ("age", "fastest", "expected"),
    [(0.0, 1.0, 1.0), (100.0, 1.0, 10.0), (1e6, 1.0, 30.0), (1e6, 60.0, 60.0)],
)
def test_a_job_is_asked_for_less_often_as_it_grows_old(age, fastest, expected):
    assert pacing.poll_after(age, fastest) == expected


@pytest.mark.parametrize(
    ("quiet", "was_seen", "is_seen", "limit", "expected"),
    [
        (HOUR, True, True, None, Quiet.FINE),
        (1.5 * HOUR, True, True, None, Quiet.STALLED),
        (1.5 * HOUR, True, True, 3 * HOUR, Quiet.FINE),
        (3.5 * HOUR, True, True, 3 * HOUR, Quiet.STALLED),
        (23 * HOUR, False, False, None, Quiet.FINE),
        (24 * HOUR, False, False, None, Quiet.STALLED),
        (59.0, True, False, None, Quiet.FINE),
        (60.0, True, False, None, Quiet.LOST),
    ],
)
def test_what_a_silence_about_a_job_means(quiet, was_seen, is_seen, limit, expected):
    found = pacing.silence(quiet, was_seen=was_seen, is_seen=is_seen, time_limit=limit)
    assert found is expected


def test_a_sending_that_breaks_alone_is_poison_in_the_end():
    assert not pacing.poisoned(pacing.POISON_TRIES - 1, garbled=False)
    assert pacing.poisoned(pacing.POISON_TRIES, garbled=False)
    assert pacing.poisoned(pacing.GARBLED_TRIES, garbled=True)


def test_the_breaker_opens_after_some_failures_in_a_row_and_closes_on_a_success():
    breaker = Breaker()
    for second in range(pacing.BREAKER_FAILURES):
        assert not breaker.open
        breaker = breaker.failed(float(second), "refused", 0.0)
    assert breaker.open
    assert (breaker.since, breaker.until, breaker.reason) == (0.0, 3.0, "refused")
    for second in range(50):
        breaker = breaker.failed(float(second), "refused", 0.0)
    assert breaker.until == 49.0 + pacing.LONGEST_PROBE
    assert not breaker.passed().open
    assert Breaker().passed() == Breaker()

"""What every clock promises."""

from __future__ import annotations

import pytest

from tests.fakes.clock import FakeClock
from watcher.adapters.clock import SystemClock


@pytest.mark.parametrize("make", [SystemClock, FakeClock])
def test_monotonic_time_never_falls_and_wall_time_is_of_this_epoch(make):
    clock = make()
    seen = [clock.monotonic() for _ in range(100)]
    assert seen == sorted(seen)
    assert clock.now() > 1_700_000_000


def test_the_fake_moves_only_when_told():
    clock = FakeClock(now=100.0)
    assert (clock.now(), clock.now()) == (100.0, 100.0)
    clock.advance(5)
    clock.step(-50)
    assert (clock.now(), clock.monotonic()) == (55.0, 5.0)
    with pytest.raises(ValueError, match="forwards"):
        clock.advance(-1)

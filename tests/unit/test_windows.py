"""When jobs may be sent: windows as people write them, over midnight and summer time."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from watcher.config import zones
from watcher.core import windows
from watcher.core.settings import When

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone=BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def nights(*texts: str) -> When:
    return When(tuple(windows.parse(text) for text in texts or ("Mon-Fri 19:00-07:00",)), BERLIN)


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-23 18:59", False),  # a Monday
        ("2026-11-23 19:00", True),
        ("2026-11-24 06:59", True),
        ("2026-11-24 07:00", False),
        ("2026-11-28 06:59", True),  # Saturday morning is still Friday's night
        ("2026-11-28 19:30", False),
        ("2026-11-23 03:00", False),  # Monday morning is Sunday's night
    ],
)
def test_a_night_belongs_to_the_day_it_begins_on(moment, open_):
    assert windows.is_open(nights(), at(moment)) is open_


def test_the_next_opening_is_told_on_the_windows_own_clock():
    assert windows.opens(nights(), at("2026-11-28 12:00")) == at("2026-11-30 19:00")
    assert windows.opens(nights(), at("2026-11-23 20:00")) == at("2026-11-23 20:00")
    assert windows.told(nights(), at("2026-11-28 12:00")) == (
        "the window opens Mon 2026-11-30 19:00 CET"
    )
    assert windows.told(nights(), at("2026-11-23 20:00")) == ""


def test_hours_keep_their_meaning_over_a_change_of_summer_time():
    daily = nights("03:30-04:00")
    assert windows.opens(daily, at("2026-03-28 12:00")) == at("2026-03-29 03:30")
    assert windows.opens(daily, at("2026-03-27 12:00")) == at("2026-03-28 03:30")


def test_days_alone_hours_alone_and_days_around_the_weekend():
    weekend = nights("Sat,Sun")
    assert windows.is_open(weekend, at("2026-11-28 00:00"))
    assert windows.is_open(weekend, at("2026-11-29 23:59"))
    assert not windows.is_open(weekend, at("2026-11-30 00:00"))
    assert windows.is_open(nights("22:00-24:00"), at("2026-11-25 23:59"))
    assert windows.parse("friday-mon 8:00-9:00").days == {4, 5, 6, 0}
    assert windows.is_open(None, 0.0)


@pytest.mark.parametrize(
    "text", ["", "Mon-Fri 25:00-26:00", "19:00-19:00", "soon", "Mon 19-7", "9:75-10:00", "2-3 9:00"]
)
def test_what_is_no_window_is_refused_in_words(text):
    with pytest.raises(ValueError, match=r"empty|hour|window"):
        windows.parse(text)


def test_a_zone_stands_behind_the_hours_or_beside_them():
    one = zones.when(["Mon-Fri 19:00-07:00; Sat,Sun Europe/Berlin"], None)
    assert one.zone == BERLIN
    assert len(one.windows) == 2
    assert zones.when(["Sat"], "UTC").zone == ZoneInfo("UTC")
    assert str(zones.when(["Sat"], None).zone) == str(zones.here())
    with pytest.raises(ValueError, match="no time zone 'Europe/Berlni'"):
        zones.when(["Sat"], "Europe/Berlni")
    with pytest.raises(ValueError, match="two zones"):
        zones.when(["Sat Europe/Berlin"], "UTC")


def test_without_a_zone_the_machines_counts(monkeypatch):
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert zones.here() == ZoneInfo("Asia/Tokyo")
    monkeypatch.setenv("TZ", "nowhere/at all")
    assert zones.here() is UTC

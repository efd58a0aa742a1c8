"""When a rule may submit: ``Mon-Fri 19:00-07:00``, read and asked.

Imports ``settings`` and the standard library's data types. Invariant: a window is judged on the
clock of its time zone, so that nights keep their hours over a change of summer time.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta

from watcher.core.settings import When, Window

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60  # minutes
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_EXAMPLE = "such as `Mon-Fri 19:00-07:00`, `Sat,Sun` or `22:00-06:00`"


def parse(text: str) -> Window:
    """One window: days, hours, or both. Raises ``ValueError`` in words."""
    words = text.split(maxsplit=1)
    if not words:
        raise ValueError(f"is empty; write a window {_EXAMPLE}")
    if _HOURS.fullmatch(text.strip()):
        return Window(frozenset(range(7)), *_hours(text.strip()))
    days = _days(words[0], text)
    return Window(days, *(_hours(words[1].strip()) if len(words) > 1 else (0, DAY)))


def _days(text: str, whole: str) -> frozenset[int]:
    found: set[int] = set()
    for piece in text.split(","):
        first, dash, last = piece.partition("-")
        start = _day(first, whole)
        end = _day(last, whole) if dash else start
        found.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(found)


def _day(text: str, whole: str) -> int:
    # full names are welcome: their first three letters tell
    if text[:3].lower() not in DAYS or not text.isalpha():
        raise ValueError(f"{whole!r} is no time window; write one {_EXAMPLE}")
    return DAYS.index(text[:3].lower())


def _hours(text: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no span of hours; write one {_EXAMPLE}")
    hour, minute, until, past = map(int, found.groups())
    start, end = hour * 60 + minute, until * 60 + past
    if max(minute, past) > 59 or start >= DAY or end > DAY:  # noqa: PLR2004  (minutes of an hour)
        raise ValueError(f"{text!r} holds an hour that no day has")
    if start == end:
        raise ValueError(f"{text!r} is empty; write 00:00-24:00 for the whole day")
    return start, end


def is_open(when: When | None, at: float) -> bool:
    """Whether jobs may be submitted at this wall time; always without a window."""
    if when is None:
        return True
    there = datetime.fromtimestamp(at, when.zone)
    minute, day = there.hour * 60 + there.minute, there.weekday()
    return any(_holds(window, day, minute) for window in when.windows)


def _holds(window: Window, day: int, minute: int) -> bool:
    if window.start < window.end:
        return day in window.days and window.start <= minute < window.end
    late = day in window.days and minute >= window.start
    early = (day - 1) % 7 in window.days and minute < window.end
    return late or early


def opens(when: When, at: float) -> float:
    """The wall time at which it opens next; ``at`` itself while it is open."""
    if is_open(when, at):
        return at
    today = datetime.fromtimestamp(at, when.zone).date()
    starts = (
        datetime.combine(
            today + timedelta(days=ahead),
            time(window.start // 60, window.start % 60),
            when.zone,
        ).timestamp()
        for ahead in range(9)
        for window in when.windows
        if (today + timedelta(days=ahead)).weekday() in window.days
    )
    return min(start for start in starts if start > at)


def told(when: When, at: float) -> str:
    """For people: when the window opens, on its own clock; empty while it is open."""
    start = opens(when, at)
    if start == at:
        return ""
    return f"the window opens {datetime.fromtimestamp(start, when.zone):%a %Y-%m-%d %H:%M %Z}"

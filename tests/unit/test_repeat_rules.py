"""Whether a file that comes again is what was delivered before."""

from __future__ import annotations

import pytest

from tests import build
from watcher.core.model import FileState, Fingerprint, Part
from watcher.core.repeats import candidates, repeated, skipped

BEFORE = build.file(FileState.ARCHIVED, digest="d", accepted_at=build.NOW)
NOW_ONE = build.file(FileState.ACCEPTED, id=2, arrival=2, digest="d")
SKIP = build.rule(on_repeat="skip")


def test_the_same_content_delivered_by_the_same_rule_is_a_repeat():
    assert repeated(SKIP, NOW_ONE, [BEFORE, NOW_ONE]) is BEFORE


def test_the_last_of_several_is_named_with_its_arrival_and_time():
    later = build.file(FileState.DELIVERED, id=3, arrival=2, digest="d", accepted_at=build.NOW)
    third = build.file(FileState.ACCEPTED, id=4, arrival=3, digest="d")
    assert repeated(SKIP, third, [BEFORE, later, third]) is later
    assert "arrival 2, accepted 2025-06-15T15:06:40Z" in skipped(later)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "other"},
        {"digest": ""},
        {"state": FileState.FAILED},
        {"rule": "another"},
        {"print": Fingerprint(5, 1)},
        {"parts": (Part("t.png", "t.png", Fingerprint(1, 1)),)},
        {"arrival": 2},
    ],
    ids=str,
)
def test_in_doubt_it_is_none(change):
    before = build.file(**{"state": FileState.ARCHIVED, "digest": "d", **change})
    assert repeated(SKIP, NOW_ONE, [before]) is None


def test_a_content_that_was_not_read_yet_has_candidates_and_is_no_repeat():
    unread = build.file(FileState.ACCEPTED, id=2, arrival=2)
    assert candidates(SKIP, unread, [BEFORE]) == [BEFORE]
    assert repeated(SKIP, unread, [build.file(FileState.ARCHIVED)]) is None


def test_again_never_asks():
    assert repeated(build.rule(), NOW_ONE, [BEFORE]) is None

"""The list of files that have not settled."""

from __future__ import annotations

from watcher.core.settle import Candidate, Hint
from watcher.daemon.candidates import Candidates


def test_two_entries_of_one_instant_find_a_file_once() -> None:
    candidates, key = Candidates(), ("in", "a")
    candidates.hinted(key, Hint.CREATED, now=1.0)
    (_, pending), *_ = candidates.due(1.0, 10)
    memory = Candidate(None, 1.0)  # type: ignore[arg-type]
    candidates.again(key, memory, 2.0)
    candidates.again(key, memory, 2.0)
    assert candidates.due(2.0, 10) == [(key, pending)]
    candidates.drop(key)
    assert candidates.due(9.0, 10) == []
    assert len(candidates) == 0

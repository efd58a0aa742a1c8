"""Random sequences of changes: disk and memory give the same answers, and records come back."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.ledger import MemoryLedger
from watcher.adapters.ledger import open_ledger
from watcher.adapters.ledger.rows import file_of, file_row, job_of, job_row
from watcher.core.model import (
    FileRecord,
    FileState,
    Fingerprint,
    JobRecord,
    JobState,
    Output,
    Part,
)
from watcher.core.ports import Lane, NewFile, Note, OwnTarget, SaveFile, SaveJob
from watcher.errors import StaleRecord

WORDS = st.text(max_size=8)
WHOLE = st.integers(min_value=0, max_value=2**62)
TIMES = st.floats(min_value=0, max_value=4e9)
# names as a disk gives them: any bytes but NUL and the slash
NAMES = st.binary(min_size=1, max_size=6).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"0").replace(b"/", b"_"))
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
PRINTS = st.builds(Fingerprint, WHOLE, WHOLE)
MANY_WORDS = st.lists(WORDS, max_size=2).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
FILES = st.builds(
    FileRecord,
    id=WHOLE,
    folder=WORDS,
    path=PATHS,
    arrival=WHOLE,
    state=st.sampled_from(FileState),
    rule=WORDS,
    print=PRINTS,
    digest=st.text("0123456789abcdef"),
    parts=st.lists(st.builds(Part, PATHS, PATHS, PRINTS), max_size=2).map(tuple),
    priority=st.integers(-100, 100),
    reason=WORDS,
    warnings=MANY_WORDS,
    live=st.booleans(),
    disposed=st.booleans(),
    disposal=PATHS,
    attempt=WHOLE,
    next_at=TIMES,
    accepted_at=TIMES,
    changed_at=TIMES,
    version=WHOLE,
    params=st.dictionaries(WORDS, JSON, max_size=2),
    holder=WHOLE,
)
JOBS = st.builds(
    JobRecord,
    id=WHOLE,
    file_id=WHOLE,
    index=WHOLE,
    label=WORDS,
    scheduler=WORDS,
    state=st.sampled_from(JobState),
    remote=WORDS,
    progress=st.none() | WHOLE,
    step=WORDS,
    error=WORDS,
    outputs=st.lists(st.builds(Output, PATHS, WHOLE, WORDS, PATHS, st.booleans())).map(tuple),
    warnings=MANY_WORDS,
    result=JSON,
    version=WHOLE,
)


@given(FILES)
def test_a_file_record_is_its_row(file):
    assert file_of(file_row(file)) == file


@given(JOBS)
def test_a_job_record_is_its_row(job):
    assert job_of(job_row(job)) == job


IDS = st.integers(1, 3)
STEPS = st.tuples(
    st.sampled_from(["new", "file", "file", "job", "own"]),
    IDS,  # which record
    IDS,  # which path or arrival
    st.sampled_from(FileState),
    st.sampled_from(JobState),
    st.booleans(),
    st.sampled_from(["", "k1", "k2"]),
    st.booleans(),  # a version that is not the stored one, when all others are
)
BATCHES = st.lists(st.lists(STEPS, max_size=5), max_size=6)


class Story:
    """Makes changes that are mostly right, from what it believes to be stored."""

    def __init__(self):
        self.files, self.jobs = {}, {}

    def change(self, step):
        kind, number, other, state, job_state, flag, key, stale = step
        known = self.files.get(number)
        if kind == "own":
            return OwnTarget("in", f"t{other}", f"p{number}", number)
        if kind == "new" or known is None:
            return self._new(number, other, state, flag, key)
        if kind == "job":
            before = self.jobs[number]
            after = before._replace(state=job_state, key=key, version=before.version + 1)
            self.jobs[number] = after
            return SaveJob(before, after, (Note(1.0, "job"),))
        before = known._replace(version=known.version + (stale and number == other))
        after = before._replace(
            state=state, live=flag, disposed=bool(key), version=before.version + 1
        )
        self.files[number] = after
        return SaveFile(before, after, (Note(2.0, "file", key),))

    def _new(self, number, other, state, live, key):
        file = FileRecord(
            id=number,
            folder="in",
            path=f"d/p{other}",
            arrival=number,
            state=state,
            rule="r",
            print=Fingerprint(1, 1),
            live=live,
            priority=other,
        )
        job = JobRecord(
            id=number + 10,
            file_id=number,
            index=0,
            label="j",
            scheduler="s",
            state=JobState.WAITING,
            key=key,
        )
        self.files[number], self.jobs[number] = file, job
        return NewFile(file, (job,), (Note(0.0, "new"),))


def answers(ledger):
    paths = [f"d/p{n}" for n in range(4)]
    return (
        ledger.files(),
        ledger.counts(),
        ledger.lanes(),
        ledger.unfinished(),
        ledger.waiting(Lane("in", "r"), 10),
        ledger.live("in", paths),
        ledger.known("in", "d"),
        list(ledger.directories("in")),
        [ledger.last_arrival("in", path) for path in paths],
        [ledger.history("in", path) for path in paths],
        ledger.owners("in", ["t1", "t2", "t3"]),
    )


def outcome(ledger, batch):
    try:
        ledger.apply(batch)
    except StaleRecord:
        return "stale"
    return "done"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(BATCHES)
def test_disk_and_memory_agree_after_any_batches(batches):
    story, memory = Story(), MemoryLedger()
    with tempfile.TemporaryDirectory() as folder:
        disk = open_ledger(Path(folder), read_only=False)
        for steps in batches:
            believed = dict(story.files), dict(story.jobs)
            batch = [story.change(step) for step in steps]
            said = outcome(disk, batch)
            assert said == outcome(memory, batch)
            if said == "stale":
                story.files, story.jobs = believed
            assert answers(disk) == answers(memory)
        assert disk.compact(1.0) == memory.compact(1.0)
        assert answers(disk) == answers(memory)
        disk.close()

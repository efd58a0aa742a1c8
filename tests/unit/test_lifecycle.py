"""The state machine: what may move where, what a settled file is, what recovery does."""

from __future__ import annotations

import pytest

from tests import build
from watcher.core.effects import Clean, Copy, Dispose, Fetch, Quarantine, Submit
from watcher.core.lifecycle import (
    FILE_MOVES,
    JOB_MOVES,
    FileEvent,
    IllegalMove,
    JobEvent,
    Step,
    accept,
    fail,
    finish,
    recover,
    restart,
    skip,
    start,
)
from watcher.core.model import FileState, Fingerprint, JobState
from watcher.core.ports import NewFile, SaveFile, SaveJob
from watcher.core.verdict import Verdict, verdict

NOW = build.NOW


def events(step: Step) -> list[str]:
    """The history that a step writes."""
    return [note.event for change in step.changes for note in change.notes]


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("event", JobEvent)
def test_a_job_moves_as_the_table_says_or_not_at_all(state, event):
    one = build.job(state)
    step = Step(build.work(FileState.WORKING, one))
    if (state, event) not in JOB_MOVES:
        with pytest.raises(IllegalMove, match=event):
            step.move_job(one, event, NOW)
        return
    step.move_job(one, event, NOW, "why")
    after = step.job(one.id)
    assert (after.state, after.version) == (JOB_MOVES[state, event], one.version + 1)
    assert isinstance(step.changes[0], SaveJob)
    assert step.changes[0].notes[0].text == "why"


@pytest.mark.parametrize("state", FileState)
@pytest.mark.parametrize("event", FileEvent)
def test_a_file_moves_as_the_table_says_or_not_at_all(state, event):
    step = Step(build.work(state))
    if (state, event) not in FILE_MOVES:
        with pytest.raises(IllegalMove, match=event):
            step.move_file(event, NOW)
        return
    step.move_file(event, NOW)
    assert step.work.file.state is FILE_MOVES[state, event]


def test_nothing_leaves_the_ends():
    assert not {state for state, _ in FILE_MOVES} & {FileState.ARCHIVED, FileState.FAILED}
    assert not {state for state, _ in JOB_MOVES} & {JobState.DELIVERED, JobState.FAILED}


def test_a_settled_asset_becomes_a_file_with_a_waiting_job_each():
    rule = build.rule("pass", "echo", priority=3)
    step = accept(build.asset(warnings=("odd",)), rule, [1, 2, 3], arrival=4, now=NOW, digest="d")
    file = step.work.file
    assert (file.state, file.arrival, file.priority) == (FileState.ACCEPTED, 4, 3)
    assert (file.digest, file.warnings) == ("d", ("odd",))
    assert [job.scheduler for job in step.work.jobs] == ["", "default"]
    assert {job.state for job in step.work.jobs} == {JobState.WAITING}
    assert isinstance(step.changes[0], NewFile)


A = build.asset()
TOUCHED = build.asset(mtime=2)
LONGER = build.asset(size=5, mtime=2)
ACCEPTED, WORKING, DELIVERED = FileState.ACCEPTED, FileState.WORKING, FileState.DELIVERED


@pytest.mark.parametrize(
    ("record", "asset", "expected"),
    [
        (None, A, Verdict.NEW),
        (build.file(WORKING), A, Verdict.SAME),
        (build.file(ACCEPTED), LONGER, Verdict.TOUCHED),
        (build.file(WORKING, digest="d"), TOUCHED, Verdict.COMPARE),
        (build.file(DELIVERED, digest="d"), TOUCHED, Verdict.COMPARE),
        (build.file(WORKING, digest="d"), LONGER, Verdict.REPLACED),
        (build.file(WORKING), TOUCHED, Verdict.REPLACED),
        (build.file(FileState.HELD), LONGER, Verdict.REPLACED),
        (build.file(DELIVERED, digest="d"), LONGER, Verdict.NEXT),
        (build.file(FileState.FAILED), TOUCHED, Verdict.NEXT),
    ],
)
def test_a_duplicate_event_a_touch_and_new_content_are_told_apart(record, asset, expected):
    assert verdict(record, asset) is expected


def test_a_pass_job_begins_without_a_record():
    work = build.accepted(build.rule("pass"))
    step = start(work, work.jobs[0], build.rule("pass"), key="k", now=NOW)
    assert step.effects == [Copy(work.file, work.jobs[0])]
    assert not step.changes


def test_a_job_begins_with_its_key_recorded_before_it_is_sent():
    work = build.accepted()
    step = start(work, work.jobs[0], build.rule(), key="k", now=NOW)
    (sent,) = step.effects
    assert isinstance(sent, Submit)
    assert (sent.job.key, sent.job.state, sent.resumed) == ("k", JobState.SUBMITTING, False)
    assert events(step) == ["begin", "start"]
    assert step.work.file.state is FileState.WORKING


def test_the_second_job_of_a_file_in_work_moves_the_job_alone():
    first, second = build.jobs(JobState.SUBMITTED, JobState.WAITING)
    step = start(
        build.work(WORKING, first, second), second, build.rule("a", "b"), key="k2", now=NOW
    )
    assert events(step) == ["start"]


def test_a_failure_ends_every_open_job_and_publishes_nothing():
    open_ones = build.jobs(JobState.RUNNING, JobState.STAGED, JobState.WAITING)
    step = Step(build.work(WORKING, *open_ones))
    fail(step, NOW, reason="no geometry", job=open_ones[0])
    assert {job.state for job in step.work.jobs} == {JobState.FAILED}
    assert [job.error for job in step.work.jobs] == [
        "no geometry",
        *["given up: another job of this file failed"] * 2,
    ]
    assert step.work.file.reason == "j0: no geometry"
    assert step.work.file.disposal == "a.step"
    assert [type(effect) for effect in step.effects] == [Clean, Quarantine]
    assert step.effects[0].cancel


def test_a_failure_of_the_file_as_a_whole_names_no_job():
    step = Step(build.work(WORKING, *build.jobs(JobState.STAGED, JobState.STAGED)))
    fail(step, NOW, reason="two outputs come to one path")
    assert step.work.file.reason == "two outputs come to one path"
    assert {job.error for job in step.work.jobs} == {"two outputs come to one path"}


def test_a_failure_leaves_jobs_that_are_at_their_end():
    over, open_one = build.jobs(JobState.FAILED, JobState.RUNNING)
    step = Step(build.work(WORKING, over, open_one))
    fail(step, NOW, reason="no", job=open_one)
    assert step.job(over.id) == over


def test_new_content_voids_all_that_is_under_way():
    work = build.work(WORKING, *build.jobs(JobState.RUNNING, JobState.STAGED), digest="old")
    step = restart(work, LONGER, NOW, why="replaced")
    file = step.work.file
    assert (file.state, file.arrival, file.digest) == (ACCEPTED, 2, "")
    assert file.print == Fingerprint(5, 2)
    assert {(job.state, job.key, job.remote) for job in step.work.jobs} == {
        (JobState.WAITING, "", "")
    }
    assert step.effects == [Clean("cad", 1, work.jobs, cancel=True)]


@pytest.mark.parametrize(("done", "state"), [("keep", DELIVERED), ("delete", DELIVERED)])
def test_delivery_makes_the_source_due_unless_it_is_kept(done, state):
    step = Step(build.work(WORKING, build.job(JobState.STAGED)))
    finish(step, build.folder(done=done), build.rule(), NOW)
    file = step.work.file
    assert (file.state, file.disposed) == (state, done == "keep")
    disposals = [effect for effect in step.effects if isinstance(effect, Dispose)]
    assert [effect.file for effect in disposals] == ([] if done == "keep" else [file])


def test_an_unwanted_repeat_is_delivered_without_a_job():
    step = Step(build.accepted())
    skip(step, build.folder(done="delete"), NOW, "not converted again")
    assert step.work.jobs[0].state is JobState.DELIVERED
    assert step.work.file.reason == "not converted again"
    assert step.effects == [Dispose(step.work.file)]


def test_fields_change_without_a_move():
    step = Step(build.work())
    step.save_job(step.work.jobs[0], NOW, "unreachable", "down", error="down")
    step.save_file(NOW, "read", digest="d")
    assert (step.work.jobs[0].state, step.work.jobs[0].error) == (JobState.SUBMITTED, "down")
    assert step.work.file.digest == "d"
    assert isinstance(step.changes[1], SaveFile)


@pytest.mark.parametrize("state", [FileState.WORKING, FileState.HELD])
@pytest.mark.parametrize(
    ("job_state", "expected"),
    [
        (JobState.WAITING, None),
        (JobState.SUBMITTING, Submit),
        (JobState.SUBMITTED, None),
        (JobState.RUNNING, None),
        (JobState.FETCHING, Fetch),
        (JobState.STAGED, None),
    ],
)
def test_recovery_repeats_what_may_have_been_cut(state, job_state, expected):
    effects = recover(build.work(state, build.job(job_state)))
    assert [type(effect) for effect in effects] == ([expected] if expected else [])
    assert all(effect.resumed for effect in effects if isinstance(effect, Submit))


@pytest.mark.parametrize(
    ("state", "expected"), [(FileState.DELIVERED, Dispose), (FileState.FAILED, Quarantine)]
)
def test_recovery_takes_the_source_away_again(state, expected):
    (effect,) = recover(build.work(state, build.job(JobState.DELIVERED)))
    assert isinstance(effect, expected)


def test_every_job_state_of_an_unfinished_file_is_in_the_recovery_table():
    finals = {JobState.DELIVERED, JobState.FAILED}
    for state in set(JobState) - finals:
        one = build.job(state)._replace(outputs=())
        recover(build.work(FileState.WORKING, one))  # raises for none

"""What each outcome of an effect means: by class, waits cost no attempt, ends have reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import build
from watcher.core import holding, outcomes, pacing, reports
from watcher.core.effects import (
    Clash,
    Clean,
    Copy,
    Dispose,
    Done,
    Fetch,
    Identify,
    Look,
    Outcome,
    Publish,
    Quarantine,
    Sent,
    Staged,
    Submit,
    Unsure,
    Wrong,
)
from watcher.core.lifecycle import Step
from watcher.core.model import (
    Fetched,
    FileState,
    JobState,
    JobStatus,
    Output,
    Phase,
    Work,
)
from watcher.core.ports import OwnTarget
from watcher.errors import (
    Denied,
    FileChanged,
    FileGone,
    FolderOffline,
    Garbled,
    JobLost,
    NameTooLong,
    NoSpace,
    Refused,
    TooEarly,
    Unauthorized,
    Unreachable,
    Unsent,
)

NOW = build.NOW
OUT = Fetched("out.glb", 3, "d1")
STAGED = build.job(JobState.STAGED, outputs=(Output("out.glb", 3, "d1", "a.glb"),))


def decide(effect_type, result, *, state=JobState.SUBMITTING, file=FileState.WORKING, **keys):
    """The step that an outcome for the only job of a file leads to."""
    fields = {name: keys.pop(name) for name in ("rule", "context", "more") if name in keys}
    one = build.job(state, **keys)
    work = build.work(file, one, **fields.get("more", {}))
    effect = effect_type(work.file, one)
    context = fields.get("context") or build.context(fields.get("rule"))
    return outcomes.after(work, Outcome(effect, result), context)


def about_file(effect_type, result, *, state, jobs=(STAGED,), context=None, **keys):
    """The step that an outcome for the file as a whole leads to."""
    work = build.work(state, *jobs, **keys)
    effect = Publish(work.file, ()) if effect_type is Publish else effect_type(work.file, "")
    if effect_type is Dispose:
        effect = Dispose(work.file)
    return outcomes.after(work, Outcome(effect, result), context or build.context())


# ---------------------------------------------------------------- submit
def test_a_sent_job_is_followed_under_the_id_of_the_reply():
    step = decide(Submit, Sent("r1", "d9"))
    assert step.work.jobs[0].state is JobState.SUBMITTED
    assert step.work.jobs[0].remote == "r1"
    assert step.work.file.digest == "d9"


def test_a_job_taken_by_its_key_was_not_read_again():
    step = decide(Submit, Sent("r1"), more={"digest": "kept"})
    assert step.work.file.digest == "kept"


def test_an_unsure_sending_is_asked_for_until_the_hold_is_over_and_then_sent_again():
    work = build.work(FileState.WORKING, build.job(JobState.SUBMITTING))
    effect = Submit(work.file, work.jobs[0], resumed=True)
    step = outcomes.after(work, Outcome(effect, Unsure()), build.context())
    (_, waiting) = step.timers[0]
    assert waiting.resumed
    later = build.context(now=NOW + pacing.UNSURE_HOLD + 1)
    step = outcomes.after(work, Outcome(waiting, Unsure()), later)
    assert not step.timers[0][1].resumed
    assert step.timers[0][0] == later.now


def test_a_clock_set_back_ends_the_hold():
    work = build.work(FileState.WORKING, build.job(JobState.SUBMITTING))
    effect = Submit(work.file, work.jobs[0], resumed=True, unsure=NOW)
    step = outcomes.after(work, Outcome(effect, Unsure()), build.context(now=NOW - 9e4))
    assert not step.timers[0][1].resumed


def test_an_unreachable_scheduler_costs_no_attempt_and_is_told_once():
    step = decide(Submit, Wrong(Unreachable("down")))
    assert step.work.jobs[0].attempt == 0
    assert step.work.jobs[0].error == "down"
    assert step.timers[0][1].resumed
    assert not decide(Submit, Wrong(Unreachable("down")), error="down").changes


@pytest.mark.parametrize("error", [Unsent("no"), Unauthorized("no")])
def test_a_sending_that_surely_did_not_arrive_is_not_asked_for(error):
    assert not decide(Submit, Wrong(error)).timers[0][1].resumed


def test_a_job_that_alone_cannot_be_sent_is_given_up():
    work = build.work(FileState.WORKING, build.job(JobState.SUBMITTING))
    effect = Submit(work.file, work.jobs[0], tries=pacing.GARBLED_TRIES - 1, proven=True)
    step = outcomes.after(work, Outcome(effect, Wrong(Garbled("boom"))), build.context())
    assert step.work.file.state is FileState.FAILED
    assert "boom" in step.work.file.reason


def test_a_refused_job_never_retries():
    step = decide(Submit, Wrong(Refused("Invalid process")))
    assert step.work.file.state is FileState.FAILED
    assert "Invalid process" in step.work.file.reason


def test_a_file_that_changed_while_it_was_read_settles_anew():
    step = decide(Submit, Wrong(FileChanged("changed")))
    job = step.work.jobs[0]
    assert (job.state, job.key, job.attempt) == (JobState.WAITING, "", 0)
    assert job.next_at >= NOW + 1.0
    assert step.effects == [Look("cad", "a.step")]


def test_a_file_that_is_gone_before_it_was_read_fails_in_words():
    step = decide(Submit, Wrong(FileGone("gone")))
    assert "removed before it could be read" in step.work.file.reason


def test_an_unreadable_source_fails_and_an_unreadable_place_of_ours_waits():
    assert decide(Submit, Wrong(Denied("no"))).work.file.state is FileState.FAILED
    assert decide(Submit, Wrong(Denied("no"), ours=True)).work.file.state is FileState.HELD


@pytest.mark.parametrize("effect", [Submit, Copy])
def test_an_offline_input_holds_the_file_and_comes_back(effect):
    state = JobState.SUBMITTING if effect is Submit else JobState.WAITING
    step = decide(effect, Wrong(FolderOffline("unmounted")), state=state)
    file = step.work.file
    assert (file.state, file.attempt, file.reason) == (FileState.HELD, 1, "unmounted")
    ((at, renewed),) = step.timers
    assert at == file.next_at > NOW
    assert renewed.file == file
    assert renewed == (
        Submit(file, step.work.jobs[0], resumed=True)
        if effect is Submit
        else Copy(file, step.work.jobs[0])
    )


# ---------------------------------------------------------------- past lives
def test_a_job_sent_for_a_past_life_is_cancelled():
    now_one = build.work(FileState.WORKING, build.job(JobState.WAITING), arrival=2)
    old = Submit(build.file(arrival=1), build.job(JobState.SUBMITTING))
    step = outcomes.after(now_one, Outcome(old, Sent("r1")), build.context())
    assert not step.changes
    (clean,) = step.effects
    assert isinstance(clean, Clean)
    assert (clean.jobs[0].remote, clean.cancel, clean.arrival) == ("r1", True, 1)


@pytest.mark.parametrize(
    ("effect", "result"),
    [
        (Fetch(build.file(), build.job(JobState.FETCHING, key="old")), Staged((OUT,))),
        (Copy(build.file(), build.job(JobState.WAITING, id=99)), Staged((OUT,))),
        (Publish(build.file(FileState.HELD, arrival=7), ()), Done()),
        (Dispose(build.file(FileState.DELIVERED)), Done()),
    ],
)
def test_any_other_outcome_of_a_past_life_decides_nothing(effect, result):
    step = outcomes.after(build.work(), Outcome(effect, result), build.context())
    assert (step.changes, step.effects, step.timers) == ([], [], [])


def test_effects_of_no_record_are_never_stale():
    assert not outcomes.stale(build.work(), Identify(build.file()))
    assert holding.renewed(Look("cad", "a"), build.work()) == Look("cad", "a")


# ---------------------------------------------------------------- the scheduler's word
def told(status, *, state=JobState.SUBMITTED, rule=None, **keys):
    work = build.work(FileState.WORKING, build.job(state, **keys))
    return reports.told(work, work.jobs[0], status, build.context(rule))


def test_success_fetches_and_keeps_result_and_warnings():
    step = told(JobStatus(Phase.SUCCEEDED, result={"a": 1}, warnings=("w",)))
    job = step.work.jobs[0]
    assert (job.state, job.result, job.warnings) == (JobState.FETCHING, {"a": 1}, ("w",))
    assert step.effects == [Fetch(step.work.file, job)]


def test_running_is_recorded_once():
    assert told(JobStatus(Phase.RUNNING)).work.jobs[0].state is JobState.RUNNING
    assert not told(JobStatus(Phase.RUNNING), state=JobState.RUNNING).changes
    assert not told(JobStatus(Phase.UNSEEN)).changes


def test_a_failed_run_waits_for_its_next_attempt_under_a_new_key():
    step = told(JobStatus(Phase.FAILED, error="no geometry"), rule=build.rule(retries=1))
    job = step.work.jobs[0]
    assert (job.state, job.attempt, job.key, job.error) == (JobState.WAITING, 1, "", "no geometry")
    assert job.next_at >= NOW + 30.0
    assert step.effects == [Clean("cad", 1, (build.job(),), cancel=True)]


def test_the_last_failed_run_fails_the_file_with_the_number_of_tries():
    step = told(JobStatus(Phase.FAILED, error="no geometry"), rule=build.rule(retries=1), attempt=1)
    assert step.work.file.reason == "no geometry (tried 2 times)"
    assert step.work.jobs[0].attempt == 2


def test_the_only_run_that_fails_counts_no_tries_aloud():
    step = told(JobStatus(Phase.FAILED), rule=build.rule(retries=0))
    assert "tried" not in step.work.file.reason
    assert step.work.file.reason


def test_a_permanent_failure_is_not_tried_again():
    step = told(JobStatus(Phase.FAILED, error="corrupt", permanent=True))
    assert step.work.file.state is FileState.FAILED
    assert step.work.jobs[0].attempt == 1


def test_a_job_that_the_scheduler_lost_is_sent_again_even_without_retries():
    step = told(None, rule=build.rule(retries=0))
    assert step.work.jobs[0].state is JobState.WAITING
    assert "no longer knows" in step.work.jobs[0].error


def test_a_stalled_job_is_sent_once_more_then_given_up():
    for attempt, state in ((0, FileState.WORKING), (5, FileState.FAILED)):
        work = build.work(FileState.WORKING, build.job(attempt=attempt))
        step = reports.stalled(work, work.jobs[0], 7200.0, build.context())
        assert step.work.file.state is state
        told_in = step.work.jobs[0].error
        assert "120 minutes" in told_in


def test_a_vanished_job_is_sent_again():
    work = build.work(FileState.WORKING, build.job(JobState.RUNNING))
    step = reports.vanished(work, work.jobs[0], build.context(build.rule(retries=0)))
    assert step.work.jobs[0].state is JobState.WAITING


@pytest.mark.parametrize(
    ("state", "words"), [(JobState.SUBMITTED, "no worker listens"), (JobState.RUNNING, "is slow")]
)
def test_a_long_quiet_is_told_once(state, words):
    work = build.work(FileState.WORKING, build.job(state))
    step = reports.quiet_for(work, work.jobs[0], 1800.0, build.context())
    assert words in step.work.jobs[0].error
    assert not reports.quiet_for(step.work, step.work.jobs[0], 1800.0, build.context()).changes


def test_a_quiet_queue_is_named():
    spec = replace(build.job_spec(), queue="gpu")
    rule = replace(build.rule(), jobs=(spec,))
    work = build.work()
    step = reports.quiet_for(work, work.jobs[0], 1800.0, build.context(rule))
    assert "'gpu'" in step.work.jobs[0].error


def test_the_other_id_is_followed_from_then_on():
    work = build.work()
    step = reports.followed(work, work.jobs[0], "key", NOW)
    assert step.work.jobs[0].remote == "key"


# ---------------------------------------------------------------- staging
def test_the_last_staged_job_publishes_under_its_planned_name():
    step = decide(Fetch, Staged((OUT,)), state=JobState.FETCHING, file=FileState.HELD)
    assert step.work.file.state is FileState.WORKING
    assert step.work.jobs[0].outputs == (Output("out.glb", 3, "d1", "a.glb"),)
    (publish,) = step.effects
    assert isinstance(publish, Publish)
    assert [place.target for place in publish.places] == ["a.glb"]


def test_nothing_is_published_while_another_job_is_out():
    first, second = build.jobs(JobState.FETCHING, JobState.RUNNING)
    work = build.work(FileState.WORKING, first, second)
    outcome = Outcome(Fetch(work.file, first), Staged((OUT,)))
    assert not outcomes.after(work, outcome, build.context(build.rule("a", "b"))).effects


def test_a_copy_stages_itself_and_tells_the_hash():
    step = decide(
        Copy, Staged((OUT,), "d1"), state=JobState.WAITING, file=FileState.ACCEPTED,
        rule=build.rule("pass"),
    )  # fmt: skip
    assert step.work.file.digest == "d1"
    assert isinstance(step.effects[0], Publish)


def test_outputs_that_are_not_ready_or_out_of_reach_are_fetched_later():
    for error in (TooEarly("425"), Unreachable("down")):
        step = decide(Fetch, Wrong(error), state=JobState.FETCHING)
        assert isinstance(step.timers[0][1], Fetch)
        assert step.work.jobs[0].attempt == 0


def test_outputs_that_are_never_ready_end_the_attempt():
    work = build.work(FileState.WORKING, build.job(JobState.FETCHING))
    effect = Fetch(work.file, work.jobs[0], 9, NOW - pacing.FETCH_PATIENCE - 1)
    step = outcomes.after(work, Outcome(effect, Wrong(TooEarly("425"))), build.context())
    assert step.work.jobs[0].state is JobState.WAITING
    assert "did not become ready" in step.work.jobs[0].error


def test_lost_outputs_send_the_job_again():
    step = decide(Fetch, Wrong(JobLost("gone")), state=JobState.FETCHING)
    assert step.work.jobs[0].state is JobState.WAITING


def test_a_full_disk_of_ours_holds_the_file():
    step = decide(Fetch, Wrong(NoSpace("full"), ours=True), state=JobState.FETCHING)
    assert step.work.file.state is FileState.HELD
    assert isinstance(step.timers[0][1], Fetch)


def test_any_other_fault_of_a_fetch_fails_the_file():
    step = decide(Fetch, Wrong(Refused("no")), state=JobState.FETCHING)
    assert step.work.file.state is FileState.FAILED


# ---------------------------------------------------------------- publish
def test_published_outputs_become_the_sources_own():
    work = build.work(FileState.WORKING, STAGED)
    step = Step(work)
    outcomes.publish(step, build.context())
    step = outcomes.after(work, Outcome(step.effects[0], Done()), build.context())
    assert step.work.file.state is FileState.DELIVERED
    assert step.changes[-1] == OwnTarget("cad", "a.glb", "a.step", 1)


def test_names_that_cannot_be_used_fail_before_anything_is_published():
    outputs = (Output("a.x", 1, "1"), Output("b.x", 1, "2"))
    step = Step(build.work(FileState.WORKING, build.job(JobState.STAGED, outputs=outputs)))
    outcomes.publish(step, build.context(build.rule(deliver="same.x")))
    assert step.work.file.state is FileState.FAILED
    assert not any(isinstance(effect, Publish) for effect in step.effects)


@pytest.mark.parametrize(
    ("policy", "targets"), [("own", ["a (2).glb"]), ("rename", ["a (2).glb"]), ("skip", [])]
)
def test_a_taken_name_is_left_alone_or_given_a_number(policy, targets):
    context = build.context(build.rule(on_conflict=policy))
    step = about_file(
        Publish, Clash("a.glb", "a (2).glb"), state=FileState.WORKING, context=context
    )
    (publish,) = step.effects
    assert [place.target for place in publish.places] == targets
    assert publish.resumed


def test_a_clash_touches_the_output_that_clashed_alone():
    other = build.job(
        JobState.STAGED, id=12, index=1, label="two", outputs=(Output("b", 1, "d", "b.x"),)
    )
    context = build.context(build.rule("one", "two"))
    step = about_file(
        Publish, Clash("a.glb", "n"), state=FileState.WORKING, jobs=(STAGED, other), context=context
    )
    assert step.job(12) == other


def test_on_conflict_fail_names_the_taken_path():
    context = build.context(build.rule(on_conflict="fail"))
    step = about_file(
        Publish, Clash("a.glb", "a (2).glb"), state=FileState.WORKING, context=context
    )
    assert "a.glb exists" in step.work.file.reason


def test_lost_staging_is_made_again():
    copy = STAGED._replace(id=12, index=1, label="pass", scheduler="", key="", remote="")
    context = build.context(build.rule("echo", "pass"))
    step = about_file(
        Publish, Wrong(FileGone("staging")), state=FileState.WORKING, jobs=(STAGED, copy),
        context=context,
    )  # fmt: skip
    assert [job.state for job in step.work.jobs] == [JobState.FETCHING, JobState.WAITING]
    assert [type(effect) for effect in step.effects] == [Fetch]


def test_an_output_folder_in_trouble_holds_the_file_with_its_publish_to_come():
    step = about_file(Publish, Wrong(FolderOffline("gone")), state=FileState.WORKING)
    assert step.work.file.state is FileState.HELD
    assert step.timers[0][1] == Publish(step.work.file, (), resumed=True)


def test_a_name_that_the_disk_cannot_take_fails_the_file():
    step = about_file(Publish, Wrong(NameTooLong("long")), state=FileState.WORKING)
    assert step.work.file.state is FileState.FAILED


# ---------------------------------------------------------------- the source
ENDED = (build.job(JobState.DELIVERED),)


def test_a_disposed_source_ends_the_file():
    step = about_file(Dispose, Done(), state=FileState.DELIVERED, jobs=ENDED)
    file = step.work.file
    assert (file.state, file.live, file.disposed) == (FileState.ARCHIVED, False, True)


def test_a_quarantined_source_keeps_its_reason():
    step = about_file(Quarantine, Done(), state=FileState.FAILED, jobs=ENDED, reason="no geometry")
    file = step.work.file
    assert (file.state, file.live, file.disposed) == (FileState.FAILED, False, True)
    assert file.reason == "no geometry"


def test_a_taken_place_in_the_archive_gets_a_number():
    step = about_file(Dispose, Clash("a.step", "a (2).step"), state=FileState.DELIVERED, jobs=ENDED)
    assert step.work.file.disposal == "a (2).step"
    assert step.effects == [Dispose(step.work.file)]


def test_a_source_that_was_replaced_is_looked_at_again():
    step = about_file(Dispose, Wrong(FileChanged("new")), state=FileState.DELIVERED, jobs=ENDED)
    assert step.work.file.state is FileState.ARCHIVED
    assert step.effects == [Look("cad", "a.step")]


@pytest.mark.parametrize(
    ("effect", "state", "reason"),
    [(Dispose, FileState.DELIVERED, "full"), (Quarantine, FileState.FAILED, "no geometry")],
)
def test_a_source_that_cannot_be_moved_waits_and_is_never_converted_again(effect, state, reason):
    step = about_file(effect, Wrong(NoSpace("full")), state=state, jobs=ENDED, reason="no geometry")
    file = step.work.file
    assert (file.state, file.disposed, file.reason) == (state, False, reason)
    assert isinstance(step.timers[0][1], effect)
    assert isinstance(step.work, Work)

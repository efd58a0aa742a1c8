"""A job that is about the outputs of the one before it: when it may go, and when these are lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests import build
from watcher.core import delivery, lifecycle, outcomes
from watcher.core.effects import Fetch, Outcome, Submit, Wrong
from watcher.core.model import FileState, JobState, Output
from watcher.core.settings import JobSpec
from watcher.errors import FileGone

FIRST = JobSpec(label="one", process="one", keep=False)
SECOND = JobSpec(label="two", command=("two",), after=0)


def chain(state: JobState, first: JobSpec = FIRST):
    rule = build.rule(jobs=(first, SECOND))
    one = build.job(state, label="one", outputs=(Output("a.glb", 1, "d"),))
    two = build.job(JobState.SUBMITTING, id=12, index=1, label="two", key="k2", remote="")
    return rule, build.work(FileState.WORKING, one, two)


def test_a_job_is_ready_when_the_one_before_it_is_staged():
    rule, work = chain(JobState.STAGED)
    assert lifecycle.ready(work, SECOND)
    assert lifecycle.ready(work, FIRST)
    assert not lifecycle.ready(chain(JobState.RUNNING)[1], SECOND)
    (effect,) = lifecycle.recover(work, rule)
    assert effect.fed is work.jobs[0]


@pytest.mark.parametrize("passed", [True, False])
def test_lost_outputs_are_made_again_before_the_next_job(passed):
    first = replace(FIRST, process="pass") if passed else FIRST
    rule, work = chain(JobState.STAGED, first)
    effect = Submit(work.file, work.jobs[1], fed=work.jobs[0])
    step = outcomes.after(work, Outcome(effect, Wrong(FileGone("gone"))), build.context(rule))
    assert step.work.jobs[1].state is JobState.WAITING
    wanted = JobState.WAITING if passed else JobState.FETCHING
    assert step.work.jobs[0].state is wanted
    assert any(isinstance(one, Fetch) for one in step.effects) is not passed


def test_outputs_that_are_under_way_again_are_waited_for():
    rule, work = chain(JobState.FETCHING)
    effect = Submit(work.file, work.jobs[1], fed=work.jobs[0])
    step = outcomes.after(work, Outcome(effect, Wrong(FileGone("gone"))), build.context(rule))
    assert step.work.jobs[0].state is JobState.FETCHING


def test_outputs_that_only_feed_others_get_no_name():
    rule, work = chain(JobState.STAGED)
    two = build.job(JobState.STAGED, id=12, index=1, outputs=(Output("b.png", 1, "e"),))
    planned = delivery.plan(build.work(FileState.WORKING, work.jobs[0], two), rule, {})
    assert [place.target for place in planned.places] == ["a.png"]
    assert planned.outputs[0][0].published


def test_what_runs_is_told_in_words():
    assert SECOND.runs == "command: two"
    assert FIRST.runs == "one"

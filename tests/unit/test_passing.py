"""Files that are delivered as they are: in one go where it goes smoothly, else the general way."""

from __future__ import annotations

import pytest

from tests import build
from tests.rehearsal import Rehearsal as Studio
from watcher.core import outcomes, passing
from watcher.core.effects import Copy, Dispose, Look, Outcome, Passed, PassOn, Publish, Wrong
from watcher.core.model import Fetched, FileState, JobState, Output, Work
from watcher.core.ports import NewFile, OwnTarget, SaveFile, SaveJob
from watcher.errors import FileChanged, FileGone, NoSpace

RULE = build.rule("pass", deliver="{rule}/{name}")
COPY = Fetched("a.step", 4, "d1")


def begun(rule=RULE, **keys):
    work = build.accepted(rule, **keys)
    return work, passing.begin(work, work.jobs[0], rule, build.context().now)


def after(result, *, resumed=False, **folder):
    _, step = begun()
    (effect,) = step.effects
    effect = PassOn(step.work.file, step.work.jobs[0], effect.place, resumed=resumed)
    context = build.context(RULE)
    return outcomes.after(step.work, Outcome(effect, result), context)


def test_the_name_is_recorded_before_the_effect_and_leaves_no_history():
    work, step = begun()
    (change,), (effect,) = step.changes, step.effects
    assert change == SaveJob(work.jobs[0], step.work.jobs[0])
    assert step.work.jobs[0].state is JobState.WAITING
    assert [one.target for one in step.work.jobs[0].outputs] == ["all/a.step"]
    assert effect.place.target == "all/a.step"
    assert not effect.resumed


def test_a_recorded_name_is_kept_and_may_have_been_given():
    work, _ = begun()
    named = work.jobs[0]._replace(outputs=(Output("a.step", 4, "", "old/a.step"),))
    step = passing.begin(Work(work.file, (named,)), named, RULE, 1.0)
    assert not step.changes
    assert step.effects[0].place.target == "old/a.step"
    assert step.effects[0].resumed


@pytest.mark.parametrize(
    "rule",
    [
        build.rule("pass", "pass"),
        build.rule("pass", receipt=True),
        build.rule("pass", deliver="{hash}.step"),
        build.rule("pass", deliver="{name}" * 60),
        build.rule("echo"),
    ],
    ids=["two jobs", "receipt", "hash", "too long", "a scheduler's"],
)
def test_others_go_the_general_way(rule):
    _, step = begun(rule)
    assert step is None


def test_a_file_that_was_here_before_goes_the_general_way():
    work = build.accepted(RULE)
    again = Work(work.file._replace(arrival=2), work.jobs)
    assert passing.begin(again, again.jobs[0], RULE, 1.0) is None


def test_what_has_its_name_is_delivered_and_owns_it():
    step = after(Passed(COPY, named=True))
    job, file = step.changes[0].after, step.changes[1].after
    assert job.state is JobState.DELIVERED
    assert job.outputs == (Output("a.step", 4, "d1", "all/a.step"),)
    assert (file.state, file.digest) == (FileState.DELIVERED, "d1")
    assert step.changes[2] == OwnTarget(file.folder, "all/a.step", "a.step", file.id)
    assert not [one for one in step.effects if not isinstance(one, Dispose)]


@pytest.mark.parametrize("tried", [False, True])
def test_what_has_not_is_staged_and_published(tried):
    step = after(Passed(COPY, named=False, tried=tried))
    (publish,) = step.effects
    assert isinstance(publish, Publish)
    assert publish.resumed is tried
    assert step.work.jobs[0].state is JobState.STAGED
    assert step.work.file.state is FileState.WORKING


def test_trouble_with_the_source_is_told_apart_from_trouble_of_ours():
    changed = after(Wrong(FileChanged("it changed")))
    assert changed.work.jobs[0].outputs == ()
    assert Look("cad", "a.step") in changed.effects
    assert after(Wrong(FileGone("gone"))).work.file.state is FileState.FAILED
    held = after(Wrong(NoSpace("full"), ours=True))
    assert held.work.file.state is FileState.HELD
    ((_, again),) = held.timers
    assert isinstance(again, PassOn)
    assert again.file == held.work.file


# ---------------------------------------------------------------- the whole daemon
def studio_with(**keys) -> tuple[Studio, bytes]:
    studio = Studio(build.rule("pass", **keys))
    body = studio.drop("a.step")
    let_out(studio, PassOn)
    return studio, body


def let_out(studio: Studio, kind: type) -> None:
    """The first effect of a file that is found: what is let out before it is done."""
    studio.scan()
    studio.turn()
    while isinstance(studio.todo[0], tuple):  # a poll
        studio.do()
    assert isinstance(studio.todo[0], kind)


def test_a_copy_leaves_no_record_between_its_name_and_its_delivery():
    studio, body = studio_with()
    seen = []
    apply = studio.ledger.apply
    studio.ledger.apply = lambda changes: seen.extend(changes := list(changes)) or apply(changes)
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": body}
    assert [type(one) for one in seen] == [SaveJob, SaveFile, OwnTarget]
    assert not [one for one in seen if isinstance(one, NewFile)]


@pytest.mark.parametrize("step", range(1, 12))
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_death_anywhere_in_it_ends_in_one_delivery(step, late):
    studio, body = studio_with()
    studio.die_in(0, step, after=late)
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": body}


def test_a_death_before_the_record_finds_its_own_copy_again():
    studio, body = studio_with()
    studio.do(told=False)
    assert studio.below(studio.folder.output) == {"a.step": body}
    studio.start()
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": body}
    assert studio.state() is FileState.DELIVERED


def test_a_template_changed_after_the_name_was_recorded_delivers_once():
    studio, body = studio_with()
    studio.do(told=False)
    studio.reconfigure(build.rule("pass", deliver="new/{name}"))
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": body}


@pytest.mark.parametrize("same", [False, True], ids=["another content", "the same content"])
def test_a_name_that_somebody_else_has_is_left_alone(same):
    studio, body = studio_with()
    there = body if same else b"theirs"
    studio.files.add(studio.folder.output / "a.step", there)
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": there, "a (2).step": body}


def test_an_output_that_is_away_holds_the_file_until_it_is_back():
    studio, body = studio_with()
    studio.unmount("output", away=True)
    studio.do()
    studio.turn()
    assert studio.state() is FileState.HELD
    studio.unmount("output", away=False)
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": body}


def test_the_general_way_is_still_taken_by_those_who_need_it():
    studio = Studio(build.rule("pass", deliver="{hash}.step"))
    body = studio.drop("a.step")
    let_out(studio, Copy)
    studio.finish()
    assert list(studio.below(studio.folder.output).values()) == [body]

"""The engine over fakes, single-threaded: what a death, a clock or an odd order must not break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import build
from tests.fakes.backend import Plan
from tests.fakes.files import MemoryFiles
from tests.rehearsal import Rehearsal as Studio
from watcher.core import pacing
from watcher.core.effects import Dispose, Fetch, PassOn, Publish, Quarantine, Return, Submit
from watcher.core.model import Asset, FileState, JobState, Phase, Work
from watcher.core.settings import Match
from watcher.daemon.engine import Engine
from watcher.daemon.sightings import Absent, Arrival


def begun(studio: Studio, path: str = "a.step") -> bytes:
    """A file dropped, found, accepted, its first effects let out."""
    body = studio.drop(path)
    studio.scan()
    studio.turn()
    return body


def until(studio: Studio, kind: type) -> None:
    """Perform everything up to the first effect of a kind, which stays to be done."""
    for _ in range(100):
        if any(isinstance(one, kind) for one in studio.todo):
            return
        while studio.todo:
            studio.do()
        studio.turn()
        studio.clock.advance(1.0)
    raise AssertionError(f"no {kind.__name__} in {studio.todo}")


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Submit, JobState.SUBMITTING),
        (Fetch, JobState.FETCHING),
        (Publish, JobState.STAGED),
        (Dispose, JobState.DELIVERED),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["before the effect", "after the effect"])
def test_a_death_in_any_state_ends_in_one_job_and_one_delivery(kind, found, told):
    studio = Studio(done=build.ROOT / "archive")
    studio.files.add_folder(build.ROOT / "archive")
    body = begun(studio)
    until(studio, kind)
    assert {job.state for job in studio.work().jobs} == {found}
    if not told:
        studio.do(told=False)
    studio.start()
    studio.finish()
    assert studio.state() is FileState.ARCHIVED
    assert studio.farm.runs == [body]
    assert list(studio.below(studio.folder.output)) == ["a.txt"]


class Slow:
    """A ledger that takes half a minute for each unfinished file."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self.ages: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._studio.ledger, name)

    def unfinished(self) -> Iterator[Work]:
        for work in self._studio.ledger.unfinished():
            self.ages.append(self._studio.clock.monotonic() - self._studio.engine.beat)
            self._studio.clock.advance(30.0)
            yield work


def test_a_long_recovery_gives_signs_of_life():
    studio = Studio()
    for path in ("a.step", "b.step", "c.step"):
        studio.drop(path)
    studio.scan()
    studio.turn()
    slow: Any = Slow(studio)
    studio.engine = Engine(studio.settings, slow, studio.clock, studio.engine.books.outside)
    studio.engine.recover()
    assert slow.ages == [0.0, 0.0, 0.0]
    assert studio.engine.beat == studio.clock.monotonic()


@pytest.mark.parametrize("phase", [Phase.UNSEEN, Phase.RUNNING])
def test_a_job_out_at_the_scheduler_is_followed_after_a_death(phase):
    studio = Studio()
    studio.farm.plan = Plan(stay=phase)
    body = begun(studio)
    for _ in range(3):
        while studio.todo:
            studio.do()
        studio.clock.advance(2.0)
        studio.turn()
    expected = JobState.RUNNING if phase is Phase.RUNNING else JobState.SUBMITTED
    assert studio.work().jobs[0].state is expected
    studio.start()
    studio.finish()
    assert studio.farm.runs == [body]
    assert studio.delivered(body)


def test_a_death_before_a_failed_source_was_moved_moves_it_then():
    studio = Studio(build.rule(retries=0))
    studio.farm.plan = Plan(fail="no geometry")
    body = begun(studio)
    until(studio, Quarantine)
    studio.start()
    studio.finish()
    assert studio.failed(body)
    assert b"no geometry" in studio.below(studio.folder.failed)["a.step.error.txt"]


def test_a_held_file_goes_on_after_a_death_when_its_output_is_back():
    studio = Studio()
    body = begun(studio)
    studio.unmount("output", away=True)
    until(studio, Fetch)
    studio.do()
    studio.turn()
    assert studio.state() is FileState.HELD
    studio.start()
    studio.finish()
    assert studio.delivered(body)


def test_a_pass_file_replaced_while_it_is_copied_is_delivered_as_it_is_now():
    studio = Studio(build.rule("pass"))
    begun(studio)
    until(studio, PassOn)
    newer = studio.drop("a.step")
    studio.scan()
    studio.finish()
    assert studio.below(studio.folder.output) == {"a.step": newer}


def test_a_pass_file_that_changes_under_the_copy_is_copied_again():
    studio = Studio(build.rule("pass"))
    begun(studio)
    studio.touch("a.step")
    studio.finish()
    assert studio.state() is FileState.DELIVERED
    assert studio.work().file.arrival == 2


def test_a_file_that_starts_over_beside_a_waiting_lane_is_begun_once():
    studio = Studio(build.rule(max_in_flight=1))
    studio.farm.plan = Plan(stay=Phase.RUNNING)
    begun(studio, "a.step")
    while studio.todo:
        studio.do()
    studio.drop("b.step")
    studio.scan()
    studio.turn()
    studio.start()  # the lane stands in the ledger alone, and a.step is in work
    newer = studio.drop("a.step")
    studio.look("a.step")
    studio.finish()
    assert studio.farm.runs.count(newer) == 1
    assert studio.delivered(newer)


def test_a_touch_and_a_departure_told_in_one_turn_are_both_recorded():
    studio = Studio()
    begun(studio)
    studio.finish()
    studio.touch("a.step")
    studio.scan()
    studio.turn()
    studio.do()  # its content is the same
    studio.engine.post(Absent("cad", ("a.step",)))
    studio.turn()
    assert not studio.work().file.live


def test_time_that_the_scheduler_was_away_stalls_no_job():
    studio = Studio()
    studio.farm.plan = Plan(stay=Phase.RUNNING)
    body = begun(studio)
    for _ in range(10):
        while studio.todo:
            studio.do()
        studio.turn()
        studio.clock.advance(30.0)
    studio.farm.down = True
    for _ in range(200):
        while studio.todo:
            studio.do()
        studio.turn()
        studio.clock.advance(pacing.STALL_RUNNING / 100)
    studio.finish()
    assert studio.farm.runs == [body]
    assert studio.delivered(body)


def test_a_job_without_news_for_too_long_is_sent_once_more():
    studio = Studio(build.rule(retries=1))
    studio.farm.plan = Plan(stay=Phase.RUNNING)
    body = begun(studio)
    for _ in range(200):
        while studio.todo:
            studio.do()
        studio.turn()
        if len(studio.farm.runs) == 2:
            break
        studio.clock.advance(60.0)
    assert studio.farm.runs == [body, body]
    assert studio.work().jobs[0].attempt == 1
    (_, rows) = studio.ledger.history("cad", "a.step")[-1]
    assert any("stalled: no news" in row.note for row in rows)


def test_a_long_queue_is_no_stall():
    studio = Studio(build.rule(retries=1))
    studio.farm.plan = Plan(stay=Phase.QUEUED)
    body = begun(studio)
    for _ in range(300):
        while studio.todo:
            studio.do()
        studio.turn()
        studio.clock.advance(60.0)
    studio.finish()
    assert studio.farm.runs == [body]


def test_a_retry_waits_until_the_failed_file_has_come_to_its_place():
    studio = Studio(build.rule(retries=0))
    studio.farm.plan = Plan(fail="no geometry")
    body = begun(studio)
    until(studio, Quarantine)
    studio.ledger.ask("retry", {"files": [studio.work().file.id]}, 0.0)
    studio.clock.advance(2.0)
    studio.turn()
    assert studio.state() is FileState.FAILED
    assert studio.ledger.requests()
    studio.finish()
    assert studio.delivered(body)
    assert not studio.below(studio.folder.failed)
    assert not studio.ledger.requests()


def test_a_clock_set_back_a_day_holds_no_unsure_sending_for_a_day():
    studio = Studio()
    body = begun(studio)
    studio.farm.plan = Plan(unreachable=True)
    studio.do()
    studio.clock.step(-86400.0)
    studio.start()
    studio.farm.plan = Plan()
    for _ in range(20):
        while studio.todo:
            studio.do()
        studio.turn()
        studio.clock.advance(5.0)
    assert studio.delivered(body)


@pytest.mark.parametrize("policy", ["fail", "rename", "skip", "own"])
def test_a_name_taken_among_several_publishes_all_or_nothing(policy):
    rule = build.rule("echo", "shout", deliver="{job}.txt", on_conflict=policy, retries=0)
    studio = Studio(rule)
    studio.files.add(studio.folder.output / "shout.txt", b"foreign")
    body = begun(studio)
    studio.finish()
    there = studio.below(studio.folder.output)
    assert there.pop("shout.txt") == b"foreign"
    expected = {"fail": [], "skip": ["echo.txt"]}.get(policy, ["echo.txt", "shout (2).txt"])
    assert sorted(there) == expected
    assert studio.failed(body) is (policy == "fail")


def test_a_death_after_the_names_were_given_is_no_conflict():
    studio = Studio(build.rule("echo", "shout", deliver="{job}.txt", on_conflict="fail"))
    begun(studio)
    until(studio, Publish)
    studio.die_in(0, 1, after=True)
    studio.finish()
    assert sorted(studio.below(studio.folder.output)) == ["echo.txt", "shout.txt"]
    assert studio.state() is FileState.DELIVERED


# ---------------------------------------------------------------- another configuration
def in_work(studio: Studio) -> bytes:
    """A file whose job is out at the scheduler for good."""
    studio.farm.plan = Plan(stay=Phase.RUNNING)
    body = begun(studio)
    while studio.todo:
        studio.do()
    studio.turn()
    return body


@pytest.mark.parametrize("same_content", [True, False])
def test_a_file_whose_rule_has_other_jobs_now_waits_until_it_is_dropped_again(same_content):
    studio = Studio()
    body = in_work(studio)
    studio.reconfigure(build.rule("echo", "shout", deliver="{job}.txt"))
    studio.turn()
    assert studio.state() is FileState.HELD
    assert "has other jobs now" in studio.work().file.reason
    newer = studio.drop("a.step", body if same_content else None)
    studio.finish()
    assert studio.state() is FileState.DELIVERED
    assert len(studio.work().jobs) == 2
    assert studio.delivered(newer)


def test_a_file_whose_rule_is_gone_is_taken_by_another_when_it_is_dropped_again():
    studio = Studio()
    in_work(studio)
    studio.reconfigure(build.rule("shout", name="other"))
    studio.turn()
    assert "no longer configured" in studio.work().file.reason
    newer = studio.drop("a.step")
    studio.finish()
    assert (studio.work().file.rule, studio.delivered(newer)) == ("other", True)


def test_a_held_file_goes_on_when_its_rule_is_back():
    studio = Studio()
    body = in_work(studio)
    studio.reconfigure(build.rule(name="other"))
    studio.turn()
    studio.reconfigure(build.rule())
    studio.finish()
    assert studio.farm.runs == [body]
    assert studio.delivered(body)


def test_a_retry_in_a_folder_that_is_gone_says_so():
    studio = Studio(build.rule(retries=0))
    studio.farm.plan = Plan(fail="no geometry")
    begun(studio)
    until(studio, Quarantine)
    studio.finish()
    failed = studio.work()
    studio.reconfigure(build.rule(), name="elsewhere")
    studio.ledger.ask("retry", {"files": [failed.file.id]}, 0.0)
    studio.clock.advance(2.0)
    studio.turn()
    assert not studio.ledger.requests()
    assert not any(isinstance(one, Return) for one in studio.todo)
    (_, rows) = studio.ledger.history("cad", "a.step")[-1]
    assert "'cad'" in rows[-1].note
    assert rows[-1].event == "retry failed"


def test_a_retry_whose_file_was_taken_out_of_the_failed_folder_says_so():
    studio = Studio(build.rule(retries=0))
    studio.farm.plan = Plan(fail="no geometry")
    begun(studio)
    until(studio, Quarantine)
    studio.finish()
    studio.files.take_away(studio.folder.failed / "a.step")
    studio.ledger.ask("retry", {"files": [studio.work().file.id]}, 0.0)
    studio.finish()
    (_, rows) = studio.ledger.history("cad", "a.step")[-1]
    assert rows[-1].event == "retry failed"


def test_a_file_that_grows_out_of_its_rule_is_taken_by_the_next():
    small = replace(build.rule(name="small"), match=Match(globs=("*",), max_size=9))
    studio = Studio(small, build.rule("shout", name="large"))
    in_work(studio)
    assert studio.work().file.rule == "small"
    newer = studio.drop("a.step", b"long enough for the other")
    studio.finish()
    assert studio.work().file.rule == "large"
    assert studio.delivered(newer)


def test_a_file_whose_parts_do_not_come_fails_naming_them():
    studio = Studio()
    body = studio.drop("a.obj")
    facts = studio.files.look(studio.folder.input, "a.obj")
    found = Asset("cad", "a.obj", facts.fingerprint, missing=("a.mtl", "t.png"))
    studio.engine.post(Arrival(found))
    studio.turn()
    studio.finish()
    assert studio.failed(body)
    assert "a.mtl, t.png" in studio.work("a.obj").file.reason


def test_a_rule_that_only_warns_sends_a_file_without_its_parts():
    studio = Studio(build.rule(missing="warn"))
    body = studio.drop("a.obj")
    facts = studio.files.look(studio.folder.input, "a.obj")
    studio.engine.post(Arrival(Asset("cad", "a.obj", facts.fingerprint, missing=("a.mtl",))))
    studio.turn()
    studio.finish()
    assert studio.delivered(body)
    assert "a.mtl" in studio.work("a.obj").file.warnings[0]


# ---------------------------------------------------------------- on_repeat
def again(on_repeat: str, **keys) -> tuple[Studio, bytes]:
    """A studio where one content was delivered, archived, and dropped again."""
    studio = Studio(build.rule(on_repeat=on_repeat, **keys), done=build.ROOT / "archive")
    body = begun(studio)
    studio.finish()
    studio.drop("a.step", body)
    return studio, body


def test_an_unchanged_content_that_comes_again_is_converted_again_by_default():
    studio, body = again("again")
    studio.finish()
    assert studio.farm.runs == [body, body]
    assert list(studio.below(studio.folder.output)) == ["a.txt"]


def test_skip_converts_an_unchanged_content_once_and_disposes_of_its_source():
    studio, body = again("skip")
    studio.finish()
    assert studio.farm.runs == [body]
    assert studio.state() is FileState.ARCHIVED
    assert sorted(studio.below(build.ROOT / "archive")) == ["a (2).step", "a.step"]
    (_, rows) = studio.ledger.history("cad", "a.step")[-1]
    assert any("not converted again" in row.note and "arrival 1" in row.note for row in rows)


def test_skip_converts_a_changed_content_of_the_same_length():
    studio, body = again("skip")
    other = studio.drop("a.step", body[::-1])
    studio.finish()
    assert studio.farm.runs == [body, other]


def test_skip_converts_what_failed_before():
    studio = Studio(build.rule(retries=0, on_repeat="skip"))
    studio.farm.plan = Plan(fail="no geometry")
    body = begun(studio)
    until(studio, Quarantine)
    studio.finish()
    assert studio.failed(body)
    studio.drop("a.step", body)
    studio.finish()
    assert studio.farm.runs == [body, body]
    assert studio.delivered(body)


def test_skip_reads_a_file_anew_that_changes_while_it_is_compared():
    studio, body = again("skip")
    studio.scan()
    studio.turn()
    newer = studio.drop("a.step", body.upper())
    studio.scan()
    studio.finish()
    assert studio.farm.runs == [body, newer]


def test_skip_with_sources_kept_is_at_its_end_at_once():
    studio = Studio(build.rule(on_repeat="skip"))
    body = begun(studio)
    studio.finish()
    studio.files.take_away(studio.folder.input / "a.step")
    studio.scan()
    studio.turn()
    studio.drop("a.step", body)
    studio.finish()
    assert studio.state() is FileState.DELIVERED
    assert studio.work().file.arrival == 2
    assert "on_repeat: skip" in studio.work().file.reason
    assert studio.farm.runs == [body]


def test_version_gives_a_repeat_names_of_its_own():
    studio, body = again("version")
    studio.finish()
    assert studio.farm.runs == [body, body]
    assert sorted(studio.below(studio.folder.output)) == ["a (2).txt", "a.txt"]
    other = studio.drop("a.step", body.upper())
    studio.finish()
    assert studio.below(studio.folder.output)["a.txt"] == b"echo of " + other


def test_a_file_unreadable_while_it_is_compared_is_looked_at_again():
    studio, body = again("skip")
    studio.scan()
    studio.turn()
    node = studio.files.nodes.pop(str(studio.folder.input / "a.step"))
    studio.do()
    studio.turn()
    studio.files.nodes[str(studio.folder.input / "a.step")] = replace(node, mtime_ns=99)
    studio.finish()
    assert studio.farm.runs == [body]
    assert isinstance(studio.files, MemoryFiles)
    assert studio.state() is FileState.ARCHIVED


def ended(**keys):
    """A file that came to its end, and a word on it that was on its way meanwhile."""
    studio = Studio(build.rule("pass"), **keys)
    body = studio.drop("a.step")
    facts = studio.files.look(studio.folder.input, "a.step")
    studio.scan()
    studio.finish()
    late = Arrival(Asset(studio.folder.name, "a.step", facts.fingerprint))
    return studio, body, facts, late


def test_a_late_word_on_a_file_that_was_moved_away_is_no_new_arrival():
    studio, body, _, late = ended(done=Path("/archive"))
    studio.engine.post(late)
    studio.finish()
    assert studio.work().file.arrival == 1
    assert studio.state() is FileState.ARCHIVED
    assert studio.below(studio.folder.failed) == {}
    assert studio.below(studio.folder.output) == {"a.step": body}


def test_the_same_file_moved_back_from_the_archive_is_a_new_arrival():
    studio, body, facts, _ = ended(done=Path("/archive"))
    studio.files.add(studio.folder.input / "a.step", body, mtime_ns=facts.mtime_ns)
    studio.scan()
    studio.finish()
    assert studio.work().file.arrival == 2
    assert studio.state() is FileState.ARCHIVED


def test_a_content_that_was_delivered_under_another_name_is_not_converted_on_request():
    studio = Studio(build.rule("convert", dedupe=True), done=Path("/archive"))
    body = studio.drop("a.step")
    studio.finish()
    studio.drop("b.step", body)
    other = studio.drop("c.step")
    studio.finish()
    assert studio.farm.runs == [body, other]
    assert studio.state("b.step") is FileState.ARCHIVED
    told = studio.ledger.history(studio.folder.name, "b.step")[0][1]
    assert any("the content is that of a.step" in row.note for row in told)
    # what failed was never delivered, and the same name again is the same content again
    studio.drop("a.step", body)
    studio.finish()
    assert studio.farm.runs == [body, other]

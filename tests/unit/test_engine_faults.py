"""Every effect on the disk fails once, or again and again for a while, in every way it can: each
file is delivered once or failed with its reason, and goes on when the disk is mended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests import build
from tests.fakes.files import EFFECTS, FailingFiles
from tests.rehearsal import Rehearsal
from watcher.core.model import FileState
from watcher.errors import Denied, FileError, FolderOffline, NoSpace, OutsideRoot

KINDS = {
    "full": NoSpace("the disk is full"),
    "read-only": Denied("read-only"),
    "offline": FolderOffline("it does not answer"),
    "odd": FileError("too many open files"),
}
RULES = {"pass": ("pass",), "job": ("echo",), "both": ("pass", "echo", "shout")}


@dataclass
class Broken:
    """Files of which one effect always fails until it is mended."""

    real: Any
    effect: str
    error: FileError
    tried: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return self._fails if name == self.effect else getattr(self.real, name)

    def _fails(self, *_: object, **__: object) -> None:
        self.tried.append(self.effect)
        raise self.error


def studio(rule: str, **keys: Any) -> Rehearsal:
    deliver = "{relpath}/{job}/{output}"
    made = Rehearsal(
        build.rule(*RULES[rule], receipt=True, deliver=deliver),
        done=build.ROOT / "archive",
        **keys,
    )
    made.files.add_folder(build.ROOT / "archive")
    return made


def account(made: Rehearsal, *bodies: bytes, swept: bool = True) -> None:
    """Each content is at its one end, its jobs ran once, and nothing else is anywhere."""
    for body in bodies:
        assert made.delivered(body) + made.failed(body) == 1
    jobs = sum(name != "pass" for name in (spec.process for spec in made.folder.rules[0].jobs))
    for body in bodies:
        assert made.farm.runs.count(body) == jobs
    if swept:
        assert made.below(made.settings.state / "staging") == {}
    assert made.below(made.folder.input) == {}


def steps(rule: str) -> int:
    made = studio(rule)
    counted = FailingFiles(made.files)
    made.world = replace(made.world, files=counted)
    made.drop("a.step")
    made.finish()
    return len(counted.done)


@pytest.mark.parametrize("after", [False, True], ids=["instead", "after"])
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("rule", sorted(RULES))
def test_one_fault_at_any_effect_costs_nobody_a_file(rule, kind, after):
    count = steps(rule)
    assert count >= 4
    for at in range(1, count + 1):
        made = studio(rule)
        failing = FailingFiles(made.files, at=at, error=KINDS[kind], after=after)
        made.world = replace(made.world, files=failing)
        bodies = made.drop("a.step"), made.drop("b.step")
        made.finish()
        # what could not be discarded is at the next start
        account(made, *bodies, swept=failing.done[at - 1] != "discard")


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_disk_that_fails_for_an_hour_goes_on_when_it_is_mended(rule, effect, kind):
    made = studio(rule)
    broken = Broken(made.files, effect, KINDS[kind])
    whole = made.world
    made.world = replace(whole, files=broken)
    body = made.drop("a.step")
    for _ in range(120):
        made.scan()
        made.turn()
        for _ in range(len(made.todo)):
            made.do()
        made.clock.advance(30.0)
    assert len(broken.tried) < 500  # it waits between its tries
    if broken.tried and effect not in ("discard", "archive"):
        state = made.state("a.step")
        assert state in (FileState.HELD, FileState.FAILED, FileState.DELIVERED, FileState.ARCHIVED)
        work = made.work("a.step")
        told = work.file.reason or any(job.error for job in work.jobs)
        assert told or made.delivered(body)
    made.world = whole
    for _ in range(5):  # what is held counts as idle, and is tried again when its time comes
        made.clock.advance(30.0)
        made.finish()
    account(made, body, swept=effect != "discard")


@dataclass
class Refusing:
    """A scheduler whose outputs cannot be kept on our disk for the first tries."""

    real: Any
    error: FileError
    left: int = 3

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def fetch(self, remote: str, into: Any) -> Any:
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return self.real.fetch(remote, into)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_outputs_that_cannot_be_kept_for_a_while_are_fetched_again(kind):
    made = studio("job")
    refusing = Refusing(made.farm, KINDS[kind])
    made.world = replace(made.world, backends={"default": refusing})
    body = made.drop("a.step")
    for _ in range(10):
        made.finish()
        made.clock.advance(30.0)
    assert refusing.left < 0
    assert made.delivered(body)
    account(made, body)


def test_an_output_whose_name_can_never_be_given_fails():
    made = studio("job")
    error = OutsideRoot("the name leads out", where="../x")
    made.world = replace(made.world, backends={"default": Refusing(made.farm, error, 99)})
    body = made.drop("a.step")
    made.finish()
    assert made.failed(body)
    assert "leads out" in made.work("a.step").file.reason

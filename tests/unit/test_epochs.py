"""Which configuration a file is under, and what keeps it from going on."""

from dataclasses import replace
from pathlib import Path

import pytest

from watcher.core.epochs import Epoch, folder_named, obstacle, rule_named, settings_of
from watcher.core.model import FileRecord, FileState, Fingerprint, JobRecord, JobState, Work
from watcher.core.settings import Folder, JobSpec, Match, Rule, Settings

RULE = Rule(name="r", match=Match(globs=("*",)), jobs=(JobSpec(label="a", process="a"),))
FOLDER = Folder(
    name="f", input=Path("/in"), output=Path("/out"), failed=Path("/bad"), rules=(RULE,)
)
NOW = Settings(source=Path("/w.yaml"), state=Path("/var"), folders=(FOLDER,))
FILE = FileRecord(
    id=5, folder="f", path="x", arrival=1, state=FileState.WORKING, rule="r",
    print=Fingerprint(1, 1),
)  # fmt: skip
JOB = JobRecord(id=6, file_id=5, index=0, label="a", scheduler="farm", state=JobState.WAITING)
WORK = Work(FILE, (JOB,))


def test_a_file_is_under_the_configuration_that_took_it():
    first, second = replace(NOW, state=Path("/1")), replace(NOW, state=Path("/2"))
    former = [Epoch(10, first), Epoch(20, second)]
    assert settings_of(NOW, former, 10) is first
    assert settings_of(NOW, former, 11) is second
    assert settings_of(NOW, former, 21) is NOW
    assert settings_of(NOW, (), 1) is NOW
    former[0].left.add(4)  # it was held meanwhile
    former[1].left.add(4)
    assert settings_of(NOW, former, 4) is NOW
    assert settings_of(NOW, former, 5) is first


def test_names_are_found_or_not():
    assert folder_named(NOW, "f") is FOLDER
    assert folder_named(NOW, "g") is None
    assert rule_named(NOW, "f", "r") is RULE
    assert rule_named(NOW, "f", "s") is None
    assert rule_named(NOW, "g", "r") is None


@pytest.mark.parametrize(
    ("work", "schedulers", "words"),
    [
        (WORK, ["farm"], ""),
        (Work(FILE, (JOB._replace(scheduler=""),)), [], ""),
        (Work(FILE._replace(rule="s"), (JOB,)), ["farm"], "rule 's' of folder 'f' is no longer"),
        (Work(FILE, (JOB._replace(label="b"),)), ["farm"], "has other jobs now"),
        (WORK, ["default"], "scheduler 'farm' is no longer configured"),
        (Work(FILE._replace(state=FileState.DELIVERED), (JOB,)), [], ""),
    ],
)
def test_what_keeps_a_file_from_going_on(work, schedulers, words):
    told = obstacle(NOW, schedulers, work)
    assert words in told
    assert bool(words) == bool(told)

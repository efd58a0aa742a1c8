"""What sending a job makes of a source that changes, or goes with its whole folder, meanwhile."""

from __future__ import annotations

import os

import pytest

from tests.fakes.backend import FakeBackend, Plan
from watcher.adapters.files import LocalFiles
from watcher.core.effects import Sent, Submit
from watcher.core.lifecycle import accept, start
from watcher.core.model import Asset, Phase
from watcher.core.settings import Folder, JobSpec, Match, Rule, SchedulerSettings, Settings
from watcher.daemon.sending import submit
from watcher.daemon.world import World
from watcher.errors import FileChanged, FileGone

KEY = "0b8f4f0e-3a55-4d0c-9d2b-0c8f5f8a3c11"


class Meanwhile(FakeBackend):
    """Something happens to the source after it was read."""

    def __init__(self, happens) -> None:
        super().__init__(Plan(stay=Phase.RUNNING), processes=("p",))
        self.happens = happens

    def submit(self, request):
        sent = super().submit(request)
        self.happens()
        return sent


@pytest.fixture
def root(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"content")
    return tmp_path / "in"


def sent(root, happens):
    """Send the one job of the file, and the backend that took it."""
    rule = Rule(name="r", match=Match(globs=("*",)), jobs=(JobSpec(label="j", process="p"),))
    folder = Folder(
        name="in", input=root, output=root / "../out", failed=root / "../bad", rules=(rule,)
    )
    settings = Settings(
        source=root / "../watcher.yaml",
        state=root / "../var",
        schedulers={"default": SchedulerSettings(name="default", url="embedded")},
        folders=(folder,),
    )
    files, backend = LocalFiles(), Meanwhile(happens)
    asset = Asset("in", "a", files.look(root, "a").fingerprint)
    work = accept(asset, rule, (1, 2), arrival=1, now=1.0).work
    step = start(work, work.jobs[0], rule, key=KEY, now=1.0)
    effect = next(one for one in step.effects if isinstance(one, Submit))
    world = World(settings, {"default": backend}, files)
    return (lambda: submit(world, effect)), backend


def test_a_folder_that_goes_offline_after_sending_revokes_nothing(root):
    send, backend = sent(root, lambda: root.rename(root.with_name("away")))
    assert isinstance(send(), Sent)
    assert backend.status([KEY])[KEY].phase is Phase.RUNNING


@pytest.mark.parametrize(
    ("happens", "error"),
    [
        (lambda root: (root / "a").unlink(), FileGone),
        (lambda root: (root / "a").write_bytes(b"other content"), FileChanged),
        (lambda root: os.utime(root / "a", (1, 1)), FileChanged),
    ],
)
def test_a_source_that_changes_while_it_is_sent_voids_the_job(root, happens, error):
    send, backend = sent(root, lambda: happens(root))
    with pytest.raises(error):
        send()
    assert backend.status([KEY])[KEY].phase is Phase.REVOKED

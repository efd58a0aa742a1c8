"""An embedded scheduler whose owner asks for no durability: killed, restarted, power cut."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from watcher.core.ports import JobRequest
from watcher.embedded import power
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.errors import StateTaken


def opened(folder: Path, *, durable: bool = False) -> EmbeddedScheduler:
    return EmbeddedScheduler(EmbeddedOptions(state=folder, workers=1, durable=durable))


def queued(folder: Path) -> str:
    """A job that waits for its hour, in a scheduler that is closed."""
    scheduler, key = opened(folder), str(uuid.uuid4())
    script = folder / "script.py"
    script.write_text("def main(pc, params):\n    return 1\n")
    scheduler.submit(JobRequest(key=key, name="job", script=script), config={"countdown": 3600})
    scheduler.close()
    return key


def test_jobs_are_there_after_a_restart(tmp_path):
    key = queued(tmp_path)
    again = opened(tmp_path)
    assert key in again.status([key])
    again.close()


def test_after_a_power_cut_nothing_is_believed(tmp_path):
    key = queued(tmp_path)
    (tmp_path / "jobs" / power.MARK).write_text("another run of the kernel")
    again = opened(tmp_path)
    assert again.status([key]) == {}
    assert not (tmp_path / "jobs" / key).exists()
    again.close()


def test_a_durable_owner_takes_over_what_is_whole(tmp_path):
    key = queued(tmp_path)
    again = opened(tmp_path, durable=True)
    assert key in again.status([key])
    assert not (tmp_path / "jobs" / power.MARK).exists()
    again.close()


def test_jobs_of_a_durable_owner_are_believed_always(tmp_path):
    opened(tmp_path, durable=True).close()
    (tmp_path / "jobs" / "kept").mkdir()
    boot = tmp_path / "boot"
    boot.write_text("one")
    power.prove(tmp_path / "jobs", durable=False, boot=boot)
    assert (tmp_path / "jobs" / "kept").is_dir()
    power.prove(tmp_path / "jobs", durable=False, boot=boot)
    assert (tmp_path / "jobs" / "kept").is_dir()


def test_where_the_kernel_does_not_tell_its_runs_nothing_unsynced_is_believed(tmp_path):
    silent = tmp_path / "none"
    (tmp_path / "jobs" / "job").mkdir(parents=True)
    power.prove(tmp_path / "jobs", durable=False, boot=silent)
    assert (tmp_path / "jobs" / "job").is_dir()
    power.prove(tmp_path / "jobs", durable=False, boot=silent)
    assert not (tmp_path / "jobs" / "job").exists()


def test_a_folder_that_cannot_be_marked_is_told(tmp_path):
    with pytest.raises(StateTaken, match="cannot be used"):
        power.prove(tmp_path / "none", durable=False)

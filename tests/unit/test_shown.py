"""A file as JSON, secrets that do not show, names as they may be printed."""

from __future__ import annotations

import json

from tests import build
from watcher.core.model import Facts, FileState, Fingerprint, JobState, Output, printable
from watcher.core.settings import Secret
from watcher.core.shown import described


def test_a_file_is_described_in_the_ledgers_words():
    outputs = (Output("x.glb", 3, "d", "sub/a.glb"),)
    one = build.job(JobState.DELIVERED, remote="r1", outputs=outputs, progress=100)
    work = build.work(FileState.ARCHIVED, one, accepted_at=build.NOW, disposal="a.step")
    told = described(build.settings(), work)
    assert told["input"] == "/studio/input/a.step"
    assert (told["state"], told["moved_to"], told["next_attempt"]) == ("archived", "a.step", "")
    assert told["accepted"] == "2025-06-15T15:06:40Z"
    (job,) = told["jobs"]
    assert (job["state"], job["id"], job["progress"]) == ("delivered", "r1", 100)
    assert job["outputs"] == [{"name": "x.glb", "path": "sub/a.glb", "size": 3, "hash": "d"}]
    json.dumps(told)


def test_a_job_not_sent_yet_shows_its_key_and_a_folder_that_is_gone_no_path():
    work = build.work(FileState.WORKING, build.job(JobState.SUBMITTING), folder="gone")
    told = described(build.settings(), work)
    assert told["input"] == ""
    assert told["jobs"][0]["id"] == "key"


def test_a_secret_shows_itself_to_nobody_but_the_one_who_sends_it():
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "hunter2"
    assert secret == Secret("hunter2")
    assert secret != Secret("other")
    assert secret != "hunter2"  # noqa: S105  (no password)
    assert len({secret, Secret("hunter2")}) == 1


def test_names_are_shown_without_control_characters_and_undecodable_bytes():
    assert printable("plain") == "plain"
    assert printable("héé") == "héé"
    assert printable("a\nb\x1b[31m\udcff") == "a\\nb\\x1b[31m\\xff"


def test_a_look_keeps_length_and_time():
    assert Facts(3, 7, 8, 9, 1).fingerprint == Fingerprint(3, 7)

"""What the command line of `worker` and of `serve --executor celery` understands and refuses."""

from __future__ import annotations

import pytest

from tests.command import watcher

BROKER = "redis://:hush-hush@127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("WATCHER_BROKER", "WATCHER_BROKER_FILE", "WATCHER_STATE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worker"], "no broker is given; --broker redis://host:6379/0"),
        (["worker", "--broker", "amqp://:hush-hush@x"], "the broker must be redis://"),
        (["worker", "--broker", "redis://:hush-hush@x:port/0"], "the broker must be redis://"),
        (["worker", "--broker", "redis://"], "the broker must be redis://"),
        (["worker", "--broker-file", "/nowhere"], "/nowhere: the broker cannot be read"),
        (["worker", "--broker", BROKER, "--queues", "cpu,nope"], "there is no queue 'nope'"),
        (["worker", "--broker", BROKER, "--queues", ","], "it would serve nothing"),
        (["worker", "--broker", BROKER, "--grace", "soon"], "--grace"),
        (["worker", "--broker", BROKER, "--workers", "0"], "is not a number of processes"),
        (["serve", "--broker", BROKER], "need no broker; --executor celery"),
        (["serve", "--executor", "celery"], "no broker is given"),
        (
            ["serve", "--executor", "celery", "--broker", BROKER, "--workers", "2"],
            "serve itself runs no jobs then",
        ),
    ],
)
def test_bad_usage_is_one_line_without_the_password(words, said):
    done = watcher(*words)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1
    assert "hush-hush" not in done.err + done.out


def test_the_broker_comes_from_the_environment_or_a_file(tmp_path, monkeypatch):
    """Each is taken so far that it is refused for what it says."""
    file = tmp_path / "broker"
    file.write_text("amqp://x\n")
    for name, value in (("WATCHER_BROKER", "amqp://x"), ("WATCHER_BROKER_FILE", str(file))):
        monkeypatch.setenv(name, value)
        assert "must be redis://" in watcher("worker").err
        monkeypatch.delenv(name)
    assert "must be redis://" in watcher("worker", "--broker-file", file).err
    file.write_bytes(b"\xff")
    assert "not a text file" in watcher("worker", "--broker-file", file).err

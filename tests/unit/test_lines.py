"""Log lines: what an event looks like, and when it is out."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

from watcher.core.model import FileState
from watcher.core.settings import Secret
from watcher.daemon import lines, logs


def configured(**words):
    out = io.StringIO()
    return logs.configure(form="json", stream=out, **words), out


def told(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_whatever_its_values():
    log, out = configured(secrets=[Secret("hunter2")])
    log.info("file.accepted", file='a"b\\c', state=FileState.HELD, number=3, place=Path("/x"),
             told=["a", None], note="is hunter2", odd="\x1b[31mé\udcff")  # fmt: skip
    (row,) = told(out)
    stamp = row.pop("timestamp")
    assert stamp.endswith("Z")
    assert stamp.count(":") == 2
    assert row == {
        "file": 'a"b\\c', "state": "held", "number": 3, "place": repr(Path("/x")),
        "told": ["a", None], "note": "is ***", "odd": "\\x1b[31mé\\xff",
        "event": "file.accepted", "level": "info",
    }  # fmt: skip
    assert out.getvalue().isascii()


def test_an_exception_is_an_error_with_its_trace():
    log, out = configured()
    try:
        int("of the test")
    except ValueError:
        log.exception("fault")
    (row,) = told(out)
    assert row["level"] == "error"
    assert "ValueError: invalid literal" in row["exception"]


class Flushed(io.StringIO):
    def __init__(self):
        super().__init__()
        self.seen = ""

    def flush(self):
        self.seen = self.getvalue()


def test_lines_of_a_block_leave_together_and_others_at_once():
    out = Flushed()
    log = logs.configure(form="json", stream=out, secrets=[Secret("hunter2")]).bind(seat="1")
    log.info("one")
    assert out.seen.count("\n") == 1
    with lines.together(log) as say:
        say("info", "two", {"file": "hunter2"})
        say("debug", "none", {})
        say("warning", "three", {})
        assert out.seen.count("\n") == 1
    first, two, three = told(out)
    assert first["event"] == "one"
    stamp = two.pop("timestamp")
    assert two == {"seat": "1", "file": "***", "event": "two", "level": "info"}
    assert three == {"seat": "1", "event": "three", "level": "warning", "timestamp": stamp}


def test_what_a_block_said_is_out_whatever_happens_in_it():
    log, out = configured()
    with suppress(ZeroDivisionError), lines.together(log) as say:
        say("info", "one", {})
        say("info", "two", {"number": str(1 // 0)})
    assert [row["event"] for row in told(out)] == ["one"]


def test_a_block_of_a_coloured_log_takes_the_general_road():
    out = io.StringIO()
    log = logs.configure(form="console", stream=out)
    with lines.together(log) as say:
        say("info", "file.accepted", {"file": "a.step"})
    assert "file.accepted" in out.getvalue()
    assert "file=a.step" in out.getvalue()


class Interrupted(io.StringIO):
    """A stream in whose middle a signal comes, whose handler writes a line too."""

    def write(self, text):
        if "first" in text:
            self.writer.msg("of the handler")
        return super().write(text)


def test_a_signal_in_the_middle_of_a_line_is_told_and_waits_for_nothing():
    out = Interrupted()
    out.writer = lines.Writer(out)
    out.writer.msg("first")
    assert sorted(out.getvalue().split("\n")) == ["", "first", "of the handler"]

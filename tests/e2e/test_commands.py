"""`command:` jobs: a program of this machine, isolated, with its reasons; also beside a remote
scheduler."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.test_studio_rules import studio, watcher

__all__ = ["studio"]
PY = sys.executable


def reason(place: Path, name: str) -> str:
    return (place / "failed" / "in" / f"{name}.error.txt").read_text()


def test_a_program_makes_outputs_from_its_placeholders(studio):
    script = (
        "import sys,shutil; shutil.copy(sys.argv[1], sys.argv[2]); "
        "open('note.txt','w').write(' '.join(sys.argv[3:]))"
    )
    place = studio(
        f'      - {{name: copy, match: "*.txt", command: ["{PY}", -c, "{script}", "{{input}}",'
        ' "{outputs}/{stem}.out", "{size}", 7, "{here}", "{{x}}"], params: {size: 64},'
        ' deliver: "{parent}/{output}", receipt: true}\n'
    )
    (place / "in" / "sub").mkdir()
    (place / "in" / "sub" / "--a b.txt").write_text("content")
    ended = watcher("run", "--once", cwd=place)
    assert ended.returncode == 0, ended.stdout
    assert (place / "out" / "sub" / "--a b.out").read_text() == "content"
    assert (place / "out" / "sub" / "note.txt").read_text() == f"64 7 {place} {{x}}"
    receipt = json.loads((place / "out" / "sub" / "note.txt.json").read_text())
    assert receipt["process"] == f"command: {PY}"


def test_failures_say_what_the_program_said(studio):
    place = studio(
        "      - {name: bad, match: bad.txt, retries: 0,"
        f' command: ["{PY}", -c, "import sys; print(1); sys.exit(\'no licence left\')"]}}\n'
        f'      - {{name: shy, match: shy.txt, command: ["{PY}", -c, "pass"]}}\n'
        "      - {name: none, match: none.txt, command: [no-such-program]}\n"
        "      - {name: dies, match: dies.txt, retries: 0,"
        f' command: ["{PY}", -c, "import os; os.kill(os.getpid(), 11)"]}}\n'
        "      - {name: slow, match: slow.txt, retries: 0, time_limit: 1s, command: [sleep, 600]}\n"
    )
    for name in ("bad", "shy", "none", "dies", "slow"):
        (place / "in" / f"{name}.txt").write_text("x")
    checked = watcher("check", cwd=place)
    assert checked.returncode == 0
    assert "no 'no-such-program' in PATH; its jobs will fail" in checked.stdout
    began = time.monotonic()
    assert watcher("run", "--once", cwd=place).returncode == 1
    assert time.monotonic() - began < 100
    name = Path(PY).name
    assert f"{name} ended with exit code 1: 1 | no licence left" in reason(place, "bad.txt")
    assert "made no file in its outputs folder" in reason(place, "shy.txt")
    assert "there is no program 'no-such-program'" in reason(place, "none.txt")
    assert "signal 11 (segmentation fault)" in reason(place, "dies.txt")
    assert "time limit of 1 s" in reason(place, "slow.txt")
    assert not any("600" in line for line in running("sleep"))


def running(program: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(program.encode()) and folder.stat().st_uid == os.getuid():
            found.append(b" ".join(words).decode(errors="replace"))
    return found


def test_a_program_runs_here_where_the_scheduler_is_remote(studio):
    place = studio(f'      - {{match: "*", command: ["{PY}", -c, "open(\'a.b\',\'w\')"]}}\n')
    config = place / "watcher.yaml"
    config.write_text(config.read_text() + "scheduler: {url: 'http://127.0.0.1:9'}\n")
    (place / "in" / "x.zip").write_bytes(b"PK no archive, and none of our business")
    ended = watcher("run", "--once", cwd=place)
    assert ended.returncode == 0, ended.stdout
    assert (place / "out" / "x.b").exists()
    assert "this-machine" in watcher("files", "--json", cwd=place).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('command: "ls -l"', "command must be a list"),
        ("command: []", "command must be a list"),
        ('command: ["{stem}.sh"]', "must be spelled out"),
        ('command: [ls, "{inptu}"]', "did you mean {input}"),
        ("command: [ls, true]", "put it in quotes"),
        ("command: [ls], process: pass", "exclude each other"),
    ],
)
def test_check_reads_commands(studio, words, said):
    place = studio(f'      - {{match: "*", {words}}}\n')
    done = watcher("check", cwd=place)
    assert done.returncode == 2
    assert said in done.stdout

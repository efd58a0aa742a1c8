"""`status_file`: what artists without access to the server can read in their drop folder."""

from __future__ import annotations

import json

from tests.e2e.test_bundles import below, fill
from tests.e2e.test_studio_rules import studio, watcher

__all__ = ["studio"]


def test_the_drop_folder_tells_what_became_of_its_files(studio):
    place = studio(
        '      - {match: "bad*", retries: 0, command: ["false"]}\n'
        '      - {match: "late*", when: "Mon 00:00-00:01", process: pass}\n'
        '      - {match: "*", process: pass}\n',
        "    status_file: true\n",
    )
    fill(place, "good.txt", "bad.txt", "late.txt")
    assert watcher("run", "--once", cwd=place).returncode == 1
    text = (place / "in" / "watcher-status.txt").read_text()
    waiting, failed, delivered = (text.index(word) for word in ("Waiting", "Failed", "Delivered"))
    assert waiting < text.index("late.txt: accepted") < failed
    assert failed < text.index("bad.txt: false ended with exit code 1") < delivered
    assert text.index("-> good.txt") > delivered
    assert below(place / "in") == ["late.txt", "watcher-status.txt"]
    assert len(json.loads(watcher("files", "--json", cwd=place).stdout)) == 3
    plan = watcher("plan", cwd=place).stdout
    assert "ignored by built-in pattern 'watcher-status.txt'" in plan


def test_nothing_is_written_where_nobody_asked(studio):
    place = studio('      - {match: "*", process: pass}\n')
    fill(place, "good.txt")
    assert watcher("run", "--once", cwd=place).returncode == 0
    assert below(place / "in") == []

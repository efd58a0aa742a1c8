"""Several watchers on one PostgreSQL ledger and one folder tree, killed and paused at random.

    python -m benchmarks crowd [--files N] [--watchers N] [--seed N] [--done keep|delete|FOLDER]

Every file is accounted for by its content: lost, twice, changed, failed; all must be 0. It starts a
PostgreSQL server of its own. Imports the tests' studio. Invariant: it stops by itself, and ends
every process that it started.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.crash.test_shared import Studio, end
from tests.databases import postgres

LONGEST_PAUSE = 14.0  # seconds: past the lease, so that others take over
LATEST = 180.0  # seconds for the last file after the last drop


class Crowd:
    """Watchers, and what is done to them."""

    def __init__(self, studio: Any, count: int, chance: random.Random) -> None:
        self.studio, self.chance = studio, chance
        self.names = [f"w{number}" for number in range(count)]
        self.paused: dict[str, float] = {}
        self.done: Counter[str] = Counter()
        for name in self.names:
            studio.start(name)

    def disturb(self) -> None:
        """Kill one and start it again, or pause it, or let one go on."""
        name = self.chance.choice(self.names)
        process = self.studio.watchers[name]
        if name in self.paused:
            if time.monotonic() > self.paused[name]:
                del self.paused[name]
                process.send_signal(signal.SIGCONT)
        elif self.chance.random() < 0.5:  # noqa: PLR2004  (as often as not)
            process.kill()
            process.wait()
            self.studio.start(name)
            self.done["kills"] += 1
        elif len(self.paused) < len(self.names) - 1:
            process.send_signal(signal.SIGSTOP)
            self.paused[name] = time.monotonic() + self.chance.random() * LONGEST_PAUSE
            self.done["pauses"] += 1

    def wake(self) -> None:
        """Let all go on."""
        for name in self.paused:
            self.studio.watchers[name].send_signal(signal.SIGCONT)
        self.paused.clear()


def play(crowd: Crowd, files: int) -> dict[str, bytes]:
    """Drop the files among the disturbances; what is to be delivered, by its path."""
    wanted, due = {}, time.monotonic() + 0.5
    for number in range(files):
        name = f"f{number}.{'slow' if number % 40 == 0 else 'bin'}"
        body = f"{number} of {files}".encode() * 200
        crowd.studio.drop(name, body)
        wanted[f"{name}/copy.bin" if name.endswith("slow") else name] = body
        if time.monotonic() > due:
            crowd.disturb()
            due = time.monotonic() + crowd.chance.random() * 4
        time.sleep(0.01)
    crowd.wake()
    return wanted


def settled(studio: Any, wanted: dict[str, bytes], done: str) -> dict[str, bytes]:
    """What stands in the output when all has come to rest."""
    until = time.monotonic() + LATEST
    while time.monotonic() < until:
        found: dict[str, bytes] = studio.delivered()
        there = [one for one in (studio.folder / "in").iterdir() if one.name[0] != "."]
        if len(found) >= len(wanted) and (done == "keep" or not there):
            break
        time.sleep(0.5)
    return found


def main(words: list[str]) -> int:
    """Print the account; 1 when anything is not 0."""
    parser = argparse.ArgumentParser(prog="benchmarks crowd")
    parser.add_argument("--files", type=int, default=3000)
    parser.add_argument("--watchers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--done", default="./archive")
    asked = parser.parse_args(words)
    with postgres() as server, tempfile.TemporaryDirectory() as place:
        studio = Studio(Path(place), server.emptied(), asked.done)
        try:
            crowd = Crowd(studio, asked.watchers, random.Random(asked.seed))  # noqa: S311
            wanted = play(crowd, asked.files)
            found = settled(studio, wanted, asked.done)
            events = Counter(row["event"] for _, row in studio.rows())
        finally:
            end(studio)
    wrong = {
        "lost": len(wanted.keys() - found.keys()),
        "twice": len(found.keys() - wanted.keys()),
        "changed": sum(found[name] != body for name, body in wanted.items() if name in found),
        "failed": events["file.failed"],
    }
    print(f"{asked.files} files, {asked.watchers} watchers, seed {asked.seed}:", end=" ")
    print(f"{crowd.done['kills']} kills, {crowd.done['pauses']} pauses,", end=" ")
    print(f"{events['seat.lost']} woke up too late; {wrong}")
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How long a quick command takes, against importing requests.

python -m benchmarks startup [--rounds 11]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import Program, until
from benchmarks.rounds import Sample, show, take_turns

WIRE = Path(__file__).parent / "peers" / "wire.py"


def run(command: list[str]) -> Sample:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"CPU ms": spent * 1e3, "wall ms": wall * 1e3}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args(words)
    python, watcher = [sys.executable], [sys.executable, "-m", "watcher"]
    with (
        tempfile.TemporaryDirectory() as name,
        Program([*python, str(WIRE)], Path(name)) as server,
    ):
        until(lambda: server.log.read_text().endswith("\n"), 30)
        url = f"http://127.0.0.1:{server.log.read_text().strip()}"
        taking = {
            "watcher --help": lambda: run([*watcher, "--help"]),
            "watcher jobs --json": lambda: run([*watcher, "-u", url, "jobs", "--json"]),
            "import requests": lambda: run([*python, "-c", "import requests"]),
        }
        found = take_turns(taking, options.rounds)
    aims = {"CPU ms": "<= 1.5", "wall ms": "<= 1.5"}
    show("startup: quick commands", found, "import requests", aims)


if __name__ == "__main__":
    main()

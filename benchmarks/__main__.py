"""Every benchmark, or one by name: ``python -m benchmarks [NAME [its options]]``.

Imports the benchmarks. Invariant: each runs in a process of its own, so that none measures what
another has left in memory; one that fails or is skipped stops no other.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.machine import described

# in an order that puts what people feel first; what each takes on a calm machine of two cores
EVERY = {
    "intake": "10,000 small files dropped at once (4 min)",
    "latency": "a closed file until it is accepted (3 min)",
    "http": "1,000 jobs through a scheduler over HTTP (2 min)",
    "embedded": "1,000 OBJ files to GLB on the embedded scheduler (3 min)",
    "large": "large models on the embedded scheduler (5 min)",
    "thumbnails": "pictures of large models on the embedded scheduler (5 min)",
    "publish": "fsync in groups, one by one, and none (1 min)",
    "ledger": "group commits (1 min)",
    "startup": "quick commands (10 s)",
    "start": "the start with a ledger of a million files (1 min)",
    "rescan": "full and quick scans of a million known files (5 min)",
    "idle": "nothing to do in 10,000 folders (3 min)",
    "transfer": "2 GB up and down through the library (2 min)",
    "scale": "watchers, workers, their ledger and broker; needs both servers (4 min)",
    "serve": "2 GB up and down through `watcher serve` (2 min)",
}

BY_NAME = ("growth", "soak", "crowd")


def main(words: list[str]) -> int:
    if words and words[0] in ("-h", "--help"):
        print(__doc__)
        for name, what in EVERY.items():
            print(f"  {name:10} {what}")
        print("  growth     what one costs at three sizes, drawn (by name only; 15 min)")
        print("  soak       minutes to hours of mixed load and faults (by name only)")
        print("  crowd      several watchers, killed and paused at random (by name only)")
        return 0
    if words and words[0] not in {*EVERY, *BY_NAME}:
        print(f"no such benchmark: {words[0]}; there are: {' '.join([*EVERY, *BY_NAME])}")
        return 2
    if words:
        return _run(words[0], words[1:])
    failed = [name for name in EVERY if _run(name, [])]
    if failed:
        print(f"\nfailed: {' '.join(failed)}")
    return int(bool(failed))


def _run(name: str, options: list[str]) -> int:
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    code = subprocess.run(command, check=False).returncode
    if not code:
        print(f"({described()})", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

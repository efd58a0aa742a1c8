"""Minutes to hours of mixed load, faults and restarts; then every file is accounted for.

Run with ``python -m benchmarks.soak [--minutes 5] [--seed 1] [--folder DIR] [--keep]``. Writers of
many habits drop files of unique content into a real ``watcher run``, while it is killed, stopped,
frozen, and loses its folders. At the end every content must lie in the output once, or, when it
was made to be refused, in the failed folder beside its reason. Prints lost, duplicated, corrupt,
early and unexplained, with memory, descriptors and threads of the daemon; exits 1 unless all of
the five are 0. Imports nothing of watcher: it drives the command.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

WRITERS = 4
REFUSED = b"refuse "
REFUSED_SHARE = 0.2  # of the jobs
MARK = 32  # bytes at the head of each content that are its own, so that a cut file is known
SCRIPT = """
import pathlib

def main(pc, params):
    content = pathlib.Path(pc.get_input_file()).read_bytes()
    if content.startswith(b"refuse "):
        raise ValueError("it was made to be refused")
    pathlib.Path(pc.get_output_dir(), "output.bin").write_bytes(content)
"""
CONFIG = """
state: ./var
http: off
scheduler: {workers: 2}
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 300ms
    scan_every: 10s
    rules:
      - {name: jobs, match: "*.job", script: ./job.py, retries: 0, deliver: "{relpath}"}
      - {name: rest, match: "*", process: pass}
"""


@dataclass
class Account:
    """What was dropped, by the digest of its content, and what was seen meanwhile."""

    dropped: dict[str, str] = field(default_factory=dict)  # digest -> path
    refused: set[str] = field(default_factory=set)
    heads: dict[bytes, str] = field(default_factory=dict)  # head of a content -> digest
    half: set[str] = field(default_factory=set)  # paths under a final name that were not whole
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, path: str, content: bytes) -> None:
        """A content that is about to be dropped."""
        with self.lock:
            name = digest(content)
            self.dropped[name] = path
            self.heads[content[:MARK]] = name
            if content.startswith(REFUSED):
                self.refused.add(name)


def digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every visible file below a folder; one that goes meanwhile is left out."""
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.startswith(".") or name.endswith(".error.txt"):
                continue
            path = Path(place, name)
            try:
                yield str(path.relative_to(root)), path.read_bytes()
            except OSError:
                continue


# ---------------------------------------------------------------- writers
class Writer(threading.Thread):
    """Drops files in one habit after the other until told to stop."""

    def __init__(self, root: Path, account: Account, number: int, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.root, self.account, self.number, self.over = root, account, number, over
        self.dice = random.Random(number)  # noqa: S311  (load, no secret)
        self.count = 0

    def run(self) -> None:
        """One file after the other."""
        while not self.over.is_set():
            self.count += 1
            ending = self.dice.choice((".job", ".dat", ".dat", ".dat"))
            name = f"w{self.number}/d{self.count % 5}/f{self.count}{ending}"
            habit = self.dice.choice((self.plain, self.stalling, self.renamed, self.filled))
            content = self.content(ending)
            try:
                (self.root / "in" / name).parent.mkdir(parents=True, exist_ok=True)
                habit(self.root / "in" / name, content)
                self.account.add(name, content)
            except OSError:
                continue  # the root was away: this one was never dropped whole
            self.over.wait(self.dice.random() * 0.2)

    def content(self, ending: str) -> bytes:
        """Random bytes behind a head that no other has."""
        head = REFUSED if ending == ".job" and self.dice.random() < REFUSED_SHARE else b"welcome"
        head += f"{self.number:04}-{self.count:010}-".encode()
        return head + self.dice.randbytes(self.dice.choice((100, 5_000, 400_000)))

    def plain(self, path: Path, content: bytes) -> None:
        """Write in one go."""
        path.write_bytes(content)

    def stalling(self, path: Path, content: bytes) -> None:
        """Write in steps, with pauses longer than the quiet time."""
        step = len(content) // 3 + 1
        with path.open("wb") as out:
            for start in range(0, len(content), step):
                out.write(content[start : start + step])
                out.flush()
                time.sleep(self.dice.random() * 0.8)

    def renamed(self, path: Path, content: bytes) -> None:
        """Write beside, then rename."""
        part = path.with_name(f".{path.name}.part")
        part.write_bytes(content)
        part.rename(path)

    def filled(self, path: Path, content: bytes) -> None:
        """Full length first, content later."""
        with path.open("wb") as out:
            out.truncate(len(content))
            time.sleep(self.dice.random() * 0.8)
            out.write(content)


# ---------------------------------------------------------------- the daemon and its faults
class Daemon:
    """The command under test, with what it takes up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process: subprocess.Popen[bytes] | None = None
        self.peaks: list[tuple[int, int, int]] = []

    def started(self) -> int:
        """How many lives the log tells of."""
        log = self.root / "log"
        return log.read_bytes().count(b'"daemon.started"') if log.exists() else 0

    def start(self) -> None:
        """Begin a life; returns when it has begun, so that a later SIGTERM finds it listening."""
        before = self.started()
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "watcher", "run"], cwd=self.root, stdout=log, stderr=log
            )
        while self.started() == before and self.process.poll() is None:
            time.sleep(0.05)

    def measure(self) -> None:
        """Resident kB, open descriptors, threads."""
        if self.process is None or self.process.poll() is not None:
            return
        own = Path("/proc", str(self.process.pid))
        try:
            status = dict(line.split(":", 1) for line in (own / "status").read_text().splitlines())
            fds = len(list((own / "fd").iterdir()))
            self.peaks.append((int(status["VmRSS"].split()[0]), fds, int(status["Threads"])))
        except (OSError, KeyError):
            return

    def end(self, number: int) -> int:
        """Send a signal and wait; the exit code."""
        assert self.process is not None  # noqa: S101  (started before)
        self.process.send_signal(number)
        return self.process.wait(timeout=120)


def fault(daemon: Daemon, root: Path, dice: random.Random) -> str:
    """Let one thing go wrong, and mend it."""
    kind = dice.choice(("kill", "kill", "term", "freeze", "no output", "no input", "none"))
    assert daemon.process is not None  # noqa: S101  (started before)
    if kind == "kill":
        daemon.end(signal.SIGKILL)
        daemon.start()
    elif kind == "term":
        code = daemon.end(signal.SIGTERM)
        daemon.start()
        return kind if code == 0 else f"term: exit {code}"
    elif kind == "freeze":
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        daemon.process.send_signal(signal.SIGCONT)
    elif kind.startswith("no "):
        place = root / {"no output": "out", "no input": "in"}[kind]
        away = place.with_name(f"{place.name}.away")
        place.rename(away)
        time.sleep(2)
        while not mended(away, place):
            time.sleep(0.01)
    return kind


def mended(away: Path, place: Path) -> bool:
    """Put a folder back; what was written meanwhile where it had been is moved over first."""
    for made in sorted(place.rglob("*")) if place.exists() else ():
        if made.is_file():
            target = away / made.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the daemon or its writer was quicker
                made.rename(target)
    try:
        if place.exists():
            for folder in sorted(place.rglob("*"), reverse=True):
                folder.rmdir()
            place.rmdir()
        away.rename(place)
    except OSError:
        return False  # somebody wrote there once more
    return True


# ---------------------------------------------------------------- the account
def look_for_halves(root: Path, account: Account, over: threading.Event) -> None:
    """Anything under a final name that is no whole content, at any moment."""
    while not over.wait(0.5):
        for name, content in contents(root / "out"):
            with account.lock:
                whole = account.heads.get(content[:MARK])
            if whole is not None and whole != digest(content):
                account.half.add(name)


def verdicts(root: Path, account: Account) -> dict[str, list[str]]:
    out = [(name, content) for name, content in contents(root / "out")]
    bad = [(name, content) for name, content in contents(root / "failed")]
    delivered = Counter(digest(content) for _, content in out)
    refused = Counter(digest(content) for _, content in bad)
    found = {"lost": [], "duplicated": [], "corrupt": [], "early": [], "unexplained": []}
    found["early"] = sorted(account.half)
    for name, path in account.dropped.items():
        want, other = (refused, delivered) if name in account.refused else (delivered, refused)
        if not want[name]:
            found["lost"].append(path)
        if want[name] > 1 or other[name]:
            found["duplicated"].append(path)
    for name, content in out + bad:
        if digest(content) not in account.dropped:
            cut = content[:MARK] in account.heads or not content.strip(b"\0")
            found["early" if cut else "corrupt"].append(name)
    for name, _ in bad:
        if not (root / "failed" / f"{name}.error.txt").exists():
            found["unexplained"].append(name)
    return found


def soak(daemon: Daemon, minutes: float, seed: int) -> int:
    root = daemon.root
    for name in ("in", "out"):
        (root / name).mkdir(parents=True)
    (root / "watcher.yaml").write_text(CONFIG)
    (root / "job.py").write_text(SCRIPT)
    account, over, looked = Account(), threading.Event(), threading.Event()
    dice = random.Random(seed)  # noqa: S311  (faults, no secret)
    daemon.start()
    writers = [Writer(root, account, seed * 100 + n, over) for n in range(WRITERS)]
    watchman = threading.Thread(target=look_for_halves, args=(root, account, looked), daemon=True)
    for thread in (*writers, watchman):
        thread.start()
    faults: Counter[str] = Counter()
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        time.sleep(dice.random() * 6)
        daemon.measure()
        faults[fault(daemon, root, dice)] += 1
    over.set()
    for writer in writers:
        writer.join()
    code = daemon.end(signal.SIGTERM)
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "run", "--once"],
        cwd=root,
        check=False,
        capture_output=True,
        timeout=900,
    )
    looked.set()
    watchman.join()
    return report(root, account, daemon, faults, (code, done.returncode))


def report(
    root: Path, account: Account, daemon: Daemon, faults: Counter[str], codes: tuple[int, int]
) -> int:
    found = verdicts(root, account)
    left = [name for name, _ in contents(root / "in")]
    print(f"dropped {len(account.dropped)}, made to be refused {len(account.refused)}")
    print("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items())))
    print(f"exit codes: SIGTERM {codes[0]}, last run --once {codes[1]}; left in input {len(left)}")
    for kind, names in found.items():
        print(f"{kind}: {len(names)} {names[:5] if names else ''}")
    if daemon.peaks:
        half = len(daemon.peaks) // 2 or 1
        for label, column in (("memory kB", 0), ("descriptors", 1), ("threads", 2)):
            early = max(peak[column] for peak in daemon.peaks[:half])
            late = max(peak[column] for peak in daemon.peaks[-half:])
            print(f"{label}: at most {early} in the first half, {late} in the second")
    odd = [line for line in (root / "log").read_text(errors="replace").splitlines() if is_odd(line)]
    print(f"faults of the program in the log: {len(odd)} {odd[:3] if odd else ''}")
    return int(any(found.values()) or bool(left) or bool(odd))


def is_odd(line: str) -> bool:
    try:
        return json.loads(line).get("event") == "fault"
    except ValueError:
        return "Traceback" in line


def main() -> int:
    words = argparse.ArgumentParser(description="soak watcher")
    words.add_argument("--minutes", type=float, default=5.0)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--folder", type=Path)
    words.add_argument("--keep", action="store_true")
    asked = words.parse_args()
    root = asked.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    daemon = Daemon(root)
    try:
        code = soak(daemon, asked.minutes, asked.seed)
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.end(signal.SIGKILL)
    if code or asked.keep:
        print(f"kept: {root}")
    else:
        shutil.rmtree(root)
    return code


if __name__ == "__main__":
    sys.exit(main())

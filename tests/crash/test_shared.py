"""Several real watchers on one PostgreSQL ledger and one folder tree, killed and paused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.serving import start_server
from watcher.adapters.ledger import open_ledger

ROOT = Path(__file__).parents[2]
CONFIG = """\
state: ./state-{name}
ledger: {url}
http: off
scheduler: {{max_in_flight: 2, url: "{scheduler}", token: secret}}
folders:
  - name: in
    input: ./in
    output: ./out
    done: {done}
    settle: 0s
    scan_every: 2s
    rules:
      - {{name: slow, match: "*.slow", script: ./slow.py, deliver: "{{relpath}}/{{output}}"}}
      - {{name: plain, match: "*", process: pass, deliver: "{{relpath}}"}}
"""
SLOW = """
import pathlib, time
def main(pc, params):
    time.sleep(0.3)
    while pathlib.Path({hold!r}).exists():
        time.sleep(0.05)
    source = pathlib.Path(pc.get_input_file())
    pathlib.Path(pc.get_output_dir("copy.bin")).write_bytes(source.read_bytes())
"""


class Studio:
    """A folder tree, and the watchers that share it."""

    def __init__(self, folder, url, done):
        self.folder, self.url, self.done = folder, url, done
        self.scheduler = "embedded"
        self.watchers = {}
        (folder / "in").mkdir()
        self.hold = folder / "hold"  # while it is there, no slow job ends
        (folder / "slow.py").write_text(SLOW.format(hold=str(self.hold)))

    def start(self, name, *, prefix=()):
        config = self.folder / f"{name}.yaml"
        config.write_text(CONFIG.format(name=name, **vars(self)))
        with (self.folder / f"{name}.log").open("ab") as log:
            self.watchers[name] = subprocess.Popen(
                [*prefix, sys.executable, "-m", "watcher", "run", "-c", config],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=log,
            )

    def drop(self, name, content):
        part = self.folder / "in" / f".{name}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.rename(self.folder / "in" / name)

    def delivered(self):
        """Every file below the output that people see, with its content."""
        out, found = self.folder / "out", {}
        for folder, folders, names in os.walk(out):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if not name.startswith("."):
                    path = Path(folder, name)
                    found[str(path.relative_to(out))] = path.read_bytes()
        return found

    def rows(self):
        """Every transition that any of them logged."""
        for log in self.folder.glob("*.log"):
            for line in log.read_text().splitlines():
                if line.startswith("{"):
                    yield log.stem, json.loads(line)

    def seats(self):
        """How many watchers the ledger takes for living."""
        ledger = open_ledger(Path(), read_only=True, url=self.url)
        try:
            return len(ledger.seats.watchers())
        finally:
            ledger.close()

    def wait(self, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.tail()
            time.sleep(0.05)

    def tail(self):
        return "\n".join(log.read_text()[-3000:] for log in self.folder.glob("*.log"))


@pytest.fixture
def studio(tmp_path, postgres_server):
    @contextmanager
    def opened(done="keep"):
        made = Studio(tmp_path, postgres_server.emptied(), done)
        with ExitStack() as stack:
            stack.callback(end, made)
            yield made

    return opened


def end(made):
    for process in made.watchers.values():
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def contents(count, kind="bin"):
    return {f"f{number}.{kind}": f"{number}".encode() * 1000 for number in range(count)}


def test_files_are_shared_out_and_each_is_delivered_once(studio):
    with studio() as made:
        for name in ("a", "b", "c"):
            made.start(name)
        made.wait(lambda: sum(row["event"] == "root.online" for _, row in made.rows()) == 3)
        made.hold.touch()  # until each has a part of the work, however late it starts
        wanted = contents(60) | contents(18, "slow")
        for name, content in wanted.items():
            made.drop(name, content)
        expected = {n + "/copy.bin" * n.endswith("slow"): c for n, c in wanted.items()}
        made.wait(
            lambda: len({w for w, row in made.rows() if row["event"] == "job.submitted"}) == 3
        )
        made.hold.unlink()
        made.wait(lambda: made.delivered() == expected)
        for process in made.watchers.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in made.watchers.values()] == [0, 0, 0]
        said = [(who, row) for who, row in made.rows() if row["event"] == "file.delivered"]
        assert len(said) == len(wanted)
        slow = Counter(who for who, row in said if row["file"].endswith("slow"))
        assert len(slow) == 3, slow  # all of them had a part of the work
        assert not [row for _, row in made.rows() if row["event"] in ("fault", "file.failed")]


def test_a_killed_watchers_files_are_taken_over(studio):
    with studio(done="delete") as made:
        made.start("a")
        made.wait(lambda: any(row["event"] == "root.online" for _, row in made.rows()))
        wanted = contents(12, "slow")
        for name, content in wanted.items():
            made.drop(name, content)
        made.wait(lambda: any(row["event"] == "job.submitted" for _, row in made.rows()))
        made.watchers["a"].kill()
        made.watchers["a"].wait()
        made.start("b")
        made.wait(lambda: len(made.delivered()) == 12 and not list((made.folder / "in").iterdir()))
        assert made.delivered() == {f"{name}/copy.bin": body for name, body in wanted.items()}


def test_a_dead_watchers_jobs_on_a_scheduler_are_followed_and_not_sent_again(studio, tmp_path):
    with start_server(tmp_path / "farm", "--workers", "2") as farm, studio() as made:
        made.scheduler = farm.url
        made.start("a")
        made.wait(lambda: any(row["event"] == "root.online" for _, row in made.rows()))
        wanted = contents(10, "slow")
        for name, content in wanted.items():
            made.drop(name, content)
        made.wait(lambda: any(row["event"] == "job.submitted" for _, row in made.rows()))
        made.watchers["a"].kill()
        made.watchers["a"].wait()
        made.start("b")
        made.wait(lambda: len(made.delivered()) == 10)
        assert made.delivered() == {f"{name}/copy.bin": body for name, body in wanted.items()}
        names = Counter(
            job["name"] for job in farm.session.get(f"{farm.url}/jobs", timeout=30).json()["jobs"]
        )
        assert set(names.values()) <= {1}, names


def test_a_database_that_goes_away_for_a_while_is_waited_for(studio, postgres_server):
    with studio(done="./archive") as made:
        made.start("a")
        made.start("b")
        made.wait(lambda: sum(row["event"] == "root.online" for _, row in made.rows()) == 2)
        wanted = contents(60)
        for number, (name, content) in enumerate(wanted.items()):
            made.drop(name, content)
            if number == 20:
                postgres_server.stop(signal.SIGQUIT)
            if number == 40:
                made.wait(lambda: any(row["event"] == "trouble" for _, row in made.rows()))
                postgres_server.start()
        made.wait(lambda: made.delivered() == wanted)
        made.wait(lambda: len(list((made.folder / "archive").iterdir())) == 60)
        for process in made.watchers.values():
            process.send_signal(signal.SIGTERM)
        assert [process.wait(60) for process in made.watchers.values()] == [0, 0]
        assert not [row for _, row in made.rows() if row["event"] in ("fault", "file.failed")]


NEAR, FAR = "10.213.7.1", "10.213.7.2"  # in a network of the test's own


@pytest.fixture
def far_away(postgres_server):
    """A host of its own, joined to the database by one line: its name, and a switch for it."""
    name, line = f"w{os.getpid()}", f"v{os.getpid()}"
    if os.geteuid() != 0 or not shutil.which("ip") or ip("netns", "add", name).returncode:
        pytest.skip("may not make a network namespace here")
    for words in (
        ("link", "add", line, "type", "veth", "peer", "name", "far0", "netns", name),
        ("addr", "add", f"{NEAR}/30", "dev", line),
        ("link", "set", line, "up"),
        ("-n", name, "addr", "add", f"{FAR}/30", "dev", "far0"),
        ("-n", name, "link", "set", "far0", "up"),
    ):
        assert ip(*words).returncode == 0
    hosts, postgres_server.hosts = postgres_server.hosts, f"127.0.0.1,{NEAR}"
    postgres_server.stop()
    with (postgres_server.folder / "data/pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {FAR}/32 trust\n")
    postgres_server.start()
    yield name, lambda way: ip("link", "set", line, way)
    postgres_server.stop()
    postgres_server.hosts = hosts
    postgres_server.start()
    ip("netns", "del", name)


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True)


def test_a_watcher_whose_line_is_cut_is_taken_over_from_and_comes_back(studio, far_away):
    name, line = far_away
    with studio(done="./archive") as made:
        made.start("a")
        near, made.url = made.url, made.url.replace("127.0.0.1", NEAR)
        made.start("b", prefix=["ip", "netns", "exec", name])
        made.url = near
        made.wait(lambda: sum(row["event"] == "root.online" for _, row in made.rows()) == 2)
        wanted = contents(80)
        for number, (file, content) in enumerate(wanted.items()):
            made.drop(file, content)
            if number == 40:
                line("down")
        made.wait(lambda: made.delivered() == wanted)
        made.wait(lambda: made.seats() == 1)
        line("up")
        made.wait(lambda: made.seats() == 2)
        made.drop("late.bin", b"late")
        made.wait(lambda: len(made.delivered()) == 81)
        assert not [row for _, row in made.rows() if row["event"] in ("fault", "file.failed")]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_paused_watcher_publishes_nothing_after_it_was_given_up(studio, seed):
    chance = random.Random(seed)  # noqa: S311
    with studio(done="./archive") as made:
        made.start("a")
        made.start("b")
        made.wait(lambda: sum(row["event"] == "root.online" for _, row in made.rows()) == 2)
        wanted = contents(150)
        for number, (name, content) in enumerate(wanted.items()):
            made.drop(name, content)
            if number == 30:
                time.sleep(chance.random() * 0.2)  # anywhere in the work on what came so far
                made.watchers["a"].send_signal(signal.SIGSTOP)
        made.wait(lambda: len(made.delivered()) == 150)
        made.wait(lambda: made.seats() == 1)
        made.watchers["a"].send_signal(signal.SIGCONT)
        made.wait(lambda: any(row["event"] == "seat.lost" for _, row in made.rows()))
        made.drop("late.bin", b"late")
        made.wait(lambda: len(made.delivered()) == 151)
        made.wait(lambda: not list((made.folder / "in").iterdir()))
        assert made.delivered() == wanted | {"late.bin": b"late"}
        assert {p.name for p in (made.folder / "archive").iterdir()} == {*wanted, "late.bin"}

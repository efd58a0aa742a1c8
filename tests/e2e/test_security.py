"""Nothing outside the folders is read or written, no secret is told, and a file that breaks its
converter costs one failed file."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import requests

from tests.e2e.place import ROOT, Place, drop, tree
from tests.serving import start_server
from watcher.adapters.files import LocalFiles
from watcher.errors import OutsideRoot

LIBC = ctypes.CDLL(None, use_errno=True)
AT_CWD, EXCHANGE = -100, 2  # fcntl.h, linux/fs.h


# ---------------------------------------------------------------- links swapped at work
class Swapper(threading.Thread):
    """Exchanges a folder and a link that leads out, all the time; at the end as at first."""

    def __init__(self, folder: Path, outside: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.link = folder, folder.with_name(f".{folder.name}.link")
        folder.mkdir(parents=True, exist_ok=True)
        outside.mkdir()
        self.link.symlink_to(outside)
        self.real = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.over = threading.Event()
        self.swaps = 0

    def run(self) -> None:
        while not self.over.is_set() or self.swaps % 2:
            places = (AT_CWD, os.fsencode(self.folder), AT_CWD, os.fsencode(self.link), EXCHANGE)
            assert LIBC.renameat2(*places) == 0
            self.swaps += 1
            self.over.wait(0.0005 * (self.swaps % 7))

    def stop(self) -> None:
        self.over.set()
        self.join()
        os.close(self.real)


def test_links_that_are_swapped_in_at_work_lead_nowhere(tmp_path):
    place = Place(tmp_path, settle="0s", scan_every="1s")
    place.out.mkdir()
    place.archive.mkdir()
    outside = {name: tmp_path / f"outside-{name}" for name in ("in", "out", "archive")}
    swappers = [
        Swapper(folder / "sub", outside[folder.name])
        for folder in (place.inp, place.out, place.archive)
    ]
    wanted = {f"f{number}.dat": b"%d inside" % number for number in range(120)}
    for name in wanted:  # what a race would read, and move away
        (outside["in"] / name).write_bytes(b"outside")
    with place.running():
        for one in swappers:
            one.start()
        try:
            for name, content in wanted.items():
                part, real = f".{name}.part", swappers[0].real
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT, dir_fd=real), "wb") as out:
                    out.write(content)
                os.rename(part, name, src_dir_fd=real, dst_dir_fd=real)
                threading.Event().wait(0.02)
        finally:
            for one in swappers:
                one.stop()
        assert all(one.swaps > 100 for one in swappers)
        place.wait(lambda: len(ends(place)) == len(wanted), "every file at its end")
        place.wait(lambda: not set(tree(place.inp)) & {f"sub/{name}" for name in wanted})
    assert sorted(ends(place)) == sorted(wanted.values())  # each once, and nothing from outside
    assert tree(outside["in"]) == dict.fromkeys(wanted, b"outside")
    assert tree(outside["out"]) == tree(outside["archive"]) == {}
    assert b"outside" not in [*tree(place.archive).values(), *tree(place.failed).values()]


def test_a_folder_that_takes_turns_with_a_link_is_never_taken_as_gone(tmp_path):
    (tmp_path / "in").mkdir()
    swapper = Swapper(tmp_path / "in" / "sub", tmp_path / "outside")
    (tmp_path / "in" / "sub" / "a").write_bytes(b"x")
    swapper.start()
    files, seen = LocalFiles(), Counter()
    try:
        for _ in range(20_000):
            try:
                seen[files.look(tmp_path / "in", "sub/a") is not None] += 1
            except OutsideRoot:
                seen["outside"] += 1
    finally:
        swapper.stop()
    assert seen[False] == 0
    assert seen[True]
    assert seen["outside"]


def ends(place: Place) -> list[bytes]:
    """The contents that were delivered, or failed beside a reason."""
    failed = tree(place.failed)
    told = [body for name, body in failed.items() if f"{name}.error.txt" in failed]
    return [*tree(place.out).values(), *told]


# ---------------------------------------------------------------- secrets
SECRETS = {
    "FARM_TOKEN": "tok-9f31c2",
    "PAGE_TOKEN": "page-77a1d0",
    "HOOK_SECRET": "hook-51be02",
    "HOOK_PATH": "path-aa42e9",
}
PATHS = ("/", "/metrics", "/healthz", "/readyz", "/api/files")
TOLD_CONFIG = """\
state: ./var
http: {{listen: "127.0.0.1:{port}", token_file: ./page-token}}
log: {{level: debug}}
scheduler: {{workers: 1}}
schedulers:
  farm: {{url: "{url}", token: "${{FARM_TOKEN}}"}}
  away: {{url: "http://127.0.0.1:9", token: "${{FARM_TOKEN}}"}}
notify:
  - {{on: [failed], url: "http://127.0.0.1:9/${{HOOK_PATH}}", secret: "${{HOOK_SECRET}}"}}
folders:
  - name: in
    input: ./in
    output: ./out
    failed: ./failed
    settle: 0s
    rules:
      - name: here
        match: "*.here"
        script: ./job.py
        params: {{width: 3}}
        receipt: true
        retries: 0
      - {{name: far, match: "*.far", script: ./job.py, scheduler: farm, receipt: true, retries: 0}}
      - {{name: gone, match: "*.off", script: ./job.py, scheduler: away}}
"""
TELLS = f"""\
import os, pathlib

NAMES = {tuple(SECRETS)}

def main(pc, params):
    text = pathlib.Path(pc.get_input_file()).read_text()
    if text == "bad":
        raise ValueError(" ".join(os.environ.get(name, "-") for name in NAMES))
    pathlib.Path(pc.get_output_dir(), "output.bin").write_text(text)
"""


def test_no_secret_stands_anywhere(tmp_path):
    (tmp_path / "token").write_text(SECRETS["FARM_TOKEN"])
    with start_server(tmp_path / "farm", "--token-file", str(tmp_path / "token")) as farm:
        place = Place(tmp_path / "studio")
        port = free_port()
        place.config.write_text(TOLD_CONFIG.format(port=port, url=farm.url))
        (place.root / "job.py").write_text(TELLS)
        (place.root / "page-token").write_text(SECRETS["PAGE_TOKEN"])
        for name in ("good.here", "bad.here", "good.far", "bad.far", "x.off"):
            drop(place.inp / name, name.partition(".")[0].encode())
        environ = {**os.environ, **SECRETS, "PYTHONPATH": str(ROOT)}
        told: list[bytes] = []
        with place.log.open("ab") as log:
            daemon = subprocess.Popen(
                place.command("-v", "run"), cwd=place.root, env=environ, stdout=log, stderr=log
            )
        try:
            place.wait(lambda: len(tree(place.failed)) == 4 and len(tree(place.out)) == 4)
            place.wait(lambda: place.events("trouble"))
            told.append(subprocess.check_output(["ps", "axww", "-o", "args"]))
            told += [asked(port, path) for path in PATHS]
        finally:
            daemon.terminate()
            assert daemon.wait(timeout=60) == 0
        for words in (["files", "--json"], ["explain", "in/bad.here"], ["explain", "in/bad.far"]):
            done = subprocess.run(
                place.command(*words), cwd=place.root, env=environ, capture_output=True, check=True
            )
            told.append(done.stdout + done.stderr)
    told += [place.log.read_bytes(), *tree(place.failed).values(), *tree(place.out).values()]
    shown = b"\n".join(told)
    for name, secret in SECRETS.items():
        assert secret.encode() not in shown, (name, around(shown, secret.encode()))


def around(text: bytes, word: bytes) -> bytes:
    at = text.find(word)
    return text[max(0, at - 300) : at + 100]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def asked(port: int, path: str) -> bytes:
    headers = {"Authorization": f"Bearer {SECRETS['PAGE_TOKEN']}"}
    reply = requests.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=30)
    assert reply.status_code in (200, 503), (path, reply.status_code)
    return reply.content


# ---------------------------------------------------------------- poison
POISON = """\
import os, pathlib, time

def main(pc, params):
    text = pathlib.Path(pc.get_input_file()).read_text()
    if text == "hang":
        time.sleep(3600)
    if text == "crash":
        os.abort()
    if text == "balloon":
        held = [bytes(64 << 20)]
        while True:
            held.append(bytes(2 * len(held[-1])))
    if text == "mended?" and not pathlib.Path(params["go"]).exists():
        raise ValueError("the licence server is away")
    pathlib.Path(pc.get_output_dir(), "output.bin").write_text(text)
"""
POISON_CONFIG = """\
state: ./var
http: off
scheduler: {{workers: 1}}
folders:
  - name: in
    input: ./in
    output: ./out
    done: ./archive
    failed: ./failed
    settle: 0s
    rules:
      - name: jobs
        match: "*.job"
        script: ./job.py
        params: {{go: {go}}}
        retries: 0
        time_limit: 4
      - {{name: rest, match: "*", process: pass}}
"""


def test_what_breaks_its_converter_costs_one_failed_file_that_can_be_retried(tmp_path):
    place = Place(tmp_path / "a folder's")
    place.config.write_text(POISON_CONFIG.format(go=tmp_path / "go"))
    (place.root / "job.py").write_text(POISON)
    for kind in ("hang", "crash", "balloon", "mended?"):
        drop(place.inp / f"{kind}.job", kind.encode())
    with (place.inp / "huge.dat").open("wb") as huge:
        huge.truncate(3 << 30)
    small = {f"small{number}.{'job' if number % 2 else 'dat'}": b"small" for number in range(20)}
    for name, content in small.items():
        drop(place.inp / name, content)
    with place.running():
        place.wait(lambda: len(tree(place.failed)) == 8, "four of them fail")
        place.wait(lambda: set(small) <= set(tree(place.archive)), "the others go on")
        reasons = {
            "hang": "time limit of 4 s",
            "crash": "signal 6",
            "balloon": "memory",
            "mended?": "the licence server is away",
        }
        for kind, reason in reasons.items():
            note = (place.failed / f"{kind}.job.error.txt").read_text()
            assert reason in note, note
            assert ", attempt 1" in note
            assert reason in place.ask("explain", f"in/{kind}.job").stdout
        # the very command of the note, in a shell, from anywhere
        line = next(ln for ln in note.splitlines() if "watcher retry" in ln)
        (tmp_path / "go").touch()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        subprocess.run(["bash", "-c", line], check=True, cwd="/", env={**os.environ, "PATH": path})
        place.wait(lambda: "mended?.job" in tree(place.archive), "retried by the command")
        place.wait(lambda: "mended?.job.error.txt" not in tree(place.failed))
        # and moving it back, mended
        (place.failed / "crash.job").write_bytes(b"mended")
        (place.failed / "crash.job").rename(place.inp / "crash.job")
        place.wait(lambda: tree(place.archive).get("crash.job") == b"mended", "moved back")
        place.wait(lambda: "crash.job.error.txt" not in tree(place.failed))
    assert set(tree(place.failed)) == {
        f"{kind}.job{end}" for kind in ("hang", "balloon") for end in ("", ".error.txt")
    }

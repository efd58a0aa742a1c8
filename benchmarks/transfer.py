"""A large file up and down through the library, against a raw socket and requests' own ``files=``.

    python -m benchmarks transfer [--size 2000000000] [--rounds 5]

Each way runs in a process of its own; all talk to one server, a Python process of the same machine,
so the ratios count. The file is real, and read once before the clock starts (imports too), so that
it lies in the page cache for every side. The raw socket reads as we must, through the process, out
of one buffer; ``sendfile`` is the machine's limit. Memory is the peak (RSS) of the client.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.rounds import Sample, show, take_turns

KEY = "e7c636f3-c022-4ed7-8297-56e7e06365ed"
BLOCK = 1 << 20
Way = Callable[[], object]


class Sink(BaseHTTPRequestHandler):
    """Takes uploads and forgets them; gives a file of zeros of the size in its path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        """An upload."""
        left = int(self.headers["Content-Length"])
        held = bytearray(BLOCK)
        view = memoryview(held)
        while left:
            got = self.rfile.readinto(view[: min(left, BLOCK)])  # type: ignore[attr-defined]
            left -= got
        body = json.dumps({"uuid": KEY, "status": "SENT"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """A download."""
        size = int(self.path.rpartition("/")[2])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(BLOCK)
        for start in range(0, size, BLOCK):
            self.wfile.write(block[: size - start])


class Silent(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that has all it wanted may just go."""


def library_up(port: int, path: Path) -> Way:
    """As the command line sends a file."""
    from watcher.adapters.http import Client, Server, Submission  # noqa: PLC0415 - measured apart
    from watcher.core.source import Source  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    source = Source(path.name, path.stat().st_size, lambda: path.open("rb"))
    return lambda: client.submit(Submission(process="api_test", sources=(source,)))


def hashed_up(port: int, path: Path) -> Way:
    """As the daemon sends a file: what is sent is hashed on its way."""
    from watcher.adapters.http import Client, Server, Submission  # noqa: PLC0415
    from watcher.content import Hashing  # noqa: PLC0415
    from watcher.core.source import Source  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    source = Source(path.name, path.stat().st_size, lambda: Hashing(path.open("rb")))
    return lambda: client.submit(Submission(process="api_test", sources=(source,)))


def zipped_up(port: int, path: Path) -> Way:
    """As several files are sent."""
    from watcher.adapters.http import Client, Server, Submission  # noqa: PLC0415
    from watcher.core.source import Source  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    big = Source(path.name, path.stat().st_size, lambda: path.open("rb"))
    small = Source("tex/a.png", 3, lambda: io.BytesIO(b"abc"))
    return lambda: client.submit(Submission(process="api_test", sources=(big, small)))


def library_down(port: int, path: Path) -> Way:
    """As the command line brings a file."""
    from watcher.adapters.http import Client, Server  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    size, target = path.stat().st_size, path.with_suffix(".down")
    return lambda: client.download(KEY, str(size), target)


def hashed_down(port: int, path: Path) -> Way:
    """As the daemon brings a file."""
    from watcher import content  # noqa: PLC0415
    from watcher.adapters.http import Client, Server  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    size, target = path.stat().st_size, path.with_suffix(".down")
    return lambda: client.download(KEY, str(size), target, state=content.hashing())


def _head(path: Path) -> bytes:
    size = path.stat().st_size
    return f"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()


def socket_up(port: int, path: Path) -> Way:
    """A file read into one buffer and sent from there."""

    def run() -> None:
        held = memoryview(bytearray(BLOCK))
        with (
            socket.create_connection(("127.0.0.1", port)) as sock,
            path.open("rb", buffering=0) as stream,
        ):
            sock.sendall(_head(path))
            while count := stream.readinto(held):
                sock.sendall(held[:count])
            sock.recv(1000)

    return run


def sendfile_up(port: int, path: Path) -> Way:
    """What the machine can do at most: the bytes never come into the process."""

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock, path.open("rb") as stream:
            sock.sendall(_head(path))
            sock.sendfile(stream)
            sock.recv(1000)

    return run


def socket_down(port: int, path: Path) -> Way:
    """Received into one buffer and written from there."""
    size = path.stat().st_size

    def run() -> None:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(f"GET /{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            held = bytearray(BLOCK)
            got = 0
            with path.with_suffix(".down").open("wb", buffering=0) as out:
                while got < size:
                    count = sock.recv_into(held)
                    out.write(memoryview(held)[:count])
                    got += count

    return run


def requests_up(port: int, path: Path) -> Way:
    """What people write first."""
    import requests  # noqa: PLC0415

    def run() -> None:
        with path.open("rb") as stream:
            requests.post(f"http://127.0.0.1:{port}/jobs", files={"file": stream}, timeout=600)

    return run


WAYS: dict[str, Callable[[int, Path], Way]] = {
    one.__name__: one
    for one in (
        library_up,
        hashed_up,
        zipped_up,
        requests_up,
        socket_up,
        sendfile_up,
        library_down,
        hashed_down,
        socket_down,
    )
}


def measure(way: str, port: int, path: Path) -> None:
    run = WAYS[way](port, path)
    if way.endswith("_up"):
        with path.open("rb", buffering=0) as stream:
            while stream.read(BLOCK):
                pass
    begun = time.perf_counter()
    run()
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(path.stat().st_size / 1e6 / seconds, peak / 1e6)


def side(way: str, port: int, path: Path) -> Callable[[], Sample]:
    def run() -> Sample:
        words = ["--way", way, str(port), str(path)]
        command = [sys.executable, "-m", "benchmarks.transfer", *words]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rate, peak = map(float, said.split())
        return {"MB/s": rate, "peak MB": peak}

    return run


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks transfer", description=__doc__)
    parser.add_argument("--size", type=int, default=2_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--way", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args(words)
    if chosen.way:
        measure(chosen.way[0], int(chosen.way[1]), Path(chosen.way[2]))
        return
    server = Silent(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = Path(folder) / "big.bin"
        with path.open("wb") as out:
            for start in range(0, chosen.size, BLOCK):
                out.write(os.urandom(min(BLOCK, chosen.size - start)))
        taking = {way: side(way, server.server_port, path) for way in WAYS}
        found = take_turns(taking, chosen.rounds)
    server.shutdown()
    up = {way: ones for way, ones in found.samples.items() if way.endswith("_up")}
    down = {way: ones for way, ones in found.samples.items() if way.endswith("_down")}
    aims = {"MB/s": ">= 0.8", "peak MB": "<= 0.02 of requests_up"}
    found.samples = up
    show(f"transfer: {chosen.size / 1e9:g} GB up", found, "socket_up", aims)
    found.samples = down
    show(f"transfer: {chosen.size / 1e9:g} GB down", found, "socket_down", aims)


if __name__ == "__main__":
    main()

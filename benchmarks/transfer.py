"""A large file up and down through the library, against a raw socket and requests' own ``files=``.

    python -m benchmarks transfer [--size 2000000000] [--rounds 5]

Each way runs in a process of its own; all talk to one server, a Python process of the same machine,
so the ratios count. Memory is the peak (RSS) of the client's process.
"""

from __future__ import annotations

import argparse
import io
import json
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


def library_up(port: int, path: Path) -> None:
    from watcher.adapters.http import Client, Server, Submission  # noqa: PLC0415 - measured apart
    from watcher.core.source import Source  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    source = Source(path.name, path.stat().st_size, lambda: path.open("rb"))
    client.submit(Submission(process="api_test", sources=(source,)))


def zipped_up(port: int, path: Path) -> None:
    from watcher.adapters.http import Client, Server, Submission  # noqa: PLC0415
    from watcher.core.source import Source  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    big = Source(path.name, path.stat().st_size, lambda: path.open("rb"))
    small = Source("tex/a.png", 3, lambda: io.BytesIO(b"abc"))
    client.submit(Submission(process="api_test", sources=(big, small)))


def library_down(port: int, path: Path) -> None:
    from watcher.adapters.http import Client, Server  # noqa: PLC0415

    client = Client(Server(url=f"http://127.0.0.1:{port}"))
    client.download(KEY, str(path.stat().st_size), path.with_suffix(".down"))


def socket_up(port: int, path: Path) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock, path.open("rb") as stream:
        head = f"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {path.stat().st_size}\r\n\r\n"
        sock.sendall(head.encode())
        while block := stream.read(BLOCK):
            sock.sendall(block)
        sock.recv(1000)


def socket_down(port: int, path: Path) -> None:
    size = path.stat().st_size
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET /{size} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        held = bytearray(BLOCK)
        got = 0
        with path.with_suffix(".down").open("wb") as out:
            while got < size:
                count = sock.recv_into(held)
                out.write(memoryview(held)[:count])
                got += count


def requests_up(port: int, path: Path) -> None:
    import requests  # noqa: PLC0415

    with path.open("rb") as stream:
        requests.post(f"http://127.0.0.1:{port}/jobs", files={"file": stream}, timeout=600)


WAYS = {
    one.__name__: one
    for one in (library_up, zipped_up, requests_up, socket_up, library_down, socket_down)
}


def measure(way: str, port: int, path: Path) -> None:
    begun = time.perf_counter()
    WAYS[way](port, path)
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
            out.truncate(chosen.size)
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

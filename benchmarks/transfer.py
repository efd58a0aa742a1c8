"""Upload and download through the library, against a raw socket and ``requests``' own ``files=``.

Usage: ``python benchmarks/transfer.py [--size 2GB]``. Each way runs in a process of its own; all
talk to one server. The figures are MB/s and the peak memory (RSS) of the client's process.
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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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


def requests_up(port: int, path: Path) -> None:
    import requests  # noqa: PLC0415

    with path.open("rb") as stream:
        requests.post(f"http://127.0.0.1:{port}/jobs", files={"file": stream}, timeout=600)


WAYS = {one.__name__: one for one in (socket_up, library_up, zipped_up, requests_up, library_down)}


def measure(way: str, port: int, path: Path) -> None:
    begun = time.perf_counter()
    WAYS[way](port, path)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{way:14} {path.stat().st_size / 1e6 / seconds:8.0f} MB/s {peak:8.0f} MB peak")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="2GB")
    parser.add_argument("--way", nargs=3)
    chosen = parser.parse_args()
    if chosen.way:
        measure(chosen.way[0], int(chosen.way[1]), Path(chosen.way[2]))
        return
    size = int(chosen.size.removesuffix("GB")) * 10**9
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.bin"
        with path.open("wb") as out:
            out.truncate(size)
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, str(server.server_port), str(path)]
            subprocess.run(command, check=True)
    server.shutdown()


if __name__ == "__main__":
    main()

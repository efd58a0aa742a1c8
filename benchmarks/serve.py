"""`watcher serve`: a large upload and download, and what others wait meanwhile.

    python -m benchmarks.serve [--size BYTES]

Starts a server of its own below a temporary folder; prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import uuid
from pathlib import Path

from tests.serving import TOKEN, Server, start_server
from watcher.adapters.http.client import Client, Submission
from watcher.adapters.http.session import Server as Where
from watcher.core.ports import Source

COPY = """import os
def main(pc, params):
    os.link(pc.get_input_file(), pc.get_output_dir("big.bin"))
"""


def peak(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def others(server: Server, stop: threading.Event, waits: list[float]) -> None:
    while not stop.wait(0.02):
        began = time.perf_counter()
        server.ask("GET", "/jobs")
        waits.append(time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2_000_000_000)
    size = parser.parse_args().size
    with tempfile.TemporaryDirectory() as name, start_server(Path(name)) as server:
        folder = Path(name)
        big, script = folder / "big.bin", folder / "copy.py"
        with big.open("wb") as file:
            file.truncate(size)
        script.write_text(COPY)
        client = Client(Where(url=server.url, token=TOKEN, read=600.0))
        server.ask("GET", "/jobs")
        before = peak(server.process.pid)
        stop, waits = threading.Event(), []
        other = threading.Thread(target=others, args=(server, stop, waits))
        other.start()
        began = time.perf_counter()
        source = Source(name="big.bin", size=size, open=lambda: big.open("rb"))
        key = str(uuid.uuid4())
        client.submit(Submission(script=script, sources=(source,), key=key))
        up = time.perf_counter() - began
        server.wait(key)
        began = time.perf_counter()
        client.download(key, "big.bin", folder / "back.bin")
        down = time.perf_counter() - began
        stop.set()
        other.join()
        waits.sort()
        found = {
            "bytes": size,
            "upload_mb_s": round(size / up / 1e6),
            "download_mb_s": round(size / down / 1e6),
            "server_memory_growth_mb": round((peak(server.process.pid) - before) / 1e6),
            "others_wait_ms_p50": round(waits[len(waits) // 2] * 1e3, 1),
            "others_wait_ms_max": round(waits[-1] * 1e3, 1),
        }
        print(json.dumps(found))


if __name__ == "__main__":
    main()

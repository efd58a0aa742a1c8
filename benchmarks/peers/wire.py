"""The least that speaks the scheduler's API: each job is a copy of its input and done at once.

``wire.py`` prints its port, then answers; ``GET /calls`` tells how many calls it had. With
``--hold`` jobs run until ``GET /release``.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JOBS: dict[str, bytes] = {}
CALLS = {"count": 0, "posts": 0}
HELD = ["--hold"] if "--hold" in sys.argv else []
TASK = re.compile(rb'"task_id": ?"([0-9a-f-]{36})"')


def word(name: str) -> dict[str, object]:
    ended = "RUNNING" if HELD else "SUCCESS"
    status = ended if name in JOBS else "PENDING"
    progress = 50 if HELD else 100
    return {"uuid": name, "name": "job", "status": status, "progress": progress, "error": None}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _send(self, body: bytes, kind: str = "application/json") -> None:
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        self.wfile.write(head + body)

    def do_POST(self) -> None:
        CALLS["count"] += 1
        CALLS["posts"] += 1
        body = self.rfile.read(int(self.headers["Content-Length"]))
        chosen = TASK.search(body)
        name = chosen[1].decode() if chosen else str(uuid.uuid4())
        JOBS[name] = b"x" * 1024
        self._send(json.dumps({**word(name), "status": "SENT"}).encode())

    def do_DELETE(self) -> None:
        CALLS["count"] += 1
        body = b'{"detail": "Method Not Allowed"}'
        head = f"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def do_GET(self) -> None:  # noqa: PLR0911  (a table of routes)
        words = self.path.split("/")[1:]
        if words == ["calls"]:
            return self._send(json.dumps(CALLS).encode())
        if words == ["release"]:
            HELD.clear()
            return self._send(b"{}")
        CALLS["count"] += 1
        if words == ["jobs"]:
            return self._send(json.dumps({"jobs": [word(name) for name in JOBS]}).encode())
        if words == ["processes"]:
            return self._send(b'{"processes": ["copy"]}')
        if len(words) == 2:  # noqa: PLR2004  (jobs/<id>)
            return self._send(json.dumps(word(words[1])).encode())
        if words[2:] == ["details"]:
            more = {"steps": [], "result": None, "time_info": {}, "retry": 0}
            return self._send(json.dumps({**word(words[1]), **more}).encode())
        if words[2:] == ["outputs"]:
            return self._send(b'{"outputs": ["output.bin"]}')
        return self._send(JOBS[words[1]], "application/octet-stream")


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()

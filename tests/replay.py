"""A real HTTP server that answers from a script: captures of the real scheduler, or what a test
says. Of several answers to one request each is given once, the last one for ever.

The captures in ``tests/captures`` are literal exchanges with a Pixyz Scheduler (API 1.0.7, commit
b7ca944, no SDK) on loopback; server paths are shortened.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import quote

CAPTURES = Path(__file__).parent / "captures"
JOB = "0937e04a-fb7e-4d4d-9ca3-168f45ff603d"
OURS = {"date", "server", "content-length", "transfer-encoding"}  # said by the server itself


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str  # as sent: still percent-encoded
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply. ``length`` lies about the body's length; ``drop`` closes without a reply; ``wait``
    is called before the reply is sent; ``pace`` seconds pass before each of its 64 KB blocks."""

    status: int = 200
    body: object = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    drop: bool = False
    wait: Callable[[], object] | None = None
    pace: float = 0.0

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def capture(name: str) -> dict:
    """A capture as recorded."""
    return json.loads((CAPTURES / f"{name}.json").read_text())


class Replay(ThreadingHTTPServer):
    """``with Replay("jobs_many") as server: ... server.url``."""

    daemon_threads = True

    def __init__(self, *names: str) -> None:
        super().__init__(("127.0.0.1", 0), _Reply)
        self.script: dict[tuple[str, str], list[Answer | Callable[[Asked], Answer]]] = {}
        self.asked: list[Asked] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"
        for name in names:
            self.capture(name)

    def capture(self, name: str) -> None:
        """Add a capture's answer, or each answer of its sequence."""
        found = capture(name)
        for each in found.get("sequence", []):
            details = "/details" if "time_info" in each["body"] else ""
            self.answer("GET", f"/jobs/{each['body']['uuid']}{details}", body=each["body"])
        if "response" in found:
            reply = found["response"]
            headers = {key: text for key, text in reply.get("headers", []) if key not in OURS}
            request = found.get("request", {})
            default = f"/jobs/{reply['body']['uuid']}/details" if "request" not in found else ""
            self.answer(
                request.get("method", "GET"),
                request.get("path", default),
                status=reply["status"],
                body=reply["body"],
                headers=headers,
            )

    def answer(self, method: str, path: str, **reply: object) -> None:
        """Add an answer to a request."""
        self.script.setdefault((method, path), []).append(Answer(**reply))

    def on(self, method: str, path: str, reply: Callable[[Asked], Answer]) -> None:
        """Add an answer that is made when the request comes; it stays."""
        self.script.setdefault((method, path), []).append(reply)

    def runs(self, end: str = "SUCCESS", *, outputs=None, **document: object) -> str:
        """Take a job, run it for two looks and end it so; ``outputs``: name to bytes. Its id."""
        path = f"/jobs/{JOB}"
        short = {"uuid": JOB, "name": None, "status": "SENT", "progress": None, "error": None}
        times = {"request": "2026-11-24T02:43:33.561489", "started": None, "stopped": None}
        steps = [{"duration": 0.5, "info": "reading"}, {"duration": -1, "info": "writing"}]
        full = {"time_info": times, "steps": steps, "retry": 0, "result": {}}
        self.answer("POST", "/jobs", body=short)
        self.answer("GET", f"{path}/details", body=short | full | {"status": "PENDING"})
        run = short | full | {"status": "RUNNING", "progress": 50}
        self.answer("GET", f"{path}/details", body=run)
        done = {"status": end, "progress": 100 if end == "SUCCESS" else None}
        self.answer("GET", f"{path}/details", body=short | full | done | document)
        self.answer("GET", path, body=short | done)
        self.answer("GET", f"{path}/outputs", body={"outputs": list(outputs or {})})
        for name, content in (outputs or {}).items():
            status = 200 if isinstance(content, bytes) else 500  # a folder
            body = content if status == 200 else b"Internal Server Error"
            self.answer("GET", f"{path}/outputs/{quote(name)}", status=status, body=body)
        return JOB

    def form(self) -> dict[str, tuple[str, bytes]]:
        """The fields of the last job that was sent: file name and content of each."""
        sent = [each for each in self.asked if each.method == "POST"][-1]
        mark = b"--" + sent.headers["content-type"].partition("boundary=")[2].encode()
        found = {}
        for part in sent.body.split(mark)[1:-1]:
            head, _, content = part[2:-2].partition(b"\r\n\r\n")
            names = dict(re.findall(r' (\w+)="([^"]*)"', head.decode()))
            found[names["name"]] = (names.get("filename", ""), content)
        return found

    def reply(self, asked: Asked) -> Answer:
        with self.lock:
            self.asked.append(asked)
            answers = self.script.get((asked.method, asked.path))
            if not answers:
                return Answer(404, {"detail": "Not Found"})
            found = answers[0] if len(answers) == 1 else answers.pop(0)
        return found if isinstance(found, Answer) else found(asked)

    def paths(self, method: str = "GET") -> list[str]:
        """What was asked for by a method, in order."""
        with self.lock:
            return [each.path for each in self.asked if each.method == method]

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class _Reply(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Replay

    def log_message(self, *_):
        pass

    def _serve(self):
        length = int(self.headers.get("content-length") or 0)
        headers = {key.lower(): value for key, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, self.rfile.read(length))
        answer = self.server.reply(asked)
        if answer.wait is not None:
            answer.wait()
        if answer.drop:
            self.close_connection = True
            return
        body = answer.content()
        self.send_response(answer.status)
        said = {key.lower(): value for key, value in answer.headers.items()}
        said["content-length"] = str(len(body) if answer.length is None else answer.length)
        for key, value in said.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(body), 1 << 16):
            time.sleep(answer.pace)
            self.wfile.write(body[start : start + (1 << 16)])
        if answer.length is not None:
            self.close_connection = True

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, BrokenPipeError):
            return  # the client went away, as some tests want

    do_GET = do_POST = do_DELETE = do_HEAD = do_PUT = _serve  # noqa: N815 - http.server's names

"""A stand-in of the real scheduler: its wire with its oddities, each of which can be switched.

Jobs really run (simple Python scripts, in threads), so that results are true. ``odd`` holds the
switches; counters tell a test what was asked.
"""

from __future__ import annotations

import io
import json
import shutil
import socket
import threading
import time
import traceback
import types
import uuid
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

API_TEST = """
def main(pc, params):
    pc.progress_set_total(1)
    pc.progress_next("hello")
    return {"output": "Hello World!", "params": params}
"""
ENDED = {"SUCCESS", "FAILURE", "REVOKED"}


@dataclass
class Odd:
    """What this server does wrong just now. Counts are used up, one a request."""

    honours: str = "task_id"  # task_id: as the real one | key: Idempotency-Key | none
    token: str = ""
    latency: float = 0.0
    poisoned: bool = False  # GET /jobs is 500 for everybody
    redis_down: bool = False
    nonsense: bool = False  # a captive portal answers
    post_500: str = ""  # jobs whose name ends so are answered with a plain 500
    cut_uploads: int = 0  # closed in the middle of the body
    lost_posts: int = 0  # read in full, not taken, no reply
    lost_replies: int = 0  # taken, no reply
    slow_replies: float = 0.0  # seconds between taking a job and saying so
    null_failure: bool = False  # FAILURE keeps a null error, as prefork workers leave it
    late_traceback: float = 0.0  # seconds between FAILURE and its text
    broken_details: bool = False  # plain 500 for ever
    never_packed: bool = False  # 425 for ever
    cut_archives: int = 0  # 200 with a shorter, self-consistent zip
    short_bodies: int = 0  # outputs that end before their declared length
    retry_for_ever: bool = False


@dataclass
class Record:
    """One job as the store holds it."""

    uuid: str
    script: str
    entrypoint: str
    params: object
    name: str | None
    inputs: Path
    root_file: str = ""
    status: str = "PENDING"
    progress: int | None = None
    error: str | None = None
    result: object = "None"
    steps: list = field(default_factory=list)
    ended: float = 0.0
    runs: int = 0


class _Context(dict):
    """``pc`` of a script."""

    def __init__(self, record: Record, outputs: Path) -> None:
        super().__init__(task_id=record.uuid, params=record.params)
        self._record, self._outputs, self._total = record, outputs, 1

    def get_input_file(self):
        found = sorted(p for p in self._record.inputs.rglob("*") if p.is_file())
        root = self._record.root_file
        return str(self._record.inputs / root) if root else str(found[0]) if found else None

    def get_output_dir(self, name=""):
        place = self._outputs / name
        place.mkdir(parents=True, exist_ok=True)
        return str(place)

    def progress_set_total(self, total):
        self._total = total
        self._record.progress = 0

    def progress_next(self, text):
        self._record.steps.append({"duration": 0.01, "info": text})
        self._record.progress = min(100, 100 * len(self._record.steps) // self._total)


class Realish:
    """The server; ``start`` and ``stop`` may be called again and again, on one port."""

    def __init__(self, share: Path, *, workers: int = 2) -> None:
        self.odd = Odd()
        self.share = share
        self.jobs: dict[str, Record] = {}
        self.posts: list[dict] = []  # every POST that was read in full
        self.started: list[str] = []  # ids in the order in which their scripts ran
        self.asked: list[str] = []  # "GET /jobs" and so on
        self.working = threading.Event()
        self.working.set()
        self._queue: list[Record] = []
        self._wake = threading.Condition()
        self._keys: dict[str, str] = {}
        self._over = False
        self._server: ThreadingHTTPServer | None = None
        self._sockets: set[socket.socket] = set()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._workers = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for worker in self._workers:
            worker.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # ------------------------------------------------------------ life
    def start(self) -> Realish:
        handler = type("Bound", (_Handler,), {"realish": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """As when the process ends: the port is closed, and every connection with it."""
        if self._server is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._server = None

    def close(self) -> None:
        self.stop()
        self._over = True
        self.working.set()
        with self._wake:
            self._wake.notify_all()

    def wipe(self) -> None:
        """The store is lost: queue and records; the share stays."""
        with self._wake:
            self.jobs.clear()
            self._queue.clear()

    def revoke(self, name: str) -> None:
        self.jobs[name].status = "REVOKED"

    # ------------------------------------------------------------ work
    def _work(self) -> None:
        while not self._over:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._over, timeout=1)
                if not self._queue or not self.working.is_set():
                    record = None
                else:
                    record = self._queue.pop(0)
            if record is None:
                time.sleep(0.01)
            else:
                self.run(record)

    def run(self, record: Record) -> None:
        record.status, record.steps, record.result = "RUNNING", [], {}
        record.runs += 1
        self.started.append(record.uuid)
        if self.odd.retry_for_ever:
            record.status, record.error = "RETRY", "Internal error"
            return
        outputs = self.share / record.uuid / "outputs"
        outputs.mkdir(parents=True, exist_ok=True)
        context = _Context(record, outputs)
        try:
            module = types.ModuleType("script")
            exec(compile(record.script, "script.py", "exec"), module.__dict__)  # noqa: S102 - its job
            record.result = getattr(module, record.entrypoint)(context, record.params)
            record.status, record.progress, record.error = "SUCCESS", 100, None
        except Exception as error:  # noqa: BLE001 - whatever a script raises
            record.result = repr(error)
            record.error = None if self.odd.null_failure else traceback.format_exc()
            record.name, record.progress, record.status = None, None, "FAILURE"
        record.ended = time.monotonic()

    def take(self, form: dict, key: str) -> str:
        """A POST that was read: what its reply says."""
        config = json.loads(form.get("config", "{}"))
        uid, follow = str(uuid.uuid4()), None
        if self.odd.honours == "key" and key:
            if key in self._keys:
                return self._keys[key]
            self._keys[key] = uid = key
        elif self.odd.honours == "task_id":
            follow = config.get("task_id")
        inputs = self.share / uid / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        self._store(form, inputs)
        record = Record(
            follow or uid,
            form["script"][1].decode() if "script" in form else API_TEST,
            config.get("entrypoint", "main"),
            json.loads(form.get("params") or "{}"),
            form.get("name"),
            inputs,
            config.get("root_file") or "",
        )
        with self._wake:
            self.jobs[record.uuid] = record
            self._queue.append(record)
            self._wake.notify()
        return uid

    def _store(self, form: dict, inputs: Path) -> None:
        if "file" not in form:
            return
        name, data = form["file"]
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as packed:
                packed.extractall(inputs)
        else:
            (inputs / name.rpartition("/")[2]).write_bytes(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, *_):
        """Cut connections are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    realish: Realish

    def setup(self):
        super().setup()
        self.realish._sockets.add(self.connection)

    def finish(self):
        self.realish._sockets.discard(self.connection)
        super().finish()

    def log_message(self, *_):
        pass

    # ------------------------------------------------------------ replies
    def _send(self, status, body, kind="application/json", declared=None, **headers):
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if declared is None else declared))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _error(self, code, message, details):
        self._send(code, {"detail": {"code": code, "message": message, "details": details}})

    def _plain(self):
        self._send(500, b"Internal Server Error", "text/plain; charset=utf-8")

    def _spoiled(self) -> bool:
        """The oddities that hold for every request."""
        odd = self.realish.odd
        self.realish.asked.append(f"{self.command} {self.path}")
        time.sleep(odd.latency)
        if odd.nonsense:
            self._send(200, b"<html>Welcome to the WiFi</html>", "text/html")
        elif odd.token and self.headers.get("x-api-key") != odd.token:
            self._send(401, {"detail": "Invalid token"}, WWW_Authenticate="x-api-key")
        else:
            return False
        return True

    # ------------------------------------------------------------ submit
    def do_POST(self):  # noqa: PLR0911 - one way out for each oddity
        odd, length = self.realish.odd, int(self.headers["Content-Length"])
        if odd.cut_uploads > 0:
            odd.cut_uploads -= 1
            self.rfile.read(min(1000, length))
            return self._vanish()
        body = self.rfile.read(length)
        if len(body) < length or self._spoiled():
            return None
        form = self._form(body)
        self.realish.posts.append(form)
        if odd.redis_down:
            return self._send(503, {"detail": "Service not available: Backend is not ready"})
        if odd.post_500 and form.get("name", "").endswith(odd.post_500):
            return self._plain()
        if odd.lost_posts > 0:
            odd.lost_posts -= 1
            return self._vanish()
        process = form.get("process") or "custom"
        if process == "custom" and "script" not in form:
            return self._error(400, "Bad Request", "'custom' process requires a 'script' file")
        if process not in ("custom", "api_test"):
            return self._error(400, "Bad Request", f"Invalid process '{process}'")
        uid = self.realish.take(form, self.headers.get("Idempotency-Key", ""))
        time.sleep(odd.slow_replies)
        if odd.lost_replies > 0:
            odd.lost_replies -= 1
            return self._vanish()
        job = {"uuid": uid, "name": form.get("name"), "status": "SENT", "progress": None}
        return self._send(200, {**job, "error": None})

    def _vanish(self):
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _form(self, body: bytes) -> dict:
        head = b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n"
        found = {}
        for part in BytesParser().parsebytes(head + body).get_payload():
            name = part.get_param("name", header="content-disposition")
            data = part.get_payload(decode=True)
            file = part.get_filename()
            found[name] = (file, data) if file is not None else data.decode()
        return found

    # ------------------------------------------------------------ reading
    def do_GET(self):  # noqa: PLR0911 - a table of routes
        if self._spoiled():
            return None
        words = [unquote(word) for word in self.path.split("/")[1:]]
        if words == ["processes"]:
            return self._send(200, {"processes": ["api_test", "__init__"]})
        if words == ["jobs"]:
            return self._list()
        if words[0] == "jobs" and len(words) == 2:
            return self._job(words[1], full=False)
        if words[0] == "jobs" and words[2] == "details":
            return self._job(words[1], full=True)
        if words[0] == "jobs" and words[2:] == ["outputs"]:
            place = self.realish.share / words[1] / "outputs"
            place.mkdir(parents=True, exist_ok=True)
            return self._send(200, {"outputs": [each.name for each in place.iterdir()]})
        if words[2:] == ["outputs", "archive"]:
            return self._archive(words[1])
        return self._output(words[1], "/".join(words[3:]))

    def do_DELETE(self):
        self.realish.asked.append(f"{self.command} {self.path}")
        self._send(405, {"detail": "Method Not Allowed"}, allow="GET")

    def _list(self):
        if self.realish.odd.poisoned:
            return self._plain()
        if self.realish.odd.redis_down:
            return self._error(500, "Internal Server Error", "ConnectionError: no redis")
        records = list(self.realish.jobs.values())
        shown = [_short(each) for each in records if each.status != "PENDING"]
        return self._send(200, {"jobs": [*shown, _short(_packing())]})

    def _job(self, uid, *, full):
        odd = self.realish.odd
        if odd.redis_down:
            word = {"uuid": uid, "name": None, "status": "UNKNOWN", "progress": None}
            return self._send(200, {**word, "error": "Unable to get job status"})
        record = self.realish.jobs.get(uid) or Record(uid, "", "main", {}, None, Path())
        if not full:
            return self._send(200, _short(record))
        if odd.broken_details:
            return self._plain()
        word = {**_short(record), "error": record.error, "time_info": {}, "retry": 0}
        if record.status == "FAILURE" and time.monotonic() < record.ended + odd.late_traceback:
            word["error"] = None
        return self._send(200, {**word, "steps": record.steps, "result": record.result})

    # ------------------------------------------------------------ outputs
    def _output(self, uid, name):
        path = self.realish.share / uid / "outputs" / name
        if path.is_dir():
            return self._plain()
        if not path.is_file():
            text = f"SharePathNotFoundError: File 'outputs/{name}' not found"
            return self._error(404, "Not Found", text)
        return self._file(path.read_bytes())

    def _file(self, data):
        odd, total = self.realish.odd, len(data)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"ETag": f'"{total}"', "Accept_Ranges": "bytes"}
        if start:
            headers["Content_Range"] = f"bytes {start}-{total - 1}/{total}"
        data = data[start:]
        if odd.short_bodies > 0 and data:
            odd.short_bodies -= 1
            self._send(206 if start else 200, data[: len(data) // 2], declared=len(data), **headers)
            return self._vanish()
        return self._send(206 if start else 200, data, "application/octet-stream", **headers)

    def _archive(self, uid):
        odd, place = self.realish.odd, self.realish.share / uid
        record = self.realish.jobs.get(uid)
        if not place.exists():
            text = f"SharePathNotFoundError: Job '{uid}' does not exist"
            return self._error(404, "Not Found", text)
        if record is None or record.status not in {"SUCCESS", "FAILURE"}:
            text = f"TaskNotCompletedError: Job '{uid}' is not finished yet"
            return self._error(425, "Too early", text)
        packed = place / f"{uid}.zip"
        if odd.never_packed or not packed.exists():
            if not odd.never_packed:
                shutil.make_archive(str(place / uid), "zip", place / "outputs")
            return self._error(425, "Too early", "TaskProcessingStarted: Archive Task created")
        data = packed.read_bytes()
        if odd.cut_archives > 0:
            odd.cut_archives -= 1
            data = data[: len(data) // 2]
        return self._file(data)


def _short(record: Record) -> dict:
    return {
        "uuid": record.uuid,
        "name": record.name if record.status != "PENDING" else None,
        "status": record.status,
        "progress": record.progress,
        "error": "Internal error" if record.error else None,
    }


def _packing() -> Record:
    """The list also holds archive packings, under ids of their own."""
    return Record(str(uuid.uuid4()), "", "main", {}, None, Path(), status="SUCCESS")

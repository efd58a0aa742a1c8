"""Each check of ``doctor`` by itself, on what it must find."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from watcher.cli import lines, machine
from watcher.cli.findings import Level
from watcher.core.settings import (
    Folder,
    Http,
    JobSpec,
    Match,
    Rule,
    SchedulerSettings,
    Secret,
    Settings,
)
from watcher.daemon.lock import lock_state
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler


def settings(root, *, url="embedded", http=None, process="convert_file", token=None):
    (root / "in").mkdir(exist_ok=True)
    source = root / "watcher.yaml"
    source.touch(mode=0o600)
    job = JobSpec(label="j", process=process)
    folder = Folder(
        name="cad", input=root / "in", output=root / "out", failed=root / "bad",
        rules=(Rule(name="r", match=Match(globs=("*",)), jobs=(job,)),),
    )  # fmt: skip
    scheduler = SchedulerSettings(url=url, timeout=5.0, token=token)
    return Settings(
        source=source, state=root / "var", schedulers={"default": scheduler}, http=http,
        folders=(folder,),
    )  # fmt: skip


@pytest.fixture
def answering():
    """A scheduler that answers every question with one status and body; its list of processes is
    open to all, as a Pixyz Scheduler's is."""
    servers = []
    processes = {"processes": ["convert_file", "sleep"]}

    def serve(status=200, body=None):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                open_to_all = self.path == "/processes"
                job = {"uuid": self.path.rpartition("/")[2], "name": None, "status": "PENDING"}
                job |= {"progress": None, "error": None}
                text = json.dumps(processes if open_to_all else body or job).encode()
                self.send_response(200 if open_to_all else status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_scheduler_that_wants_another_token(tmp_path, answering):
    url = answering(401, {"detail": "Invalid API key"})
    (one,) = lines.schedulers(settings(tmp_path, url=url, token=Secret("s3cret")))
    assert one.level is Level.MEND
    assert "token" in one.fix
    assert "s3cret" not in one.found


def test_a_scheduler_without_the_process_and_one_with_it(tmp_path, answering):
    url = answering()
    known = settings(tmp_path, url=url)
    (one,) = lines.schedulers(settings(tmp_path, url=url, process="paint"))
    assert (one.level, one.found) == (Level.MEND, "it has no process paint")
    assert "convert_file" in one.fix
    (one,) = lines.schedulers(known)
    assert one.level is Level.OK


def test_the_page_is_off_free_taken_or_served(tmp_path):
    (one,) = lines.page(settings(tmp_path))
    assert (one.level, one.found) == (Level.NOTE, "off")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = settings(tmp_path, http=Http(port=taken.getsockname()[1]))
        (one,) = lines.page(asked)
        assert one.level is Level.MEND
        with lock_state(tmp_path / "var"):
            (one,) = lines.page(asked)
        assert one.found.endswith("a daemon runs")
    (one,) = lines.page(asked)
    assert one.found.endswith("is free")


def test_a_configuration_that_others_read_or_write(tmp_path):
    asked = settings(tmp_path, token=Secret("s3cret"))
    assert list(lines.secrets(asked)) == []
    asked.source.chmod(0o666)
    read, written = lines.secrets(asked)
    assert "token_file" in read.fix
    assert "chmod go-w" in written.fix


def test_more_folders_than_watches(tmp_path):
    limit = tmp_path / "limit"
    asked = settings(tmp_path)
    for name in "abc":
        (tmp_path / "in" / name).mkdir()
    limit.write_text("2\n")
    (one,) = machine.watches(asked, [limit])
    assert one.level is Level.MEND
    assert "4 folders to watch, 2 allowed" in one.found
    assert "fs.inotify.max_user_watches=524288" in one.fix
    (one,) = machine.watches(asked, [tmp_path / "none"])
    assert one.level is Level.NOTE


def test_a_clock_before_our_time():
    (one,) = machine.clock(0.0)
    assert one.level is Level.MEND
    assert "1970" in one.found


def test_disks_are_told_once(tmp_path):
    (one,) = machine.disks(settings(tmp_path))
    assert "GB free" in one.found


def test_nothing_is_converted_where_nothing_needs_it(tmp_path):
    assert list(lines.converters(settings(tmp_path, process="pass"))) == []


def test_a_job_that_fails_is_told_with_its_reason(tmp_path):
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=tmp_path, workers=1))
    try:
        one = lines._job(scheduler, "convert_file", {"extension": "pxz"})
    finally:
        scheduler.close()
    assert one.level is Level.MEND
    assert "pxz" in one.found

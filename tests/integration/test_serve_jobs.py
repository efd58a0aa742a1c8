"""What a job can be told over HTTP, and what becomes of its outputs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
import time
import uuid
import zipfile
from pathlib import Path

import pytest

from tests.farming import start_farm
from tests.serving import TOKEN, start_server, until
from watcher.adapters.http.backend import HttpBackend
from watcher.adapters.http.client import Client
from watcher.adapters.http.session import Server as Where
from watcher.core.model import Phase
from watcher.core.ports import JobRequest, Source
from watcher.embedded.options import QUEUES
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.embedded.server.outputs import Archives, pack
from watcher.embedded.store import Store
from watcher.errors import JobLost, Refused, TooEarly

READ = "def main(pc, params):\n    return open(pc.get_input_file()).read()\n"
SEEN = "def main(pc, params):\n    return dict(pc)\n"
TREE = """
import os
def main(pc, params):
    top = pc.get_output_dir()
    os.makedirs(os.path.join(top, "sub", "empty"))
    open(os.path.join(top, "sub", "modèle.txt"), "w").write("beta")
    os.symlink("sub/modèle.txt", os.path.join(top, "inside"))
    os.symlink("/etc/hostname", os.path.join(top, "outside"))
"""


@pytest.fixture(scope="module", params=["local", "celery"])
def server(request, tmp_path_factory):
    """With one worker, on this machine or behind a broker: what is told is the same."""
    folder = tmp_path_factory.mktemp("jobs")
    if request.param == "local":
        with start_server(folder, "--workers", "1") as started:
            yield started
    else:
        broker = request.getfixturevalue("redis_server").url
        everything = ("--queues", ",".join(QUEUES))
        with start_farm(folder, broker) as farm, farm.worker("--workers", "1", *everything):
            yield farm.server


@pytest.fixture
def busy(server):
    """The one worker is at work until the test says otherwise."""
    job = server.submit("sleep", params={"duration": 600})
    server.wait(job, "RUNNING")
    yield lambda: server.ask("DELETE", f"/jobs/{job}")
    if server.details(job)["status"] == "RUNNING":
        server.ask("DELETE", f"/jobs/{job}")
    server.wait(job)


def packed(kind: str) -> bytes:
    made = io.BytesIO()
    members = {"readme.txt": b"r", "deep/part.obj": b"obj", "deep/other.txt": b"other"}
    if kind == "zip":
        with zipfile.ZipFile(made, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=made, mode="w:gz") as archive:
            for name, data in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_for_the_job(server, kind):
    file = (f"parts.{kind}", packed(kind))
    first = server.submit(script=READ, file=file)
    named = server.submit(script=READ, file=file, config={"root_file": "deep/other.txt"})
    missing = server.submit(script=READ, file=file, config={"root_file": "nope.obj"})
    told = server.wait(first)
    assert told["result"] == "obj"
    assert told["steps"][0]["info"] == "Extracting archive"
    assert server.wait(named)["result"] == "other"
    assert "nope.obj" in server.wait(missing)["error"]


def test_a_script_sees_what_it_was_told(server):
    config = {
        "queue": "gpu",
        "time_limit": 7.5,
        "retries": 1,
        "expires": 500,
        "mine": [1],
        "script": "/etc/passwd",
        "raw": 1,
        "entrypoint": "other",
    }
    job = server.submit(script=SEEN.replace("main", "other"), params={"a": 1}, config=config)
    told = server.wait(job)
    seen = told["result"]
    assert {key: seen[key] for key in ("queue", "time_limit", "expires", "mine", "raw")} == {
        "queue": "gpu",
        "time_limit": 7.5,
        "expires": 500,
        "mine": [1],
        "raw": True,
    }
    assert seen["retry"] == told["retry"] == 1
    assert seen["task_id"] == job
    assert seen["script"] != "/etc/passwd"


def test_a_job_without_outputs_has_no_folder_for_them(server):
    script = "def main(pc, params):\n    return pc.get_output_dir('a.txt')\n"
    told = server.wait(server.submit(script=script, config={"compute_only": True}))
    assert told["status"] == "FAILURE"
    assert "compute_only" in told["error"]
    script = "import os\ndef main(pc, params):\n    return os.path.exists(pc['output_dir'])\n"
    told = server.wait(server.submit(script=script, config={"compute_only": True}))
    assert told["result"] is False


def test_a_countdown_delays_a_job_and_nobody_else(server):
    later = server.submit("api_test", config={"countdown": 60})
    assert server.wait(server.submit("api_test"))["status"] == "SUCCESS"
    assert server.details(later)["status"] == "PENDING"
    assert server.ask("DELETE", f"/jobs/{later}").status_code == 202
    began = time.time()
    soon = server.submit("api_test", config={"countdown": 1.5})
    assert server.wait(soon)["status"] == "SUCCESS"
    assert time.time() - began >= 1.5


def test_what_has_expired_is_revoked(server, busy):
    job = server.submit("api_test", config={"expires": 0})
    busy()
    told = server.wait(job)
    assert told["status"] == "REVOKED"
    assert told["result"] == "expired"
    assert told["error"] is None


def test_the_highest_priority_goes_first(server, busy):
    low, high = (server.submit("api_test", config={"priority": p}) for p in (1, 9))
    busy()
    done = [server.wait(job)["time_info"]["started"] for job in (high, low)]
    assert done == sorted(done)


def test_deleting_stops_then_removes(server, busy):
    queued = server.submit("api_test")
    stopped = server.ask("DELETE", f"/jobs/{queued}")
    assert stopped.status_code == 202
    assert stopped.json()["status"] == "REVOKED"
    for _ in range(2):
        assert server.ask("DELETE", f"/jobs/{queued}").status_code == 204
    assert server.details(queued)["result"] == "None"
    assert not (server.state / "jobs" / queued).exists()
    assert server.ask("GET", f"/jobs/{queued}/outputs/archive").status_code == 404


def test_the_outputs_of_a_job_at_work_can_be_had(server):
    script = """
import time
def main(pc, params):
    open(pc.get_output_dir("early.txt"), "w").write("soon")
    pc.progress_next("waiting")
    time.sleep(600)
"""
    job = server.submit(script=script)
    server.wait(job, "RUNNING")
    assert server.ask("GET", f"/jobs/{job}/outputs").json() == {"outputs": ["early.txt"]}
    assert server.ask("GET", f"/jobs/{job}/outputs/early.txt").content == b"soon"
    server.ask("DELETE", f"/jobs/{job}")
    assert server.wait(job)["status"] == "REVOKED"
    assert server.ask("GET", f"/jobs/{job}/outputs").json() == {"outputs": ["early.txt"]}


def test_an_archive_holds_all_and_is_made_once(server):
    job = server.submit(script=TREE)
    assert server.wait(job)["status"] == "SUCCESS"
    path = f"/jobs/{job}/outputs/archive"
    until(lambda: server.ask("GET", path).ok, what="the archive")
    whole = server.ask("GET", path)
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["inside", "sub/empty/", "sub/modèle.txt"]
        assert archive.read("inside") == b"beta"
    again = server.ask("GET", path, headers={"Range": "bytes=0-3"})
    assert again.content == b"PK\3\4"
    assert again.headers["etag"] == whole.headers["etag"]


def test_whoever_asks_for_an_archive_starts_no_second_packing(tmp_path):
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=tmp_path, workers=1))
    archives = Archives(scheduler, prompt=0.0)
    ended = threading.Event()
    scheduler.listen(lambda _: ended.set())
    job = str(uuid.uuid4())
    try:
        scheduler.submit(JobRequest(key=job, name="", process="api_test"))
        assert ended.wait(60)
        blocked = threading.Event()
        archives._packer.submit(blocked.wait)
        said = []
        for _ in range(3):
            with pytest.raises(TooEarly) as caught:
                archives.get(job)
            said.append(str(caught.value).partition(":")[0])
        assert said == ["TaskProcessingStarted"] + ["TaskNotCompletedError"] * 2
        blocked.set()
        archives.prompt = 60.0
        assert archives.get(job).path == tmp_path / "jobs" / job / "archive.zip"
    finally:
        blocked.set()
        archives.close()
        scheduler.close()


def test_a_packing_that_is_stopped_or_fails_leaves_nothing(tmp_path):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "a.bin").write_bytes(b"a")
    stop = threading.Event()
    stop.set()
    with pytest.raises(InterruptedError):
        pack(outputs, tmp_path / "a.zip", stop)
    with pytest.raises(FileNotFoundError):
        pack(outputs, tmp_path / "gone" / "a.zip", threading.Event())
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


def test_a_packing_that_fails_is_told_and_tried_again(server):
    job = server.submit(script=TREE)
    server.wait(job)
    place = server.state / "jobs" / job
    obstacle = place / ".archive.zip.part"
    obstacle.mkdir()
    path = f"/jobs/{job}/outputs/archive"
    found = []
    until(
        lambda: found.append(server.ask("GET", path)) or found[-1].status_code != 425,
        what="the failure",
    )
    reply = found[-1]
    assert reply.status_code == 503
    assert str(server.state) not in reply.text
    obstacle.rmdir()
    until(lambda: server.ask("GET", path).ok, what="the archive")


def test_the_record_of_a_job(server):
    job = server.submit("api_test", name="rec")
    server.wait(job)
    told = server.ask("GET", f"/backend/get_task_meta/{job}").json()
    assert told["task_id"] == job
    assert told["result"]["shadow_name"] == "rec"
    assert told["date_done"]


def test_what_prometheus_reads(server):
    server.wait(server.submit("api_test"))
    text = server.ask("GET", "/metrics").text
    assert 'watcher_serve_jobs{status="PENDING"} 0.0' in text
    assert 'watcher_serve_replies_total{status="200"}' in text


# ---------------------------------------------------------------- the daemon's client
@pytest.fixture
def backend(server):
    found = HttpBackend(Client(Where(url=server.url, token=TOKEN)))
    yield found
    found.close()


def source(name: str, data: bytes) -> Source:
    return Source(name=name, size=len(data), open=lambda: io.BytesIO(data))


def test_the_client_and_the_server_are_a_pair(server, backend, tmp_path):
    script = tmp_path / "tree.py"
    script.write_text(
        TREE.replace('    os.symlink("/etc/hostname", os.path.join(top, "outside"))\n', "")
    )
    key = str(uuid.uuid4())
    request = JobRequest(
        key=key,
        name="pair",
        script=script,
        sources=(source("part.obj", b"mtllib a.mtl\n"), source("a.mtl", b"newmtl x\n")),
    )
    assert backend.submit(request).remote == key
    assert backend.submit(request).remote == key
    told = server.wait(key)
    assert told["steps"][0]["info"] == "Extracting archive"
    assert backend.status([key])[key].phase is Phase.SUCCEEDED
    into = tmp_path / "into"
    into.mkdir()
    names = {each.name for each in backend.fetch(key, into)}
    assert names == {"inside", "sub/modèle.txt"}
    assert (into / "sub" / "modèle.txt").read_text() == "beta"


def test_the_client_understands_every_refusal(server, backend, tmp_path):
    with pytest.raises(Refused, match="nope"):
        backend.submit(JobRequest(key=str(uuid.uuid4()), name="", process="nope"))
    (tmp_path / "into").mkdir()
    with pytest.raises(JobLost):
        backend.fetch(str(uuid.uuid4()), tmp_path / "into")
    job = server.submit("api_test", config={"countdown": 600})
    with pytest.raises(TooEarly):
        backend.fetch(job, tmp_path / "into")
    failed = server.submit(script="def main(pc, params):\n    raise ValueError('my reason')\n")
    server.wait(failed)
    told = backend.status([failed])[failed]
    assert told.phase is Phase.FAILED
    assert "my reason" in told.error
    server.ask("DELETE", f"/jobs/{job}")


def test_warnings_and_failures_for_good_reach_the_daemon(server, backend):
    empty = server.submit("convert_file", file=("empty.stl", b""), params={"extension": "glb"})
    warned = server.submit(script="def main(pc, params):\n    pc.warn('no texture')\n")
    raised = server.submit(script="def main(pc, params):\n    raise ValueError\n")
    for job in (empty, warned, raised):
        server.wait(job)
    told = backend.status([empty, warned, raised])
    assert [told[job].permanent for job in (empty, warned, raised)] == [True, False, False]
    assert told[warned].warnings == ("no texture",)


# ---------------------------------------------------------------- much of it
def worked(pid: int) -> float:
    """Seconds of a processor that a process has had, whatever else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_ten_thousand_jobs_are_listed_quickly(tmp_path):
    jobs = tmp_path / "state" / "jobs"
    jobs.mkdir(parents=True)
    store = Store(jobs / "jobs.sqlite")
    row = ("n", "p", 0, "SUCCESS", time.time(), time.time(), json.dumps("x" * 100))
    store._db.executescript("BEGIN")
    store._db.executemany(
        "INSERT INTO jobs (id, name, process, priority, status, requested, stopped, result)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(str(uuid.uuid4()), *row) for _ in range(10_000)],
    )
    store._db.execute("COMMIT")
    store.close()
    with start_server(tmp_path) as server:
        began = worked(server.process.pid)
        listed = server.ask("GET", "/jobs").json()["jobs"]
        assert len(listed) == 10_000
        assert worked(server.process.pid) - began < 5  # 0.2 to 0.5 s were seen


def test_a_big_upload_passes_in_flat_memory(tmp_path):
    size = 300_000_000
    script = "import os\ndef main(pc, params):\n    return os.path.getsize(pc.get_input_file())\n"
    big = tmp_path / "big.bin"
    with big.open("wb") as file:
        file.truncate(size)
    with start_server(tmp_path) as server:
        server.ask("GET", "/jobs")
        before = memory(server.process.pid)
        backend = HttpBackend(Client(Where(url=server.url, token=TOKEN)))
        (tmp_path / "s.py").write_text(script)
        request = JobRequest(
            key=str(uuid.uuid4()),
            name="big",
            script=tmp_path / "s.py",
            sources=(Source(name="big.bin", size=size, open=lambda: big.open("rb")),),
        )
        backend.submit(request)
        assert memory(server.process.pid) - before < 50_000_000
        assert server.wait(request.key)["result"] == size
        backend.close()


def memory(pid: int) -> int:
    """The most bytes that a process ever occupied."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


def test_a_full_disk_is_507_and_leaves_nothing(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    mount = ["unshare", "-m", "sh", "-c"]
    trial = [*mount, f"mount -t tmpfs -o size=64k none {state}"]
    if subprocess.run(trial, capture_output=True).returncode:
        pytest.skip("may not mount here")
    prefix = (*mount, f'mount -t tmpfs -o size=8m none {state}; exec "$@"', "sh")
    with start_server(tmp_path, prefix=prefix) as server:
        for _ in range(3):
            form = {"process": (None, "api_test"), "file": ("big.bin", os.urandom(9_000_000))}
            reply = server.ask("POST", "/jobs", files=form)
            assert reply.status_code == 507
            assert "full" in reply.json()["detail"]["details"]
        assert server.ask("GET", "/jobs").json() == {"jobs": []}
        small = server.submit("api_test", file=("a.bin", os.urandom(5_000_000)))
        assert server.wait(small)["status"] == "SUCCESS"
        assert server.ask("DELETE", f"/jobs/{small}").status_code == 204
        again = server.submit("api_test", file=("a.bin", os.urandom(5_000_000)))
        assert server.wait(again)["status"] == "SUCCESS"

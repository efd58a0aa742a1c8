"""The embedded scheduler with real worker processes: limits, crashes, inputs, results."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
import tempfile
import textwrap
import threading
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash

from watcher.core.model import Phase
from watcher.core.ports import JobRequest, Source
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.embedded.store import Job
from watcher.errors import (
    FileGone,
    JobLost,
    OutsideRoot,
    Refused,
    StateTaken,
    Unreachable,
)

WAIT = 40.0
PROCESSES = {
    "pid": 'import os\nISOLATION = "reuse"\ndef main(pc, params):\n    """The worker."""\n'
    "    return os.getpid()\n",
    "alone": 'import os\nISOLATION = "own"\ndef main(pc, params):\n    return os.getpid()\n',
    "chooses": "import os\ndef isolation(name):\n"
    '    return "own" if name.endswith(".stp") else "reuse"\n'
    "def main(pc, params):\n    return os.getpid()\n",
    "makes": 'import os\nISOLATION = "reuse"\ndef main(pc, params):\n'
    "    for name, text in params.items():\n"
    "        path = pc.get_output_dir(name)\n"
    "        os.symlink(text[1:], path) if text[0] == '@' else open(path, 'w').write(text)\n"
    "    return [len(params), 'x' * sum(map(len, params.values()))]\n",
    "dies": 'import os\nISOLATION = "reuse"\ndef main(pc, params):\n'
    '    os.kill(os.getpid(), params.get("signal", 9))\n',
}


class Rig:
    """A scheduler, and scripts for it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.own = folder / "own"
        self.own.mkdir(exist_ok=True)
        self.options = EmbeddedOptions(
            state=folder / "state",
            **{"workers": 1, "processes": self.own, "grace": 0.0, "package": "built"} | options,
        )
        self.scheduler = EmbeddedScheduler(self.options)
        self.heard: list[str] = []
        self._news = threading.Condition()
        self.scheduler.listen(self._hear)

    def _hear(self, job_id: str) -> None:
        with self._news:
            self.heard.append(job_id)
            self._news.notify_all()

    def submit(self, body: str = "", *sources: Source, config: Any = None, **more: Any) -> str:
        key = more.pop("key", str(uuid.uuid4()))
        if body:
            path = self.folder / f"{key}.py"
            lines = textwrap.indent(textwrap.dedent(body), "    ")
            path.write_text(f"import os, sys, time\ndef main(pc, params):\n{lines}\n")
            more["script"] = path
        request = JobRequest(key=key, name="job", sources=sources, **more)
        return self.scheduler.submit(request, config=config).remote

    def ended(self, job_id: str) -> Job:
        with self._news:
            assert self._news.wait_for(lambda: job_id in self.heard, WAIT), self.get(job_id)
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        job = self.scheduler.get(job_id)
        assert job is not None
        return job

    def run(self, *args: Any, **more: Any) -> Job:
        return self.ended(self.submit(*args, **more))

    def until(self, job_id: str, wanted: Any) -> Job:
        pause = threading.Event()
        for _ in range(int(WAIT / 0.02)):
            if wanted(job := self.get(job_id)):
                return job
            pause.wait(0.02)
        raise AssertionError(job)


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = tmp_path / "lib" / "built"
    built.mkdir(parents=True)
    for name, text in PROCESSES.items():
        (built / f"{name}.py").write_text(text)
    (built / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.scheduler.close()


def source(name: str, data: bytes = b"x") -> Source:
    return Source(name, len(data), lambda: io.BytesIO(data))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def gone(pid: int) -> bool:
    pause = threading.Event()
    return any(not alive(pid) or pause.wait(0.05) for _ in range(1200))


# ---------------------------------------------------------------- workers
def test_nothing_starts_before_the_first_job(rig):
    assert rig.scheduler._executor.pool.pid is None
    rig.run(process="pid")
    assert alive(rig.scheduler._executor.pool.pid)


def test_mesh_processes_share_a_warm_worker(rig):
    pids = {rig.run(process="pid").result for _ in range(5)}
    assert len(pids) == 1


def test_other_processes_get_a_process_each(rig):
    pids = [rig.run(process="alone").result for _ in range(3)]
    assert len(set(pids)) == 3
    assert all(gone(pid) for pid in pids)


def test_a_process_may_choose_by_the_input(rig):
    shared = {rig.run("", source("a.obj"), process="chooses").result for _ in range(2)}
    own = {rig.run("", source("a.stp"), process="chooses").result for _ in range(2)}
    assert (len(shared), len(own)) == (1, 2)
    assert not shared & own


def test_two_hundred_jobs_end_each_once_and_the_worker_is_renewed(rig):
    ids = [rig.submit(process="pid") for _ in range(202)]
    jobs = [rig.ended(job_id) for job_id in ids]
    assert {job.status for job in jobs} == {"SUCCESS"}
    assert len({job.result for job in jobs}) == 2
    assert sorted(rig.heard) == sorted(ids)


def test_a_crash_is_run_once_more_and_then_told(rig):
    job = rig.run(process="dies", params={"signal": int(signal.SIGSEGV)})
    assert (job.status, job.retry, job.runs) == ("FAILURE", 1, 2)
    assert "crashed (signal 11: segmentation fault)" in job.error
    assert "dies.py" in job.detail  # where, by faulthandler
    assert rig.run(process="pid").status == "SUCCESS"


def test_a_job_that_crashed_once_succeeds_the_second_time(rig):
    job = rig.run("if pc['retry'] == 0: os._exit(3)\nreturn 'fine'")
    assert (job.status, job.result, job.retry) == ("SUCCESS", "fine", 1)


def test_an_early_exit_is_told_by_its_code(rig):
    assert "exit code 3" in rig.run("os._exit(3)").error
    assert "exit(4)" in rig.run("sys.exit(4)").error


def test_a_job_past_its_time_limit_is_killed_with_its_children(rig):
    body = """
        pid = os.fork()
        if not pid: time.sleep(100)
        open(params, "w").write(str(pid))
        time.sleep(100)
    """
    note = rig.folder / "pid"
    job = rig.run(body, params=str(note), time_limit=5)
    assert (job.status, job.error) == ("FAILURE", "took longer than its time limit of 5 s")
    assert job.runs == 1
    assert gone(int(note.read_text()))


def test_children_that_a_script_leaves_behind_end_with_it(rig):
    job = rig.run("pid = os.fork()\nif not pid: time.sleep(100)\nreturn pid")
    assert gone(job.result)


def test_what_leaves_the_session_ends_with_the_script_too(rig):
    job = rig.run(
        """
        import subprocess
        started = subprocess.Popen(["sleep", "100"], start_new_session=True)
        pid = os.fork()
        if not pid:
            os.setsid()
            inner = os.fork()
            if inner: open(pc.get_output_dir("pid.txt"), "w").write(str(inner))
            else: time.sleep(100)
            os._exit(0)
        os.waitpid(pid, 0)
        return started.pid
        """
    )
    inner = int((rig.options.state / "jobs" / job.id / "outputs" / "pid.txt").read_text())
    assert gone(job.result)
    assert gone(inner)


def test_a_script_that_prints_without_end_fills_no_disk(rig):
    job_id = rig.submit(
        """
        while not os.path.exists(params): os.write(1, b"x" * 1_000_000)
        """,
        params=str(rig.folder / "enough"),
    )
    rig.until(job_id, lambda job: job.status == "RUNNING")
    log = rig.options.state / "jobs" / job_id / "log.1"
    sizes = [0]
    pause = threading.Event()
    for _ in range(6000):
        sizes.append(log.stat().st_size if log.exists() else 0)
        if sizes[-1] < sizes[-2]:  # it was emptied
            break
        pause.wait(0.01)
    (rig.folder / "enough").touch()
    assert rig.ended(job_id).status == "SUCCESS"
    assert sizes[-1] < sizes[-2]


def test_a_script_does_not_see_the_token(tmp_path, monkeypatch):
    monkeypatch.setenv("PIXYZ_SCHEDULER_TOKEN", "secret")
    rig = Rig(tmp_path)
    try:
        assert rig.run("return os.environ.get('PIXYZ_SCHEDULER_TOKEN', 'none')").result == "none"
    finally:
        rig.scheduler.close()


def test_a_script_that_needs_the_sdk_is_told_where_it_can_run(rig):
    job = rig.run("import pxz")
    assert job.error.startswith("ModuleNotFoundError: No module named 'pxz'; the script needs")
    assert rig.run("import nothing_like_it").error.endswith("No module named 'nothing_like_it'")


def test_a_script_may_close_every_file(rig):
    job = rig.run("os.closerange(0, 1000)\nreturn 1")
    assert (job.status, job.error) == ("FAILURE", "the job's process ended early (exit code 0)")


def test_a_job_past_its_memory_limit_is_killed(tmp_path):
    rig = Rig(tmp_path, memory=400 << 20)
    job = rig.run("x = [b'x' * (50 << 20) for _ in range(12)]\ntime.sleep(60)")
    assert (job.status, job.error) == ("FAILURE", "needed more than 0.391 GB of memory")
    job = rig.run("x = bytearray(1 << 45)")
    assert job.error == "needed more than 0.391 GB of memory"
    assert rig.run("return 1").result == 1
    rig.scheduler.close()


def test_a_killed_nursery_is_replaced(rig):
    first = rig.run(process="pid").result
    os.kill(rig.scheduler._executor.pool.pid, signal.SIGKILL)
    assert gone(first)
    job = rig.run(process="pid")
    assert job.status == "SUCCESS"
    assert job.result != first


def test_a_signal_to_the_group_does_not_reach_workers(rig):
    go = rig.folder / "go"
    body = f"""
        open(params, "w").write(str(os.getpid()))
        while not os.path.exists({str(go)!r}): time.sleep(0.01)
        return 7
    """
    job_id = rig.submit(body, params=str(rig.folder / "pid"))
    rig.until(job_id, lambda _: (rig.folder / "pid").exists() and (rig.folder / "pid").read_text())
    pid = int((rig.folder / "pid").read_text())
    assert os.getpgid(pid) not in (os.getpgrp(), os.getpgid(rig.scheduler._executor.pool.pid))
    os.kill(pid, signal.SIGINT)
    os.kill(rig.scheduler._executor.pool.pid, signal.SIGINT)
    go.touch()
    assert rig.ended(job_id).result == 7


# ---------------------------------------------------------------- results and progress
@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("{'a': float('nan'), 1: float('inf')}", {"a": None, "1": None}),
        ("(1, (2,))", [1, [2]]),
        ("b'text'", "text"),
        ("None", None),
        ("True", True),
        ("'\\udc80'", "\udc80"),
    ],
)
def test_results_take_their_json_form(rig, expression, result):
    assert rig.run(f"return {expression}").result == result


@pytest.mark.parametrize("expression", ["{1, 2}", "b'\\xff'", "object()", "{(1,): 2}"])
def test_results_without_a_json_form_fail(rig, expression):
    job = rig.run(f"return {expression}")
    assert job.status == "FAILURE"
    assert "cannot be written as JSON" in job.error


def test_a_result_that_contains_itself_fails(rig):
    assert "nested" in rig.run("a = []\na.append(a)\nreturn a").error


def test_a_huge_result_arrives_whole(rig):
    assert rig.run("return 'x' * 5_000_000").result == "x" * 5_000_000


def test_steps_and_progress_are_seen_while_the_job_runs(rig):
    job_id = rig.submit("""
        pc.progress_set_total(4)
        pc.progress_next("load")
        pc.progress_next("mesh")
        while not os.path.exists(params): time.sleep(0.01)
    """, params=str(rig.folder / "go"))  # fmt: skip
    job = rig.until(job_id, lambda job: len(job.steps) == 2)
    assert (job.status, job.progress) == ("RUNNING", 25)
    assert [step.info for step in job.steps] == ["load", "mesh"]
    assert job.steps[0].duration >= 0 > job.steps[1].duration
    assert rig.scheduler.status([job_id])[job_id].step == "mesh"
    (rig.folder / "go").touch()
    job = rig.ended(job_id)
    assert job.progress == 100
    assert all(step.duration >= 0 for step in job.steps)


def test_warnings_and_output_of_a_script(rig, capfd):
    job = rig.run("pc.warn('no texture')\nprint('chatter')\nos.system('echo more')")
    assert job.warnings == ("no texture",)
    assert capfd.readouterr() == ("", "")


def test_an_exception_is_told_short_and_long(rig):
    job = rig.run("raise KeyError('mesh')")
    assert job.error == "KeyError: 'mesh'"
    assert "Traceback" in job.detail


def test_the_context_is_a_mapping_with_the_real_keys(rig):
    job = rig.run("return dict(pc)", source("a.obj"), params={"p": 1}, config={"mine": 5})
    assert job.result["params"] == {"p": 1}
    assert job.result["mine"] == 5
    assert job.result["input_file"].endswith("/inputs/a.obj")
    assert set(job.result) >= {
        "task_id", "script", "data", "root_file", "time_request", "time_limit", "entrypoint",
        "compute_only", "shadow", "queue", "tmp", "is_local", "raw", "input_dir", "output_dir",
        "retry",
    }  # fmt: skip


def test_an_output_folder_outside_is_refused(rig):
    assert "leads out" in rig.run("pc.get_output_dir('../../x')").error


def test_a_script_for_the_real_scheduler_runs_unchanged(rig):
    script = rig.folder / "real.py"
    script.write_text(
        "from pixyz_worker.script import *\n@pixyz_schedule(queue='gpu', time_limit=77)\n"
        "def main(pc: ProgramContext, params: dict):\n    return [pc['queue'], pc['time_limit']]\n"
    )
    assert rig.run(script=script).result == ["gpu", 77.0]
    assert rig.run(script=script, time_limit=5, queue="cpu").result == ["cpu", 5.0]


# ---------------------------------------------------------------- inputs
def test_parts_lie_beside_the_main_file(rig):
    parts = (source("a.obj", b"o"), source("tex/ü.png", b"p"), source("\udcff.mtl", b"m"))
    job = rig.run("""
        top = pc["input_dir"]
        return [os.path.basename(pc.get_input_file()), open(top + "/tex/ü.png").read(),
                open(os.fsencode(top) + b"/\\xff.mtl").read()]
    """, *parts)  # fmt: skip
    assert job.result == ["a.obj", "p", "m"]


def test_a_name_too_long_keeps_its_extension(rig):
    job = rig.run("return os.path.basename(pc.get_input_file())", source("é" * 200 + ".obj"))
    assert len(job.result.encode()) <= 255
    assert job.result.endswith("é.obj")


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "", "a\0b", "."])
def test_a_name_that_leads_out_is_refused(rig, name):
    with pytest.raises(Refused):
        rig.submit("pass", source(name))


@pytest.mark.parametrize(
    "sources",
    [
        (source("a"), source("a")),
        (source("a"), source("a/b")),
        (Source("a", 5, lambda: io.BytesIO(b"x")),),
    ],
)
def test_sources_that_cannot_stand_together_are_refused(rig, sources):
    with pytest.raises(Refused):
        rig.submit("pass", *sources)
    assert not list(rig.scheduler._folders.root.glob(".new-*"))


def zipped(**files: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()


READ = "return [os.path.basename(pc.get_input_file()), open(pc.get_input_file()).read()]"


def test_an_archive_is_unpacked_and_its_model_found(rig):
    data = zipped(**{"readme.txt": "r", "deep/b.obj": "b", "a.obj": "a", "z.gltf": "z"})
    job = rig.run(READ, source("m.zip", data))
    assert job.result == ["z.gltf", "z"]
    assert [step.info for step in job.steps] == ["Extracting archive"]


def test_a_tar_is_unpacked_without_its_links(rig):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("evil.gltf")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        member = tarfile.TarInfo("m/a.stl")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"ok"))
    assert rig.run(READ, source("m.tar.gz", packed.getvalue())).result == ["a.stl", "ok"]


def test_root_file_names_the_model(rig):
    data = zipped(**{"a.obj": "a", "deep/b.txt": "b"})
    job = rig.run(READ, source("m.zip", data), config={"root_file": "deep/b.txt"})
    assert job.result == ["b.txt", "b"]


@pytest.mark.parametrize(
    ("data", "config", "reason"),
    [
        (zipped(**{"a.txt": "a"}), {}, "no file with a known 3D extension"),
        (zipped(**{"a.obj": "a"}), {"root_file": "b.obj"}, "not in the archive"),
        (zipped(**{"a.obj": "a"}), {"root_file": "../b"}, "leads out"),
        (zipped(**{"../a.obj": "a"}), {}, "leads out"),
        (b"no zip", {}, "cannot be unpacked"),
        (zipped(**{"a.obj": "\0" * (300 << 20)}), {}, "bomb"),
    ],
)
def test_a_bad_archive_fails_with_its_reason(rig, data, config, reason):
    job = rig.run(READ, source("m.zip", data), config=config)
    assert job.status == "FAILURE"
    assert reason in job.error


# ---------------------------------------------------------------- outputs
def test_outputs_are_proved_inside(rig):
    job = rig.run("open(pc.get_output_dir('s') + '/a.txt', 'w').write('a')", source("in.obj"))
    assert rig.scheduler.outputs(job.id) == ["s/a.txt"]
    assert rig.scheduler.output_path(job.id, "s/a.txt").read_text() == "a"
    for name in ("../inputs/in.obj", "/etc/passwd", "s/../../spec.json", "a\0"):
        with pytest.raises(OutsideRoot):
            rig.scheduler.output_path(job.id, name)
    with pytest.raises(FileGone):
        rig.scheduler.output_path(job.id, "none")
    with pytest.raises(JobLost):
        rig.scheduler.output_path(str(uuid.uuid4()), "none")


def test_a_link_out_of_the_outputs_is_refused_and_one_inside_is_followed(rig, tmp_path):
    body = "os.chdir(pc.get_output_dir())\nopen('a', 'w').write('a')\nos.symlink(params, 'b')"
    bad, good = rig.run(body, params="/etc/passwd"), rig.run(body, params="a")
    for name in ("bad", "good"):
        (tmp_path / name).mkdir()
    with pytest.raises(Refused):
        rig.scheduler.fetch(bad.id, tmp_path / "bad")
    rig.scheduler.fetch(good.id, tmp_path / "good")
    assert (tmp_path / "good" / "b").read_text() == "a"
    assert not (tmp_path / "good" / "b").is_symlink()


def test_a_failed_job_keeps_its_partial_outputs(rig):
    job = rig.run("open(pc.get_output_dir() + '/part', 'w')\nraise ValueError")
    assert rig.scheduler.outputs(job.id) == ["part"]


def test_forget_frees_the_folder_and_purge_the_old(rig):
    first, second = rig.run("return 1"), rig.run("return 2")
    rig.scheduler.forget(first.id)
    assert not rig.scheduler.output_folder(first.id).parent.exists()
    assert [job.id for job in rig.scheduler.jobs()] == [second.id]
    assert rig.scheduler.purge(second.stopped) == 0
    assert rig.scheduler.purge(second.stopped + 1) == 1
    assert rig.scheduler.jobs() == []


def test_a_running_job_is_not_forgotten(rig):
    job_id = rig.submit("time.sleep(60)")
    rig.scheduler.forget(job_id)
    assert rig.get(job_id)


# ---------------------------------------------------------------- order and keys
def test_higher_priority_goes_first_then_the_older(rig):
    go = rig.folder / "go"
    wait = rig.submit(f"while not os.path.exists({str(go)!r}): time.sleep(0.01)")
    rig.until(wait, lambda job: job.status == "RUNNING")
    ids = [rig.submit("pass", priority=priority) for priority in (0, 5, 0, 5)]
    go.touch()
    for job_id in ids:
        rig.ended(job_id)
    assert rig.heard == [wait, ids[1], ids[3], ids[0], ids[2]]


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(rig):
    go = rig.folder / "go"
    first = rig.submit(f"while not os.path.exists({str(go)!r}): time.sleep(0.01)")
    second = rig.submit("pass")
    rig.scheduler.cancel(second)
    assert rig.get(second).status == "REVOKED"
    go.touch()
    rig.ended(first)
    assert rig.get(second).runs == 0


def test_one_key_sent_from_many_threads_is_one_job(rig):
    key = str(uuid.uuid4())
    script = rig.folder / "s.py"
    script.write_text("def main(pc, params): pass\n")
    send = [
        threading.Thread(target=rig.submit, kwargs={"key": key, "script": script}) for _ in range(8)
    ]
    for thread in send:
        thread.start()
    for thread in send:
        thread.join()
    assert rig.ended(key).runs == 1
    assert len(rig.scheduler.jobs()) == 1


@pytest.mark.parametrize(
    "text", ["def other(): pass\n", "def main(:\n", "async def main(pc, p): pass\n", "\0", ""]
)
def test_a_script_that_cannot_run_is_refused_unrun(rig, text):
    script = rig.folder / "s.py"
    script.write_text(text)
    with pytest.raises(Refused, match=r"s\.py"):
        rig.submit(script=script)


def test_a_bad_request_is_refused(rig):
    with pytest.raises(Refused, match="UUID"):
        rig.submit("pass", key="no-uuid")
    with pytest.raises(Refused, match="cannot be read"):
        rig.submit(script=rig.folder / "none.py")
    with pytest.raises(Refused, match="JSON"):
        rig.submit("pass", params={"a": object()})


def test_own_processes_stand_beside_the_built_in_ones_and_win(rig):
    (rig.own / "mine.py").write_text('def main(pc, params):\n    """My words."""\n    return 1\n')
    (rig.own / "pid.py").write_text("def main(pc, params):\n    return 'mine'\n")
    (rig.own / "_hidden.py").touch()
    assert rig.scheduler.processes() == ("alone", "chooses", "dies", "makes", "mine", "pid")
    assert rig.scheduler.document("mine") == "My words."
    assert rig.scheduler.document("alone") == ""
    assert rig.run(process="mine").result == 1
    assert rig.run(process="pid").result == "mine"


# ---------------------------------------------------------------- outputs of a shared worker
def fetched(rig: Rig, job_id: str) -> dict[str, str]:
    """What the outputs of a job are, each held against what was told of it."""
    into = Path(tempfile.mkdtemp(dir=rig.folder))
    found = {}
    for one in rig.scheduler.fetch(job_id, into):
        data = (into / one.name).read_bytes()
        assert (len(data), xxhash.xxh3_128_hexdigest(data)) == (one.size, one.digest)
        found[one.name] = data.decode()
    return found


def test_outputs_of_a_shared_worker_are_brought_as_it_listed_them(rig):
    made = {"a.txt": "1", "deep/b.txt": "22"}
    job = rig.run(process="makes", params=made)
    assert job.result == [2, "xxx"]
    assert fetched(rig, job.id) == made
    assert fetched(rig, job.id) == made  # as often as it is asked


def test_a_long_result_comes_whole(rig):
    made = {"a.txt": "1" * 100_000}
    job = rig.run(process="makes", params=made)
    assert job.result == [1, "x" * 100_000]
    assert fetched(rig, job.id) == made


def test_a_link_among_outputs_is_proved(rig):
    inside = rig.run(process="makes", params={"a.txt": "1", "b.txt": "@a.txt", "c.d": "@."})
    assert fetched(rig, inside.id)["b.txt"] == "1"
    outside = rig.run(process="makes", params={"a.txt": "@/etc/passwd"})
    with pytest.raises(Refused, match="no regular file"):
        fetched(rig, outside.id)


@pytest.mark.parametrize("harm", ["longer", "link"])
def test_an_output_that_is_no_longer_what_the_job_made_is_lost(rig, harm):
    job = rig.run(process="makes", params={"a.txt": "1"})
    path = rig.options.state / "jobs" / job.id / "outputs" / "a.txt"
    if harm == "longer":
        path.write_text("12")
    else:
        path.unlink()
        path.symlink_to("/etc/passwd")
    with pytest.raises(JobLost):
        fetched(rig, job.id)


def test_a_flood_of_words_holds_nothing_up(rig):
    job = rig.run(
        """
        pc.progress_set_total(20_000)
        for number in range(20_000): pc.progress_next(f"step {number}")
        return "done"
        """
    )
    assert job.result == "done"
    assert job.steps[-1].info == "step 999"  # so many are kept
    assert all(step.duration >= 0 for step in job.steps)


# ---------------------------------------------------------------- folders used again
def forgotten(rig: Rig, body: str = "", **made: str) -> int:
    """A job that made these outputs, forgotten; the inode of its folder."""
    job = rig.run(body, source("in.txt"), params=made, **({} if body else {"process": "makes"}))
    assert job.status == "SUCCESS"
    inode = (rig.options.state / "jobs" / job.id).stat().st_ino
    rig.scheduler.forget(job.id)
    assert not (rig.options.state / "jobs" / job.id).exists()
    return inode


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, durable=False)
    yield made
    made.scheduler.close()


def test_a_folder_is_used_again_and_nothing_is_left_in_it(quick):
    first = forgotten(quick, **{"a.txt": "1"})
    job = quick.run("print('new'); return sorted(os.listdir(pc['input_dir']))", source("other.txt"))
    folder = quick.options.state / "jobs" / job.id
    assert folder.stat().st_ino == first
    assert job.result == ["other.txt"]
    assert fetched(quick, job.id) == {}
    assert (folder / "log.1").read_text() == "new\n"


@pytest.mark.parametrize(
    "body",
    [
        "pc.get_output_dir('deep')",
        "os.link(pc['input_dir'] + '/../spec.json', pc.get_output_dir('kept.json'))",
        "open(pc['input_dir'] + '/../more', 'w')",
    ],
    ids=["folders", "another name for what would be written over", "more files"],
)
def test_a_folder_with_more_than_a_plain_job_leaves_is_not_used_again(quick, body):
    forgotten(quick, body)
    assert not [*(quick.options.state / "jobs").glob(".old-*")]


def test_a_job_may_be_forgotten_twice(quick):
    job = quick.run("return 1")
    quick.scheduler.forget(job.id)
    quick.scheduler.forget(job.id)
    assert quick.scheduler.get(job.id) is None


# ---------------------------------------------------------------- owners and restarts
def test_a_second_owner_is_refused(rig):
    with pytest.raises(StateTaken):
        EmbeddedScheduler(rig.options)


def test_an_unusable_folder_is_told(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StateTaken):
        Rig(tmp_path)


def test_a_damaged_store_is_told(tmp_path):
    (tmp_path / "state" / "jobs").mkdir(parents=True)
    (tmp_path / "state" / "jobs" / "jobs.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StateTaken, match="job store"):
        Rig(tmp_path)


def test_a_closed_store_is_unreachable(tmp_path):
    rig = Rig(tmp_path)
    rig.scheduler.close()
    with pytest.raises(Unreachable):
        rig.scheduler.status([str(uuid.uuid4())])


def test_close_leaves_a_running_job_for_the_next_start(tmp_path):
    rig = Rig(tmp_path)
    go, note = tmp_path / "go", tmp_path / "note"
    job_id = rig.submit(f"""
        open(pc.get_output_dir() + "/" + str(os.path.exists({str(go)!r})), "w")
        open({str(note)!r}, "a").write(f"{{os.getpid()}}\\n")
        while not os.path.exists({str(go)!r}): time.sleep(0.01)
        return 5
    """)
    rig.until(job_id, lambda _: note.exists() and note.read_text().endswith("\n"))
    rig.scheduler.close()
    assert gone(int(note.read_text()))
    go.touch()
    again = Rig(tmp_path)
    job = again.until(job_id, lambda job: job.status == "SUCCESS")
    assert (job.result, job.runs) == (5, 1)
    assert again.scheduler.outputs(job_id) == ["True"]
    again.scheduler.close()


def test_a_job_whose_folder_was_damaged_fails_alone(tmp_path):
    rig = Rig(tmp_path)
    go = tmp_path / "go"
    first = rig.submit(f"while not os.path.exists({str(go)!r}): time.sleep(0.01)")
    second = rig.submit("pass")
    rig.scheduler.close()
    (rig.scheduler._folders.job(second) / "spec.json").write_text("{")
    go.touch()
    again = Rig(tmp_path)
    again.until(first, lambda job: job.status == "SUCCESS")
    failed = again.until(second, lambda job: job.status == "FAILURE")
    assert "could not be run" in failed.error
    again.scheduler.close()


def test_phases_of_a_failed_job_reach_the_port(rig):
    job = rig.run("raise ValueError('x')")
    status = rig.scheduler.status([job.id])[job.id]
    assert (status.phase, status.result) == (Phase.FAILED, None)
    assert json.loads(json.dumps(job.result)) == "ValueError: x"

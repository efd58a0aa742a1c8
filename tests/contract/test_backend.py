"""The promises of the ``Backend`` port, kept by every implementation."""

from __future__ import annotations

import io
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.backend import FakeBackend, Plan
from tests.realish import Realish
from tests.serving import TOKEN, start_server
from watcher import content
from watcher.adapters.http import Client, Server
from watcher.adapters.http.backend import HttpBackend
from watcher.core.model import Fetched, JobStatus, Phase
from watcher.core.ports import Backend, JobRequest, Source
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.errors import JobLost, Refused, TooEarly

WAIT = 30.0
GOOD = """
from pathlib import Path
def main(pc, params):
    top = Path(pc.get_output_dir())
    (top / "out.txt").write_text("made")
    (Path(pc.get_output_dir("süb/deep")) / "b c.bin").write_bytes(b"\\0" * 5000)
    (top / "empty").touch()
    return {"n": 3, "list": [1, None, "ü"]}
"""
BAD = 'def main(pc, params):\n    raise ValueError("bad mesh")\n'
LONG = "import time\ndef main(pc, params):\n    time.sleep(60)\n"
OUTPUTS = {"out.txt": b"made", "süb/deep/b c.bin": b"\0" * 5000, "empty": b""}


@dataclass
class Bench:
    """A backend and how to give it a job that ends as wanted."""

    backend: Backend
    prepare: Callable[[str], Path]
    hears: bool = True
    cancels: bool = True

    def request(self, kind: str = "good", *sources: Source) -> JobRequest:
        key = str(uuid.uuid4())
        return JobRequest(key=key, name="job", script=self.prepare(kind), sources=sources)


def _scripts(folder: Path) -> Callable[[str], Path]:
    for name, text in (("good", GOOD), ("bad", BAD), ("long", LONG)):
        (folder / f"{name}.py").write_text(text)
    return lambda kind: folder / f"{kind}.py"


def _fake(folder: Path) -> Bench:
    backend = FakeBackend()
    path = _scripts(folder)
    result = {"n": 3, "list": [1, None, "ü"]}
    plans = {
        "good": Plan(outputs=OUTPUTS, result=result),
        "bad": Plan(fail="ValueError: bad mesh"),
        "long": Plan(stay=Phase.RUNNING),
    }

    def prepare(kind: str) -> Path:
        backend.plan = plans[kind]
        return path(kind)

    return Bench(backend, prepare)


def _embedded(folder: Path) -> Bench:
    options = EmbeddedOptions(state=folder / "state", workers=1, grace=0.0)
    return Bench(EmbeddedScheduler(options), _scripts(folder))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a ``watcher serve``."""
    with start_server(tmp_path_factory.mktemp("serve")) as server:
        yield server.url


@pytest.fixture
def realish(tmp_path: Path) -> Iterator[str]:
    """The address of a stand-in of the real scheduler, made to reply with the id it follows:
    that the daemon follows the other one as well is tested with the daemon."""
    server = Realish(tmp_path / "share").start()
    server.odd.honours = "key"
    yield server.url
    server.close()


@pytest.fixture(params=["fake", "embedded", "served", "realish"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param in LOCAL:
        made = LOCAL[request.param](tmp_path)
    else:
        url = request.getfixturevalue(request.param)
        backend = HttpBackend(Client(Server(url=url, token=TOKEN)))
        cancels = request.param == "served"
        made = Bench(backend, _scripts(tmp_path), hears=False, cancels=cancels)
    yield made
    made.backend.close()


LOCAL = {"fake": _fake, "embedded": _embedded}


def skip_unless(able: bool, what: str) -> None:
    if not able:
        pytest.skip(f"the port allows a scheduler that cannot {what}")


def until(backend: Backend, remote: str, *phases: Phase) -> JobStatus:
    """The job's status once it is in one of these phases, with a deadline."""
    pause = threading.Event()
    for _ in range(int(WAIT / 0.02)):
        status = backend.status([remote]).get(remote)
        if status is not None and status.phase in phases:
            return status
        pause.wait(0.02)
    raise AssertionError(f"{remote} is {status}, not {phases}")


def ended(backend: Backend, remote: str) -> JobStatus:
    return until(backend, remote, Phase.SUCCEEDED, Phase.FAILED, Phase.REVOKED)


def when_ready(backend: Backend, remote: str, into: Path) -> tuple[Fetched, ...]:
    """The outputs; the port allows that they are packed first."""
    for _ in range(int(WAIT / 0.02)):
        try:
            return backend.fetch(remote, into)
        except TooEarly:
            shutil.rmtree(into)
            into.mkdir()
            threading.Event().wait(0.02)
    raise AssertionError("never ready")


def source(name: str, data: bytes) -> Source:
    return Source(name, len(data), lambda: io.BytesIO(data))


def test_a_good_job_succeeds_with_its_result(bench):
    remote = bench.backend.submit(bench.request()).remote
    status = ended(bench.backend, remote)
    assert status.phase is Phase.SUCCEEDED
    assert status.result == {"n": 3, "list": [1, None, "ü"]}
    assert status.progress == 100


def test_a_bad_job_fails_with_its_reason(bench):
    status = ended(bench.backend, bench.backend.submit(bench.request("bad")).remote)
    assert status.phase is Phase.FAILED
    assert "bad mesh" in status.error
    assert "bad mesh" in status.detail


def test_the_same_key_starts_no_second_job(bench):
    request = bench.request()
    first = bench.backend.submit(request)
    ended(bench.backend, first.remote)
    assert bench.backend.submit(request) == first
    assert bench.backend.status([first.remote])[first.remote].phase is Phase.SUCCEEDED


def test_the_sources_are_read_once_and_closed_within_submit(bench):
    opened: list[io.BytesIO] = []

    def open_once() -> io.BytesIO:
        opened.append(io.BytesIO(b"abc"))
        return opened[-1]

    remote = bench.backend.submit(bench.request("good", Source("a.obj", 3, open_once))).remote
    assert [stream.closed for stream in opened] == [True]
    ended(bench.backend, remote)
    assert len(opened) == 1


def test_all_outputs_are_fetched_with_lengths_and_digests(bench, tmp_path):
    remote = bench.backend.submit(bench.request()).remote
    ended(bench.backend, remote)
    into = tmp_path / "staging"
    into.mkdir()
    found = {each.name: each for each in when_ready(bench.backend, remote, into)}
    assert {name: (into / name).read_bytes() for name in found} == OUTPUTS
    for name, each in found.items():
        assert each.size == len(OUTPUTS[name])
        assert each.digest == content.digest(io.BytesIO(OUTPUTS[name]))


def test_outputs_can_be_fetched_again(bench, tmp_path):
    remote = bench.backend.submit(bench.request()).remote
    ended(bench.backend, remote)
    fetched = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        fetched.append(when_ready(bench.backend, remote, tmp_path / name))
    assert sorted(fetched[0], key=str) == sorted(fetched[1], key=str)


def test_an_unfinished_job_has_no_outputs_yet(bench, tmp_path):
    remote = bench.backend.submit(bench.request("long")).remote
    with pytest.raises(TooEarly):
        bench.backend.fetch(remote, tmp_path)


def test_the_outputs_of_an_unknown_job_are_lost(bench, tmp_path):
    with pytest.raises(JobLost):
        bench.backend.fetch(str(uuid.uuid4()), tmp_path)


def test_an_unknown_job_is_unseen_or_absent(bench):
    remote = str(uuid.uuid4())
    status = bench.backend.status([remote]).get(remote, JobStatus(Phase.UNSEEN))
    assert status.phase is Phase.UNSEEN


def test_status_answers_for_many_at_once(bench):
    remotes = [bench.backend.submit(bench.request()).remote for _ in range(3)]
    for remote in remotes:
        ended(bench.backend, remote)
    assert set(bench.backend.status(remotes)) == set(remotes)
    assert bench.backend.status([]) == {}


def test_a_job_in_work_can_be_cancelled(bench):
    skip_unless(bench.cancels, "stop a job")
    remote = bench.backend.submit(bench.request("long")).remote
    until(bench.backend, remote, Phase.RUNNING)
    bench.backend.cancel(remote)
    assert ended(bench.backend, remote).phase is Phase.REVOKED


def test_cancel_and_forget_of_no_such_job_are_no_errors(bench):
    bench.backend.cancel(str(uuid.uuid4()))
    bench.backend.forget(str(uuid.uuid4()))


def test_cancel_does_not_undo_an_ended_job(bench):
    remote = bench.backend.submit(bench.request()).remote
    ended(bench.backend, remote)
    bench.backend.cancel(remote)
    assert bench.backend.status([remote])[remote].phase is Phase.SUCCEEDED


def test_a_forgotten_job_has_no_outputs_any_more(bench, tmp_path):
    skip_unless(bench.cancels, "remove a job")
    remote = bench.backend.submit(bench.request()).remote
    ended(bench.backend, remote)
    bench.backend.forget(remote)
    with pytest.raises(JobLost):
        bench.backend.fetch(remote, tmp_path)


def test_listeners_hear_of_the_end(bench):
    skip_unless(bench.hears, "tell by itself")
    heard: list[str] = []
    said = threading.Event()
    bench.backend.listen(lambda remote: (heard.append(remote), said.set()))
    remote = bench.backend.submit(bench.request()).remote
    assert said.wait(WAIT)
    assert heard == [remote]
    assert bench.backend.status([remote])[remote].phase is Phase.SUCCEEDED


def test_an_unknown_process_is_refused(bench):
    request = JobRequest(key=str(uuid.uuid4()), name="x", process="no_such_thing")
    with pytest.raises(Refused, match="no_such_thing"):
        bench.backend.submit(request)
    assert "no_such_thing" not in bench.backend.processes()


def test_a_source_name_that_leads_out_is_refused(bench):
    with pytest.raises(Refused):
        bench.backend.submit(bench.request("good", source("../evil.obj", b"x")))

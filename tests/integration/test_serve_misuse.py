"""``watcher serve`` against callers that mean ill, or do not know better."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import structlog

from tests.serving import TOKEN, WITHIN, Server, start_server, until
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.embedded.server.app import Api, Serving
from watcher.embedded.server.host import Host, bind

ECHO = "def main(pc, params):\n    return params\n"
FORM = b'--b\r\nContent-Disposition: form-data; name="process"\r\n\r\napi_test\r\n'
HEAD = f"Host: 127.0.0.1\r\nx-api-key: {TOKEN}\r\nContent-Type: multipart/form-data; boundary=b\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with start_server(tmp_path_factory.mktemp("misuse"), "--workers", "2") as started:
        yield started
        faults = [row.get("exception") for row in started.events() if row["event"] == "fault"]
        assert not faults, faults[0]


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """The same server in this process, with a patience of half a second; of two for a head."""
    folder = tmp_path_factory.mktemp("impatient")
    scheduler = EmbeddedScheduler(EmbeddedOptions(state=folder, workers=1))
    log = structlog.get_logger()
    api = Api(scheduler, Serving(version="0", token=TOKEN, pace=0.5, linger=0.5), log)
    host = Host(api.application(), log, headers_within=2.0)
    with bind("127.0.0.1", 0) as bound:
        yield host.start(bound), folder / "jobs"
        host.stop()
        api.close()
        scheduler.close()


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=WITHIN)


def raw(url: str, *blocks: bytes) -> bytes:
    """Send blocks; everything that comes back until the end."""
    with connect(url) as line:
        for block in blocks:
            line.sendall(block)
        return rest(line)


def rest(line: socket.socket) -> bytes:
    got = b""
    with contextlib.suppress(ConnectionError):
        while more := line.recv(65536):
            got += more
    return got


def left(jobs: Path) -> list[str]:
    """Drafts that stand in the jobs folder."""
    return [path.name for path in jobs.iterdir() if path.name.startswith(".new-")]


def count(server: Server) -> int:
    return len(server.ask("GET", "/jobs").json()["jobs"])


# ---------------------------------------------------------------- who may call
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": TOKEN + " x"},
        {"x-api-key": "é".encode()},
        {"x-api-key": "x" * 10_000},
        {"authorization": f"Bearer {TOKEN}"},
    ],
)
def test_a_wrong_token_is_401_whatever_is_asked(server, headers):
    for method, path in [("GET", "/jobs"), ("GET", "/jobs/x"), ("POST", "/jobs")]:
        reply = requests.request(method, server.url + path, headers=headers, timeout=WITHIN)
        assert reply.status_code == 401
        assert reply.json() == {"detail": "Invalid token"}
        assert reply.headers["www-authenticate"] == "x-api-key"


def test_a_wrong_token_is_told_before_the_upload_and_the_reply_arrives(server):
    began = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"
    with connect(server.url) as line:
        line.sendall(began)
        got = line.recv(65536)
        assert got.startswith(b"HTTP/1.1 401")
        for _ in range(50):
            line.sendall(bytes(1_000_000))
        assert (got + rest(line)).endswith(b'{"detail":"Invalid token"}')
    body = {"file": ("big.bin", bytes(20_000_000))}
    assert requests.post(f"{server.url}/jobs", files=body, timeout=WITHIN).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Host": "evil.example"},
        {"Host": "[x"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_without_a_token_no_web_page_gets_in(tmp_path_factory, open_server, headers):
    for method in ("GET", "POST"):
        reply = open_server.ask(method, "/jobs", headers=headers)
        assert reply.status_code == 403
    assert open_server.ask("GET", "/jobs").json() == {"jobs": []}


def test_without_a_token_this_machine_and_its_own_page_get_in(open_server):
    own = {"Origin": open_server.url, "Sec-Fetch-Site": "same-origin"}
    assert open_server.ask("GET", "/jobs", headers=own).status_code == 200
    named = {"Host": "localhost:8001"}
    assert open_server.ask("GET", "/jobs", headers=named).status_code == 200


@pytest.fixture(scope="module")
def open_server(tmp_path_factory):
    with start_server(tmp_path_factory.mktemp("open"), "--open") as started:
        yield started


# ---------------------------------------------------------------- forms
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"--b\r\n",
        FORM,  # its end never comes
        FORM + b"--b",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n",
        (FORM + b"\r\n") * 3 + b"\0\xff",
    ],
)
def test_a_broken_form_is_no_job(server, body):
    before = count(server)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = server.ask("POST", "/jobs", data=body, headers=headers)
    assert reply.status_code == 400
    assert isinstance(reply.json()["detail"], str)
    assert count(server) == before
    assert not left(server.state / "jobs")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"params": "x" * 1_100_000}, "params"),
        ({f"n{i}": "1" for i in range(1001)}, "1000"),
        ({"params": "[" * 100_000}, "params"),
        ({"params": "1" * 5000}, "params"),
        ({"config": '{"countdown": -1}'}, "countdown"),
        ({"config": '{"expires": "soon"}'}, "expires"),
        ({"config": '{"countdown": NaN}'}, "countdown"),
        ({"config": '{"retries": 1.5}'}, "retries"),
        ({"config": '{"priority": true}'}, "priority"),
        ({"config": '{"root_file": 5}'}, "root_file"),
        ({"config": '{"queue": ["cpu"]}'}, "queue"),
        ({"config": '{"queue": "mine"}'}, "gpuhigh"),
    ],
)
def test_a_form_that_cannot_be_a_job_says_why(server, fields, said):
    before = count(server)
    form = {"process": (None, "api_test")} | {k: (None, v) for k, v in fields.items()}
    reply = server.ask("POST", "/jobs", files=form)
    assert reply.status_code == 400
    assert said in reply.json()["detail"]["details"]
    assert count(server) == before


def test_a_boundary_has_an_end_and_a_name_need_not_be_utf_8(server):
    headers = {"Content-Type": f"multipart/form-data; boundary={'b' * 1000}"}
    assert server.ask("POST", "/jobs", data=b"x", headers=headers).status_code == 400
    script = b"import os\ndef main(pc, params):\n    return os.path.basename(pc.get_input_file())\n"
    part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
    body = part % (b"script", b"s.py", script) + part % (b"file", b"t\xefle.stp", b"x")
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = server.ask("POST", "/jobs", data=body + b"--b--\r\n", headers=headers)
    assert server.wait(reply.json()["uuid"])["result"] == "tïle.stp"


def test_a_form_without_files_has_an_end(server):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = server.ask("POST", "/jobs", data="a=" + "x" * 5_000_000, headers=headers)
    assert reply.status_code == 400
    many = "&".join(f"a{i}=1" for i in range(2000))
    assert server.ask("POST", "/jobs", data=many, headers=headers).status_code == 400


def test_of_a_repeated_file_the_last_one_counts_and_other_files_are_read_over(server):
    script = "def main(pc, params):\n    return open(pc.get_input_file()).read()\n"
    form = [
        ("script", ("s.py", "nonsense(")),
        ("script", ("t.py", script)),
        ("file", ("a.txt", "first")),
        ("extra", ("b.txt", "x" * 3_000_000)),
        ("file", ("c.txt", "last")),
    ]
    reply = server.ask("POST", "/jobs", files=form)
    assert server.wait(reply.json()["uuid"])["result"] == "last"


@pytest.mark.parametrize("process", ["../../api_test", "api_test\0", "é", ".", "custom/../x"])
def test_a_name_of_no_process_leads_nowhere(server, process):
    reply = server.ask("POST", "/jobs", files={"process": (None, process)})
    assert reply.status_code == 400


# ---------------------------------------------------------------- keys
def test_a_key_makes_one_job_however_often_it_is_sent(server):
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(
                requests.post,
                f"{server.url}/jobs",
                files={"script": ("s.py", ECHO), "params": (None, json.dumps(number))},
                headers={"x-api-key": TOKEN, "Idempotency-Key": key},
                timeout=WITHIN,
            )
            for number in range(8)
        ]
    assert [each.result().status_code for each in sent] == [200] * 8
    assert {each.result().json()["uuid"] for each in sent} == {key}
    listed = [row["uuid"] for row in server.ask("GET", "/jobs").json()["jobs"]]
    assert listed.count(key) == 1
    assert server.wait(key)["retry"] == 0


@pytest.mark.parametrize(
    ("header", "config"),
    [
        ("x", {}),
        ("", {}),
        (
            "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
            {"task_id": "7f9619ff-8b86-4d01-b42d-00cf4fc964ff"},
        ),
    ],
)
def test_a_key_must_be_one_uuid(server, header, config):
    form = {"process": (None, "api_test"), "config": (None, json.dumps(config))}
    reply = server.ask("POST", "/jobs", files=form, headers={"Idempotency-Key": header})
    assert reply.status_code == 400
    assert "Idempotency-Key" in reply.json()["detail"]["details"]


# ---------------------------------------------------------------- the line
def test_chunks_and_expectations(server):
    def blocks():
        yield FORM
        yield b"--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    assert server.ask("POST", "/jobs", data=blocks(), headers=headers).status_code == 200
    whole = FORM + b"--b--\r\n"
    head = f"POST /jobs HTTP/1.1\r\n{HEAD}Content-Length: {len(whole)}\r\nExpect: 100-continue\r\n"
    with connect(server.url) as line:
        line.sendall(head.encode() + b"Connection: close\r\n\r\n")
        assert line.recv(65536).startswith(b"HTTP/1.1 100")
        line.sendall(whole)
        assert b"HTTP/1.1 200" in rest(line)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /jobs HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\0\xff\r\n\r\n",
        b"GET /jobs HTTP/9\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_nonsense_on_the_line_hurts_nobody_else(server, sent):
    with contextlib.suppress(ConnectionError):
        got = raw(server.url, sent)
        assert got[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 401")
    assert server.ask("GET", "/").status_code == 200


def test_a_slow_upload_holds_up_nobody_and_a_cut_one_leaves_nothing(server):
    head = f"POST /jobs HTTP/1.1\r\n{HEAD}Content-Length: 90000000\r\n\r\n".encode()
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    before = count(server)
    lines = [connect(server.url) for _ in range(20)]
    for line in lines:
        line.sendall(head + part + bytes(2_000_000))
    until(lambda: len(left(server.state / "jobs")) == 20, what="the uploads to begin")
    began = time.monotonic()
    assert server.wait(server.submit(script=ECHO, params=1))["result"] == 1
    assert time.monotonic() - began < 50  # less than it waits for a body
    for line in lines:
        line.close()
    until(lambda: not left(server.state / "jobs"), what="the cut uploads to be removed")
    assert count(server) == before + 1


def test_a_head_that_does_not_come_is_not_waited_for(impatient):
    url, _ = impatient
    assert raw(url) == b""
    assert raw(url, b"GET / HT") == b""
    with connect(url) as line:  # nor the head of a second request
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in line.recv(65536)
        line.sendall(b"GET /")
        assert rest(line).replace(b"Welcome", b"")[:8] != b"HTTP/1.1"


def test_a_body_that_does_not_come_is_not_waited_for(impatient):
    url, jobs = impatient
    head = f"POST /jobs HTTP/1.1\r\n{HEAD}Content-Length: 90000000\r\n\r\n".encode()
    got = raw(url, head + FORM)
    assert got.startswith(b"HTTP/1.1 408")
    assert b"too slowly" in got
    assert not left(jobs)


def test_a_body_that_drips_for_ever_is_not_waited_for(impatient):
    url, jobs = impatient
    head = f"POST /jobs HTTP/1.1\r\n{HEAD}Content-Length: 90000000\r\n\r\n".encode()
    ended = threading.Event()
    with connect(url) as line:
        line.sendall(head + FORM)

        def drip():
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    line.sendall(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert rest(line).startswith(b"HTTP/1.1 408")
        finally:
            ended.set()
            thread.join()
    assert not left(jobs)


# ---------------------------------------------------------------- paths
@pytest.mark.parametrize(
    "path",
    [
        "../inputs/a.txt",
        "..%2Finputs%2Fa.txt",
        "%2e%2e/spec.json",
        "../../jobs.sqlite",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "sub/../../script.py",
        "out",
        "outfolder/hostname",
        "a%00b",
        "",
        "sub",
        "pipe",
    ],
)
def test_nothing_but_outputs_is_served(server, job, path):
    request = requests.Request("GET", server.url, headers={"x-api-key": TOKEN}).prepare()
    request.url = f"{server.url}/jobs/{job}/outputs/{path}"
    reply = server.session.send(request, timeout=WITHIN)
    assert reply.status_code == 400
    assert str(server.state) not in reply.text


def test_an_odd_way_to_write_a_path_is_understood(server, job):
    reply = server.ask("GET", f"/jobs/{job}/%6futputs/sub/b.txt")
    assert reply.content == b"beta"
    assert server.ask("GET", f"/jobs/{job}/outputs/%FFodd.txt").content == b"odd"
    names = server.ask("GET", f"/jobs/{job}/outputs").json()["outputs"]
    assert "\udcffodd.txt" in names


@pytest.fixture(scope="module")
def job(server):
    """A job whose outputs hold what must not be served."""
    script = """
import os
def main(pc, params):
    top = pc.get_output_dir()
    os.mkdir(os.path.join(top, "sub"))
    open(os.path.join(top, "sub", "b.txt"), "w").write("beta")
    open(os.path.join(os.fsencode(top), b"\\xffodd.txt"), "w").write("odd")
    os.symlink("/etc/hostname", os.path.join(top, "out"))
    os.symlink("/etc", os.path.join(top, "outfolder"))
    os.mkfifo(os.path.join(top, "pipe"))
"""
    made = server.submit(script=script, file=("a.txt", "input"))
    assert server.wait(made)["status"] == "SUCCESS"
    return made

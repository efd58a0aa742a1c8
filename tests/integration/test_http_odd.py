"""The client against a server that misbehaves on purpose: an error of ours, soon, and no litter."""

from __future__ import annotations

import json
import time
from urllib.parse import unquote

import pytest

from tests.odd_server import JSON, OK, OddServer, bomb, reply, zipped
from watcher.adapters.http import Client, Server
from watcher.adapters.http.ask import Asking, full, reason
from watcher.adapters.http.download import unpack
from watcher.adapters.http.wire import details
from watcher.core.model import Phase
from watcher.errors import (
    Garbled,
    NoSpace,
    OutsideRoot,
    Refused,
    SchedulerError,
    TooEarly,
    Unreachable,
)

KEY = "e7c636f3-c022-4ed7-8297-56e7e06365ed"


@pytest.fixture
def server():
    made = OddServer()
    yield made
    made.close()


@pytest.fixture
def client(server):
    made = Client(
        Server(url=server.url, connect=2, read=0.5, patience=0.5, body_limit=1 << 20),
        pause=lambda _: None,
    )
    yield made
    made.close()


@pytest.fixture
def patient(server):
    """For what is to be answered, however slow the machine is."""
    made = Client(Server(url=server.url, body_limit=1 << 20), pause=lambda _: None)
    yield made
    made.close()


ODD = {
    "nothing": [b""],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "half a head": [OK + b"Content-Le"],
    "a header of a megabyte": [OK + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n"],
    "a thousand headers": [OK + b"X: y\r\n" * 1000 + b"\r\n"],
    "cut JSON": [reply(b'{"uuid": "', declared=100)],
    "text": [reply(b"Internal Server Error", head=b"HTTP/1.1 500 E\r\n")],
    "HTML": [reply(b"<html>", kind=b"Content-Type: text/html\r\n")],
    "a list": [reply(b"[1]")],
    "deep JSON": [reply(b"[" * 100_000)],
    "huge JSON": [reply(b'"' + b"x" * (2 << 20) + b'"')],
    "NaN state": [reply(b'{"uuid": "a", "status": NaN}')],
    "two lengths": [OK + JSON + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"],
    "negative length": [OK + JSON + b"Content-Length: -5\r\n\r\nabcd"],
    "cut chunk": [OK + JSON + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc"],
    "bad chunk": [OK + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"],
    "bad gzip": [OK + JSON + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"],
    "redirect": [reply(b"", head=b"HTTP/1.1 307 R\r\nLocation: http://elsewhere/\r\n")],
    "redirect to itself": [reply(b"", head=b"HTTP/1.1 302 R\r\nLocation: /\r\n")],
    "not UTF-8": [reply(b'{"uuid": "\xff\xfe"}')],
    "no content": [b"HTTP/1.1 204 N\r\n\r\n"],
    "wild status": [reply(b"{}", head=b"HTTP/1.1 999 ?\r\n")],
}


@pytest.mark.parametrize("odd", ODD)
def test_every_oddity_is_one_of_our_errors(server, client, odd):
    server.says = lambda _: ODD[odd]
    with pytest.raises(Unreachable) as caught:
        client.status(KEY)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_reset_and_an_endless_silence_are_unreachable(server, client):
    server.reset = True
    with pytest.raises(Unreachable):
        client.status(KEY)
    server.reset, server.hold = False, True
    with pytest.raises(Unreachable, match="in time"):
        client.status(KEY)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX: ", reply(b"", declared=10_000)])
def test_a_drip_of_bytes_is_bounded_in_head_and_body(server, client, head):
    server.says = lambda _: [head] + [b"x"] * 1000
    server.pause = 0.1
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        client.status(KEY)
    assert time.monotonic() - begun < 50  # a whole one takes 100 s


def test_a_connection_that_was_closed_between_two_requests_is_replaced(server, patient):
    word = json.dumps({"uuid": KEY, "status": "RUNNING"}).encode()
    server.says = lambda _: [reply(word)]  # it promises to keep the connection and closes it
    for _ in range(3):
        assert patient.status(KEY).state == "RUNNING"


def test_a_download_that_never_gets_whole_leaves_nothing(server, client, tmp_path):
    server.says = lambda _: [reply(b"abc", head=OK + b'ETag: "1"\r\n', declared=100)]
    with pytest.raises(Unreachable):
        client.download(KEY, "a.bin", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_download_makes_the_folders_it_needs(server, patient, tmp_path):
    server.says = lambda _: [reply(b"abc")]
    assert patient.download(KEY, "a.bin", tmp_path / "new" / "deep" / "a.bin") == 3
    assert (tmp_path / "new" / "deep" / "a.bin").read_bytes() == b"abc"


def test_a_length_that_is_a_lie_is_found_out(server, patient, tmp_path):
    def says(request):
        if b"Range" in request:
            return [reply(b"", head=b"HTTP/1.1 416 R\r\n")]
        return [reply(b"abc", head=OK + b'ETag: "1"\r\n', declared=100)]

    server.says = says
    with pytest.raises(Garbled, match="cut short"):
        patient.download(KEY, "a.bin", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_dripping_download_is_given_up(server, client, tmp_path):
    server.says = lambda _: [reply(b"", declared=1 << 20)] + [b"x"] * 1000
    server.pause = 0.05
    with pytest.raises(Unreachable):
        client.download(KEY, "a.bin", tmp_path / "a.bin")


def test_a_file_that_cannot_fit_is_refused_before_its_first_byte(server, patient, tmp_path):
    server.says = lambda _: [reply(b"abc", declared=1 << 60)]
    with pytest.raises(NoSpace, match="do not fit"):
        patient.download(KEY, "a.bin", tmp_path / "a.bin")
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_costs_nothing(server, patient, tmp_path):
    packed = bomb()
    server.says = lambda _: [reply(packed)]
    with pytest.raises(NoSpace):
        patient.archive(KEY, tmp_path / "a.zip")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a//b"])
def test_a_zip_that_leads_out_writes_nothing_there(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(zipped(name))
    (tmp_path / "in").mkdir()
    with pytest.raises(OutsideRoot):
        unpack(tmp_path / "a.zip", tmp_path / "in")
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip", "in"] or sorted(
        each.name for each in tmp_path.iterdir()
    ) == ["a.zip", "in"]


def test_a_cut_zip_is_fetched_again_and_a_bad_one_is_too_early(server, patient, tmp_path):
    good = zipped("a", "b")
    answers = [good[:-10], good]
    server.says = lambda _: [reply(answers.pop(0) if len(answers) > 1 else answers[0])]
    patient.archive(KEY, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == good
    server.says = lambda r: [
        reply(good[:-10])
        if b"archive" in r
        else reply(json.dumps({"uuid": KEY, "status": "RUNNING"}).encode())
    ]
    with pytest.raises(TooEarly):
        patient.archive(KEY, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize("name", ["a b#?%.bin", "süb/x", "archive", "%2e%2e"])
def test_names_are_encoded_once_and_whole(server, patient, tmp_path, name):
    server.says = lambda _: [reply(b"abc")]
    patient.download(KEY, name, tmp_path / "x")
    path = server.requests[0].split()[1].decode()
    assert path.isascii()
    assert not set(path) & set("#? ")
    assert unquote(path).removeprefix(f"/jobs/{KEY}/outputs/").removeprefix("./") == name


@pytest.mark.parametrize("result", [None, "None", 1, 1.5, True, [1], {"a": None}, float("nan")])
def test_a_result_may_be_any_json(result):
    text = json.loads(json.dumps({"uuid": KEY, "status": "SUCCESS", "result": result}))
    word = full(details(text, "here"))
    assert word.phase is Phase.SUCCEEDED
    assert word.result == result or result != result  # noqa: PLR0124 - NaN differs from itself


def test_one_garbled_job_does_not_hide_the_others(server, patient):
    def says(request):
        if b"bad" in request:
            return [reply(b"Internal Server Error", head=b"HTTP/1.1 500 E\r\n")]
        return [reply(json.dumps({"uuid": KEY, "status": "RUNNING"}).encode())]

    server.says = says
    asking = Asking(patient)
    found = asking.words(["bad", KEY])
    assert (found["bad"].phase, found[KEY].phase) == (Phase.SILENT, Phase.RUNNING)
    with pytest.raises(SchedulerError):
        asking.words(["bad"])
    asking.close()


def test_a_failure_whose_details_cannot_be_read_waits_for_its_reason(server, patient):
    word = {"uuid": KEY, "status": "FAILURE", "error": None}

    def says(request):
        if b"/details" in request:
            return [reply(b"Internal Server Error", head=b"HTTP/1.1 500 E\r\n")]
        return [reply(json.dumps(word).encode())]

    server.says = says
    asking = Asking(patient)
    with pytest.raises(Garbled, match="its reason cannot be read yet"):
        asking.words([KEY])
    word["error"] = "Internal error"
    assert asking.words([KEY])[KEY].error == "Internal error"
    asking.close()


@pytest.mark.parametrize(
    ("said", "trace", "words"),
    [
        ("ValueError('boom')", "Traceback\nValueError: boom", "ValueError('boom')"),
        ("Can't retry pixyz_execute[x] args:({})", "PixyzExitFault: 3\nother", "exit code 3"),
        ("Can't retry pixyz_execute[x] args:({})", "PixyzSignalFault: 11", "it crashed"),
        ("Worker exited prematurely: exitcode 3 Job: 1.", "", "exit code 3"),
        ("Worker exited prematurely: signal 9 (SIGKILL) Job: 1.", "", "out of memory"),
        ("argument of type 'TimeLimitExceeded' is not iterable", "", "its time limit"),
        ("", "a\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("", "", "gives no reason"),
    ],
)
def test_a_failure_is_told_in_words(said, trace, words):
    assert words in reason(said, trace)


def test_a_token_that_no_header_takes_is_refused(server):
    client = Client(Server(url=server.url, token="päß\n€"))  # noqa: S106 - a test value
    with pytest.raises(Refused) as caught:
        client.status(KEY)
    assert "€" not in str(caught.value)
    client.close()

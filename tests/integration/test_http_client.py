"""The HTTP client against a real, small server that also misbehaves on purpose."""

from __future__ import annotations

import io
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.serving import answering
from watcher import content
from watcher.adapters.http import Client, Server
from watcher.adapters.http.backend import HttpBackend
from watcher.adapters.http.download import inside
from watcher.core.ports import JobRequest, Source
from watcher.errors import OutsideRoot, Unreachable

KEY = "e7c636f3-c022-4ed7-8297-56e7e06365ed"
DATA = bytes(range(256)) * 4000


class _Odd(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def _send(self, status, body, length=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.seen = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.key = self.headers["Idempotency-Key"]
        self._send(200, b'{"uuid":"%s","status":"SENT"}' % KEY.encode())

    def do_GET(self):
        begin = self.headers.get("Range")
        if self.path == "/processes":
            self._send(200, b"<html>portal</html>")
        elif begin:
            at = int(begin[6:-1])
            span = f"bytes {at}-{len(DATA) - 1}/{len(DATA)}"
            self._send(206, DATA[at:], ETag='"a"', Content_Range=span)
        else:
            self._send(200, DATA[:5000], len(DATA), ETag='"a"')


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    with answering(made):
        yield made


@pytest.fixture
def client(server):
    made = Client(Server(url=f"http://127.0.0.1:{server.server_port}", token="hidden"))  # noqa: S106 - a test value
    yield made
    made.close()


def test_several_sources_go_as_one_zip_with_the_key_in_both_places(server, client):
    parts = tuple(Source(n, 3, lambda: io.BytesIO(b"abc")) for n in ("a.obj", "tex/b.png"))
    request = JobRequest(key=KEY, name="n", process="api_test", sources=parts)
    assert HttpBackend(client).submit(request).remote == KEY
    start = server.seen.index(b"PK")
    with zipfile.ZipFile(io.BytesIO(server.seen[start : server.seen.rindex(b"\r\n--")])) as found:
        assert {name: found.read(name) for name in found.namelist()} == {
            "a.obj": b"abc",
            "tex/b.png": b"abc",
        }
    assert server.key == KEY
    assert f'"task_id": "{KEY}"'.encode() in server.seen


def test_d8_a_cut_download_is_resumed_and_leaves_no_part(client, tmp_path):
    assert client.download(KEY, "a b#.bin", tmp_path / "new" / "x") == len(DATA)
    assert (tmp_path / "new" / "x").read_bytes() == DATA
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["x"]


def test_what_comes_in_two_pieces_is_hashed_as_one(client, tmp_path):
    state = content.hashing()
    state.update(b"of an earlier life")
    assert client.download(KEY, "a.bin", tmp_path / "x", state=state) == len(DATA)
    with (tmp_path / "x").open("rb") as stream:
        assert content.digest(stream) == state.hexdigest()


def test_html_in_place_of_json_is_unreachable(client):
    with pytest.raises(Unreachable, match="not JSON"):
        client.processes()


def test_e7_the_token_is_in_no_repr():
    assert "hidden" not in repr(Server(url="http://x", token="hidden"))  # noqa: S106 - a test value


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "."])
def test_d16_names_of_the_server_are_not_trusted(name, tmp_path):
    with pytest.raises(OutsideRoot):
        inside(tmp_path, name)

"""What goes over the wire: the form, the zip in it, connections that are kept, heads that drip."""

from __future__ import annotations

import io
import shutil
import socket
import ssl
import subprocess
import threading
import time
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import pytest

from tests.serving import answering
from watcher import content
from watcher.adapters.http import Client, Server, Submission, session
from watcher.adapters.http.deadline import Deadlines
from watcher.adapters.http.session import PROVEN
from watcher.adapters.http.upload import JOINED, Form, packed
from watcher.core.source import Source
from watcher.errors import FileChanged, FileGone, Unreachable

KEY = "e7c636f3-c022-4ed7-8297-56e7e06365ed"


def given(data: bytes, name: str = "a.bin", size: int | None = None) -> Source:
    return Source(name, len(data) if size is None else size, lambda: io.BytesIO(data))


def received(form: Form) -> dict[str, tuple[str | None, bytes]]:
    """Each field's file name and content, as a parser of another house reads them."""
    body = b"".join(map(bytes, form))
    assert len(body) == form.len == form.sent == int(form.headers["Content-Length"])
    head = f"Content-Type: {form.headers['Content-Type']}\r\n\r\n".encode()
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message_from_bytes(head + body).get_payload()
    }


@pytest.mark.parametrize("size", [0, 3, JOINED + 1, 3 << 20])
def test_a_form_says_the_same_in_one_piece_and_in_many(size):
    data = bytes(range(1, 251)) * (size // 250 + 1)
    seen: list[tuple[int, int]] = []
    parts = {"file": packed((given(data[:size], "tex/a b.bin"),), "application/octet-stream")}
    form = Form({"process": "x", "params": '{"a": "ü"}'}, parts, lambda *at: seen.append(at))
    found = received(form)
    assert found["process"] == (None, b"x")
    assert found["params"] == (None, '{"a": "ü"}'.encode())
    assert found["file"] == ("a b.bin", data[:size])
    assert seen[-1] == (form.len, form.len)


def test_a_name_cannot_break_out_of_its_header():
    form = Form({}, {"file": packed((given(b"x", 'a"\r\nX: y.bin'),), "text/plain")})
    assert received(form)["file"][1] == b"x"


@pytest.mark.parametrize("size", [2, 4])
def test_a_source_of_another_length_is_not_sent_as_if_it_were_whole(size):
    form = Form({}, {"file": packed((given(b"abc", size=size),), "text/plain")})
    with pytest.raises(FileChanged):
        list(form)
    assert isinstance(form.failure, FileChanged)
    assert form.sent < form.len


def test_a_source_that_is_gone_says_so_itself():
    def gone():
        raise FileGone("the file is gone", where="a.bin")

    client = Client(Server(url="http://127.0.0.1:9"))
    with pytest.raises(FileGone):
        list(Form({}, {"file": packed((Source("a.bin", 1, gone),), "text/plain")}))
    client.close()


@pytest.mark.parametrize("sizes", [(0, 0), (1, 300_000), (2 << 20, 5)])
def test_the_length_of_a_zip_is_known_before_it_is_written(sizes):
    sources = [given(bytes(size), f"{size}-{at}ü.bin") for at, size in enumerate(sizes)]
    part = packed(sources, "application/zip")
    assert sum(map(len, part.chunks)) == part.size


def test_the_length_of_a_zip_of_more_than_two_gigabytes_is_known_too(tmp_path):
    big = tmp_path / "big.bin"
    with big.open("wb") as out:
        out.truncate((2 << 30) + 5)
    sources = [Source("big.bin", big.stat().st_size, lambda: big.open("rb")), given(b"abc")]
    part = packed(sources, "application/zip")
    assert sum(map(len, part.chunks)) == part.size


class Plain:
    """A stream that can only ``read``."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(size)

    def close(self) -> None:
        self._stream.close()


@pytest.mark.parametrize("kind", [Plain, io.BytesIO])
def test_what_is_sent_is_hashed_on_its_way_however_it_is_read(kind):
    data = bytes(range(256)) * 3000
    readers: list[content.Hashing] = []

    def reader():
        readers.append(content.Hashing(kind(data)))
        return readers[-1]

    part = packed((Source("a", len(data), reader),), "text/plain")
    assert b"".join(map(bytes, part.chunks)) == data
    assert readers[0].hexdigest() == content.digest(io.BytesIO(data))
    bare = packed((Source("a", len(data), lambda: kind(data)),), "text/plain")
    assert b"".join(map(bytes, bare.chunks)) == data


# ---------------------------------------------------------------- connections
class _Keeping(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.connections += 1
        self.answered = 0

    def _answer(self):
        if self.server.once and self.answered:
            self.close_connection = True  # and no answer
            return
        self.answered += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b'{"uuid":"%s","status":"SENT"}' % KEY.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.server.closing:  # it has promised to keep it
            self.close_connection = True

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    connections = 0
    closing = False  # each connection after its answer
    once = False  # a connection that asks again

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Keeping)
        self.closed = threading.Semaphore(0)

    def shutdown_request(self, request):
        super().shutdown_request(request)
        self.closed.release()


@pytest.fixture
def keeping():
    made = _Server()
    with answering(made):
        yield made


def test_nothing_is_sent_on_a_kept_connection_before_the_server_proved_to_keep_them(
    keeping, monkeypatch
):
    monkeypatch.setattr(session, "FRESH", 3600.0)  # no pause of this machine makes one idle
    client = Client(Server(url=f"http://127.0.0.1:{keeping.server_port}/"))
    for _ in range(3):
        client.submit(Submission(process="x", sources=(given(b"abc"),)))
    assert keeping.connections == 3
    for _ in range(PROVEN):
        client.status(KEY)
    for _ in range(3):
        client.submit(Submission(process="x", sources=(given(b"abc"),)))
    assert keeping.connections == 3
    client.close()


def test_where_kept_connections_are_closed_nothing_is_sent_on_one(keeping):
    keeping.closing = True
    client = Client(Server(url=f"http://127.0.0.1:{keeping.server_port}"))
    for _ in range(2 * PROVEN):
        client.status(KEY)
        client.submit(Submission(process="x", sources=(given(b"abc"),)))
    client.close()


def test_a_connection_that_replaces_a_closed_one_proves_nothing(keeping):
    keeping.closing = True
    client = Client(Server(url=f"http://127.0.0.1:{keeping.server_port}"))
    for _ in range(2 * PROVEN):
        client.status(KEY)
        assert keeping.closed.acquire(timeout=30)  # the next one finds it closed
    keeping.closing, keeping.once = False, True
    client.status(KEY)
    client.submit(Submission(process="x", sources=(given(b"abc"),)))
    client.close()


def test_a_connection_that_was_idle_is_not_sent_on(keeping):
    client = Client(Server(url=f"http://127.0.0.1:{keeping.server_port}"))
    for _ in range(PROVEN + 1):
        client.status(KEY)
    line = client.sessions._line()
    line._used -= 60  # as if a minute had passed
    client.submit(Submission(process="x"))
    client.close()
    assert keeping.connections == 2


def test_a_client_that_was_closed_connects_anew(keeping):
    client = Client(Server(url=f"http://127.0.0.1:{keeping.server_port}"))
    client.status(KEY)
    client.close()
    assert client.status(KEY).uuid == KEY
    client.close()
    assert keeping.connections == 2


# ---------------------------------------------------------------- bodies
class Stalling:
    """A server that takes a request's head, reads nothing for ``stall`` seconds, then takes all of
    it and answers."""

    def __init__(self, stall: float, tls: ssl.SSLContext | None) -> None:
        self._stall, self._tls = stall, tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        sock, _ = self._server.accept()
        with self._tls.wrap_socket(sock, server_side=True) if self._tls else sock as talk:
            stream = talk.makefile("rb")
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            self._over.wait(self._stall)
            while length and (block := stream.read(min(length, 1 << 20))):
                length -= len(block)
            if not length:
                body = b'{"uuid":"%s","status":"SENT"}' % KEY.encode()
                talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture
def tls(tmp_path):
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost"
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    pair = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", *words.split(), "-out", pair[0], "-keyout", pair[1]],
        check=True,
        capture_output=True,
    )
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*pair)
    return made


def sent_to_a_stalling_server(connect: float, stall: float, tls: ssl.SSLContext | None) -> str:
    """The id of a job whose upload stalls for longer than a connection may take to be made."""
    with Stalling(stall, tls) as server:
        client = Client(Server(url=server.url, connect=connect, read=60, insecure=True))
        big = Source("big.bin", 32 << 20, lambda: io.BytesIO(bytes(32 << 20)))
        try:
            return client.submit(Submission(process="x", sources=(big,))).uuid
        finally:
            client.close()


def test_an_upload_may_stall_for_as_long_as_an_answer():
    assert sent_to_a_stalling_server(0.3, 1.0, None) == KEY


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_an_upload_over_tls_may_stall_as_well(tls):
    # the handshake is part of connecting: it gets more time than a bare connection
    assert sent_to_a_stalling_server(2.0, 3.0, tls) == KEY


# ---------------------------------------------------------------- heads
def closed(sock: socket.socket, within: float = 60.0) -> bool:
    sock.settimeout(within)
    return sock.recv(1) == b""


def test_a_head_that_is_late_ends_alone_and_no_other():
    watch = Deadlines()
    late, peer = socket.socketpair()
    other, other_peer = socket.socketpair()
    calm, calm_peer = socket.socketpair()
    number = watch.begin(other, 3600)
    with watch._changed:  # however slow this thread is, the watch does not look in between
        watch.end(watch.begin(calm, 0.05))
    begun = time.monotonic()
    watch.begin(late, 0.1)  # sooner than what the thread sleeps for
    assert closed(peer)
    assert time.monotonic() - begun < 50
    other.sendall(b"x")
    assert other_peer.recv(1) == b"x"
    calm.sendall(b"y")
    assert calm_peer.recv(1) == b"y"
    watch.end(number)
    for each in (late, peer, other, other_peer, calm, calm_peer):
        each.close()


def test_a_server_that_drips_its_head_holds_nobody(keeping):
    with socket.create_server(("127.0.0.1", 0)) as dripping:
        over = threading.Event()

        def drip():
            sock, _ = dripping.accept()
            with sock:
                while not over.wait(0.05):
                    try:
                        sock.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{dripping.getsockname()[1]}"
        client = Client(Server(url=url, read=0.3, patience=0.3))
        with pytest.raises(Unreachable):
            client.submit(Submission(process="x"))
        over.set()
        thread.join()
        client.close()

"""A server that misbehaves on purpose: each path is one way to be wrong, in raw bytes."""

from __future__ import annotations

import io
import socket
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress

OK = b"HTTP/1.1 200 OK\r\n"
JSON = b"Content-Type: application/json\r\n"


def reply(body: bytes, *, head: bytes = OK, declared: int | None = None, kind: bytes = JSON):
    length = len(body) if declared is None else declared
    return head + kind + b"Content-Length: %d\r\n\r\n" % length + body


def bomb() -> bytes:
    """A small zip whose directory promises a petabyte."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big.bin", bytes(1 << 20))
        archive.infolist()[0].file_size = 1 << 50
        archive.infolist()[0].extract_version = 45
    return held.getvalue()


def zipped(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return held.getvalue()


class OddServer:
    """``says`` is sent to every request, in pieces with ``pause`` seconds between them; then the
    connection is closed, unless ``hold``."""

    def __init__(self) -> None:
        self.says: Callable[[bytes], list[bytes]] = lambda _: [b""]
        self.pause = 0.0
        self.hold = False
        self.reset = False
        self.requests: list[bytes] = []
        self._over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                sock, _ = self._server.accept()
                self._held.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                more = sock.recv(65536)
                if not more:
                    return
                request += more
            self.requests.append(request)
            if self.reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()
                return
            for piece in self.says(request):
                sock.sendall(piece)
                if self._over.wait(self.pause):
                    break
            if not self.hold:
                sock.close()

    def close(self) -> None:
        self._over.set()
        self._server.close()
        for sock in self._held:
            with suppress(OSError):
                sock.close()

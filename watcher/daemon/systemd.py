"""What systemd is told, and the thread that feeds its watchdog.

Imports the standard library only. The protocol is that of ``sd_notify(3)``: datagrams of
``NAME=value`` lines to the socket in ``NOTIFY_SOCKET``, abstract when it begins with ``@``.
Invariant: the watchdog is fed only while ``progress`` says so; where nobody supervises, nothing
is sent; children never inherit the socket's address.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

STATUS_EVERY = 5.0  # seconds between two looks at the status line
LONGEST = 400  # characters of a status line


class Supervisor:
    """The other end of ``NOTIFY_SOCKET``; silent without one."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        mine = environ.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        usec = environ.pop("WATCHDOG_USEC", "")
        self.interval = int(usec) / 1e6 if mine and usec.isdecimal() else 0.0
        self._status = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, *lines: str) -> None:
        """Send one datagram; a supervisor that is gone is no reason to stop work."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.connect(self._address)
                out.sendall("\n".join(lines).encode("utf-8", "backslashreplace"))

    def ready(self, status: str) -> None:
        """Started, or reloaded."""
        self.tell("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """A new configuration is being taken up."""
        self.tell(
            "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading"
        )

    def stopping(self) -> None:
        """Draining."""
        self.tell("STOPPING=1", "STATUS=finishing what is in hand")

    def status(self, text: str) -> None:
        """The line that ``systemctl status`` shows; sent when it changed."""
        if text != self._status:
            self._status = text
            self.tell(f"STATUS={_line(text)}")

    def watch(self, progress: Callable[[], float], status: Callable[[], str]) -> None:
        """Feed the watchdog as long as ``progress`` (seconds since the last) is younger than half
        its interval, and keep the status line true."""
        if self._address:
            self._thread = threading.Thread(
                target=self._watch, args=(progress, status), name="watchdog", daemon=True
            )
            self._thread.start()

    def _watch(self, progress: Callable[[], float], status: Callable[[], str]) -> None:
        pause = min(STATUS_EVERY, self.interval / 4) if self.interval else STATUS_EVERY
        while not self._ended.wait(pause):
            if self.interval and progress() < self.interval / 2:
                self.tell("WATCHDOG=1")
            self.status(status())

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(STATUS_EVERY)


def _line(text: str) -> str:
    return " ".join(text.split())[:LONGEST]

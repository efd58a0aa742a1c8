"""Reads the body of ``POST /jobs`` from the network, at the network's pace.

Imports anyio, Starlette and the package's ``parts``. Invariants: the event loop never waits for a
disk; a body that comes too slowly, or stops, ends within a minute; memory stays flat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from anyio.to_thread import run_sync
from python_multipart.multipart import parse_options_header
from starlette.requests import Request
from starlette.types import Receive

from watcher.embedded.server.parts import BadForm, Form, Parts, urlencoded
from watcher.errors import Refused

BLOCK = 1 << 20  # bytes that are parsed and written at once
PACE = 60.0  # seconds in which a body must bring at least
PACE_LEAST = 1 << 16  # so many bytes: about 1 kB a second
FORM_MOST = 4 << 20  # bytes of a form without files


class Gone(Exception):
    """The caller hung up: nobody waits for a reply."""


class TooSlow(Exception):
    """The body came more slowly than anybody would send it in earnest."""


async def read_form(request: Request, place: Path, *, pace: float) -> Form:
    """The form of a request, its files below ``place``. ``pace`` is in seconds, see ``TooSlow``.

    A body of another content type is read to its end and counts as an empty form.

    Raises:
        BadForm, Refused, NoSpace: see ``parts``.
        Gone: the caller hung up.
        TooSlow: less than 64 kB came within ``pace``.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    blocks = _blocks(request.receive, pace)
    if kind == b"multipart/form-data":
        if not options.get(b"boundary"):
            raise BadForm("Missing boundary in multipart.")
        return await _multipart(Parts(options[b"boundary"], place), blocks)
    body = bytearray()
    async for block in blocks:
        if kind == b"application/x-www-form-urlencoded":
            body += block
        if len(body) > FORM_MOST:
            raise Refused(f"a form without files holds at most {FORM_MOST} bytes")
    return urlencoded(bytes(body))


async def _multipart(parts: Parts, blocks: AsyncIterator[bytes]) -> Form:
    try:
        async for block in blocks:
            await run_sync(parts.feed, block)
        return parts.finish()
    finally:
        parts.close()


async def _blocks(receive: Receive, pace: float) -> AsyncIterator[bytes]:
    held = bytearray()
    more = True
    began, came = time.monotonic(), 0
    while more:
        left = began + pace - time.monotonic()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, left))
        except TimeoutError as error:
            raise TooSlow from error
        if message["type"] == "http.disconnect":
            raise Gone
        body = message.get("body", b"")
        more = message.get("more_body", False)
        held += body
        came += len(body)
        if came >= PACE_LEAST:
            began, came = time.monotonic(), 0
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
            began, came = time.monotonic(), 0  # our own disk's time is not the caller's
    if held:
        yield bytes(held)

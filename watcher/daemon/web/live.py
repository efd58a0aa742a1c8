"""Server-sent events: an open page hears what changed, without asking.

Imports Starlette's thread pool only. Invariant: a page that nobody reads costs nothing; one that
is read is rendered once in ``EVERY`` seconds at most, and only changed parts are sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from starlette.concurrency import run_in_threadpool

EVERY = 1.5  # seconds between two looks
STILL = 10  # looks without news after which a comment keeps proxies awake


async def live(
    parts: Callable[[], Mapping[str, str]], gone: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """The events of one open page; ``parts`` renders, ``gone`` says that nobody reads any more."""
    sent: dict[str, str] = {}
    quiet = 0
    yield b"retry: 3000\n\n"
    while not await gone():
        now = await run_in_threadpool(parts)
        news = {name: text for name, text in now.items() if sent.get(name) != text}
        quiet = 0 if news else quiet + 1
        if news:
            sent.update(news)
            yield f"event: parts\ndata: {json.dumps(news)}\n\n".encode()
        elif quiet >= STILL:
            quiet = 0
            yield b": still here\n\n"
        await asyncio.sleep(EVERY)

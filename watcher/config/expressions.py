"""Regular expressions that some name would keep busy for hours, found before they meet one.

Imports the standard library only. Invariant: a probe takes a bounded time whatever the expression:
its text grows step by step and stops as soon as one look is slow.

Python's engine backtracks (see "catastrophic backtracking"): ``(a+)+$`` takes 2^n steps on ``n``
letters that do not match. Whether it does is not worth a proof here: what people write shows on
texts made of its own letters.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

SLOW = 0.02  # seconds of CPU for a look at a short text
SHORT = (*range(4, 41), 64, 128, 256)
WORDS = 24  # texts to repeat, at most
TELLTALE = "\x01"  # what no expression for names expects at the end


def slow_on(expression: re.Pattern[str]) -> str:
    """A text to which the expression takes too long, shortened for people; empty for none."""
    for word in _words(expression.pattern):
        for times in SHORT:
            if _seconds(expression, word * times + TELLTALE) > SLOW:
                return word * 3 + "..."
    return ""


def _seconds(expression: re.Pattern[str], text: str) -> float:
    """CPU time of one look; a slow one is taken again, since a machine may hiccup."""
    for _ in range(2):
        begin = time.thread_time()
        expression.search(text)
        took = time.thread_time() - begin
        if took <= SLOW:
            break
    return took


def _words(pattern: str) -> list[str]:
    """Texts that the pattern may take many of: its letters, and the runs of them."""
    found = dict.fromkeys(("a", "0", " ", "_", "/", "."))
    found.update(dict.fromkeys(_letters(pattern)))
    found.update(dict.fromkeys(re.findall(r"\w{2,8}", pattern)))
    return list(found)[:WORDS]


def _letters(pattern: str) -> Iterator[str]:
    return (char for char in pattern if char not in r"\()[]{}|*+?^$" and char.isprintable())

"""Regular expressions that some name would keep busy for hours, found before they meet one.

Imports the standard library only. Invariants: the text of a probe grows step by step and stops as
soon as one look is slow; and how fast the machine is decides nothing: only how the time grows with
the text does.

Python's engine backtracks (see "catastrophic backtracking"): ``(a+)+$`` takes 2^n steps on ``n``
letters that do not match. Whether it does is not worth a proof here: what people write shows on
texts made of its own letters. ``(.+)_(.+)_(.+)`` takes about n^4 on nothing but underscores, which
no name of a file is; what grows by a power only is let pass.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator

SLOW = 0.1  # seconds of CPU from which a look is worth a thought,
HICCUP = 5.0  # and up to which the machine may have been the cause
POWER = 8.0  # beyond what people write; a doubling at each letter grows like the 12th when SLOW
LONGEST = 255  # letters of a name
WORDS = 24  # texts to repeat, at most
TELLTALE = "\x01"  # what no expression for names expects at the end

Clock = Callable[[], float]


def slow_on(expression: re.Pattern[str], clock: Clock = time.thread_time) -> str:
    """A text to which the expression takes too long, shortened for people; empty for none."""
    for word in _words(expression.pattern):
        if _explodes(expression, word, clock):
            return word * 3 + "..."
    return ""


def _explodes(expression: re.Pattern[str], word: str, clock: Clock) -> bool:
    """Whether the time grows faster than by a power of how often a word is repeated."""
    took: dict[int, float] = {}
    times = 4
    while times * len(word) <= LONGEST:
        text = word * times + TELLTALE
        took[times] = _seconds(expression, text, clock)
        if took[times] > SLOW:
            before = max((one for one in took if one <= 0.7 * times), default=0)
            least = max(took.get(before, 0.0), 1e-9)
            return math.log(took[times] / least) > POWER * math.log(times / max(before, 1))
        times += max(1, times // 8)
    return False


def _seconds(expression: re.Pattern[str], text: str, clock: Clock) -> float:
    """CPU time of one look; a slow one is taken again, since a machine may hiccup."""
    begin = clock()
    expression.search(text)
    between = clock()
    if not SLOW < between - begin < HICCUP:
        return between - begin
    expression.search(text)
    return min(between - begin, clock() - between)


def _words(pattern: str) -> list[str]:
    """Texts that the pattern may take many of: its letters, and the runs of them."""
    found = dict.fromkeys(("a", "0", " ", "_", "/", "."))
    found.update(dict.fromkeys(_letters(pattern)))
    found.update(dict.fromkeys(re.findall(r"\w{2,8}", pattern)))
    return list(found)[:WORDS]


def _letters(pattern: str) -> Iterator[str]:
    return (char for char in pattern if char not in r"\()[]{}|*+?^$" and char.isprintable())

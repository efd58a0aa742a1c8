"""The process ``sleep``: takes time, makes nothing.

Imports the standard library and ``watcher.embedded``. Invariant: reports a step at least once per
second, so that a waiting client sees it live.
"""

from __future__ import annotations

import math
import time
from typing import Any

from watcher.embedded.formats.params import Params
from watcher.embedded.script import ProcessContext

ISOLATION = "reuse"
_LONGEST = 86_400.0


def main(pc: ProcessContext, params: dict[str, Any]) -> dict[str, Any]:
    """
    Sleeps, to try a scheduler out.

    Parameters
    {
    "duration": 1.5  [optional] seconds to sleep, 0 to 86400 (default: 0.1); or "seconds"
    }
    Result: {"sleep": 1.5}
    """
    given = Params(params, ("duration", "seconds"), pc.warn)
    duration = given.number("duration", given.number("seconds", 0.1, _LONGEST), _LONGEST)
    steps = max(1, min(100, math.ceil(duration)))
    pc.progress_set_total(steps)
    for step in range(steps):
        pc.progress_next(f"Sleeping for {duration:g} seconds ({step + 1} of {steps})")
        time.sleep(duration / steps)
    return {"sleep": duration}

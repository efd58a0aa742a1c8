"""The process ``api_test``: shows that the road to the scheduler works.

Imports ``watcher.embedded.script``. Invariant: needs no converter.
"""

from __future__ import annotations

from typing import Any

from watcher.embedded.script import ProcessContext

ISOLATION = "reuse"


def main(pc: ProcessContext, params: dict[str, Any]) -> dict[str, Any]:
    """
    Says hello and gives the params back.

    Parameters: any.
    Result: {"output": "Hello World!", "params": {...}}
    """
    pc.progress_set_total(1)
    pc.progress_next("Saying hello")
    return {"output": "Hello World!", "params": params}

"""Tables for people, JSON for pipes.

Imports click and rich. Invariant: standard output carries either one table or one JSON document.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def wants_json(asked: bool) -> bool:  # noqa: FBT001  (a flag of the command line)
    """JSON when it is asked for, or when nobody is looking."""
    return asked or not sys.stdout.isatty()


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print rows under their heads, or a word when there are none."""
    console = Console(highlight=False)
    if not rows:
        console.print(empty)
        return
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        shown.add_column(head, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(str(cell)) for cell in row))
    console.print(shown)


def ago(at: float) -> str:
    """How long ago a wall time is, in its largest unit: ``3 min``."""
    passed = max(0.0, time.time() - at)
    for size, unit in _UNITS:
        if passed >= size:
            return f"{passed / size:.0f} {unit}"
    return "now"

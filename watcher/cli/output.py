"""Tables: drawn on a terminal, plain lines elsewhere.

Imports click and rich. Invariant: nothing is cut off or wrapped when the output is not a terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str, whole: int = 0
) -> None:
    """Print rows under their heads, or a word when there are none. Off a terminal each row is one
    line of aligned columns, for grep and cut. The first ``whole`` columns are never folded."""
    if not rows:
        click.echo(empty)
    elif sys.stdout.isatty():
        _draw(heads, rows, whole)
    else:
        widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(cells).rstrip())


def _draw(heads: Sequence[str], rows: Sequence[Sequence[str]], whole: int) -> None:
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for at, head in enumerate(heads):
        shown.add_column(head, overflow="fold", no_wrap=at < whole)
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(shown)


def ago(at: float) -> str:
    """How long ago a wall time is, in its largest unit: ``3 min``."""
    passed = max(0.0, time.time() - at)
    for size, unit in _UNITS:
        if passed >= size:
            return f"{passed / size:.0f} {unit}"
    return "now"

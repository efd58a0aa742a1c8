"""Rounds of several sides in one run, and the table of medians, ratios and spread.

Imports the standard library. Invariant: the sides take turns, each round begins with another one,
so that what else the machine does falls on all of them alike; a ratio is the median of the ratios
of single rounds.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Sample = Mapping[str, float]
Side = Callable[[], Sample]
SAMPLES = "BENCHMARK_SAMPLES"  # the file that takes them too, a line of JSON for each table


@dataclass
class Found:
    """The samples of each side, by round; ``skipped`` says why a side was not run."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def median(self, side: str, metric: str) -> float:
        return statistics.median(one[metric] for one in self.samples[side])


def take_turns(sides: Mapping[str, Side], rounds: int) -> Found:
    """Run every side once a round."""
    found = Found({name: [] for name in sides})
    names = list(sides)
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            found.samples[name].append(sides[name]())
    return found


def show(title: str, found: Found, against: str, aims: Mapping[str, str] | None = None) -> None:
    """Print one table for each metric that more than one side has, and the rest as plain lines.

    ``against`` is the side that ratios speak of; ``aims`` are the words of what is to be reached.
    """
    print(f"\n## {title}\n")
    rows = [("metric", "side", "median", "least", "most", f"x of {against}", "to reach")]
    metrics = {metric: None for ones in found.samples.values() for one in ones for metric in one}
    for metric in metrics:
        for side, ones in found.samples.items():
            values = [one[metric] for one in ones if metric in one]
            if values:
                ratio = _ratio(found, side, against, metric)
                aim = (aims or {}).get(metric, "") if side != against else ""
                low, high = _number(min(values)), _number(max(values))
                middle = _number(statistics.median(values))
                rows.append((metric, side, middle, low, high, ratio, aim))
    print(aligned(rows))
    for side, why in found.skipped.items():
        print(f"skipped: {side} ({why})")
    if SAMPLES in os.environ:
        with Path(os.environ[SAMPLES]).open("a") as out:
            out.write(json.dumps(found.samples) + "\n")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table that also reads well as text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head, *rest = (
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((head, rule, *rest))


def _ratio(found: Found, side: str, against: str, metric: str) -> str:
    if side == against:
        return ""
    pairs = zip(found.samples[side], found.samples.get(against, []), strict=False)
    ratios = [a[metric] / b[metric] for a, b in pairs if metric in a and b.get(metric)]
    return f"{statistics.median(ratios):.2f}" if ratios else ""


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:  # noqa: PLR2004  (a count)
        return str(int(value))
    return f"{value:.4g}"


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

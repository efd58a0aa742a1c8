"""Growth as a picture: ``benchmarks/<name>.png``, where matplotlib is installed.

Imports matplotlib when it is there. Invariant: a missing one is told, and nothing else stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


def draw(
    name: str, across: str, up: str, sizes: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> None:
    """One line a side over the sizes; a flat line of a cost a file is linear growth."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra of development)
    except ImportError:
        print("skipped: the plot (matplotlib is not installed)")
        return
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for side, values in lines.items():
        axes.plot(sizes, values, marker="o", label=side)
    axes.set(xscale="log", xlabel=across, ylabel=up)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    place = Path(__file__).with_name(f"{name}.png")
    figure.savefig(place, dpi=100)
    print(f"drawn: {place.name}")

"""What a unit is while it waits: since when, for how long, and what was seen of it.

Imports ``core``. Invariant: all times are monotonic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from watcher.core import assets
from watcher.core.bundles import Unit
from watcher.core.model import Facts
from watcher.core.settings import Folder, Rule
from watcher.core.settle import Candidate, same


@dataclass(slots=True)
class Waiting:
    """One unit that waits, ``since`` it was found or a part last came. Times are monotonic;
    ``gates`` remembers looks at its files, ``whole`` what it looked like at ``rested``. ``parked``:
    only a marker lacks, for however long."""

    folder: Folder
    unit: Unit
    facts: Facts | None  # of the main file, where the unit is called after it
    since: float
    at: float
    rested: float
    whole: Mapping[str, Facts] | None = None
    tried: float = 0.0
    parked: bool = False
    gates: dict[str, Candidate] = field(default_factory=dict)
    settled: dict[str, Facts] = field(default_factory=dict)
    came: set[str] = field(default_factory=set)
    findings: dict[str, tuple[Facts, assets.Findings]] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """The rule that takes the unit."""
        return self.unit.rule

    @property
    def grows(self) -> bool:
        """Whether the names alone do not tell when all of it is there."""
        return self.unit.kind != "file" or bool(self.rule.allow)

    def progress(self, now: float) -> None:
        """Begin the wait anew when a part has settled for the first time: the copy goes on. One
        that is written again and again brings nothing that lacks."""
        if not self.settled.keys() <= self.came:
            self.came |= self.settled.keys()
            self.since = now

    @property
    def deadline(self) -> float:
        """When it goes without what lacks; what still grows counts from its last change."""
        return (self.rested if self.grows else self.since) + self.rule.wait_for_parts


def unchanged(old: Waiting, new: Waiting) -> bool:
    """Whether news of a unit that waits already tells nothing new."""
    if old.facts is None or new.facts is None:
        return old.facts is new.facts
    return same(old.facts, new.facts)


def alike(one: Mapping[str, Facts], other: Mapping[str, Facts]) -> bool:
    """Whether two looks saw the same files, all unchanged."""
    return one.keys() == other.keys() and all(same(one[path], other[path]) for path in one)

"""Whose the final names are that outputs want: asked of the ledger once for many files.

Imports ``core``. Invariant: what is told of a file speaks of all of its outputs that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from watcher.core import delivery, outcomes, repeats
from watcher.core.effects import Clash, Copy, Fetch, Outcome, Passed, Result, Staged
from watcher.core.model import FileRecord, Output, Work
from watcher.core.ports import Ledger
from watcher.core.settings import Rule

Wanted = tuple[bool, dict[str, str]]  # whether names of their own are wanted; owner by target


class Claims:
    """See the module. Args: ``rule_of``: the rule that took a file, None when it is gone."""

    def __init__(self, ledger: Ledger, rule_of: Callable[[FileRecord], Rule | None]) -> None:
        self._ledger = ledger
        self._rule_of = rule_of
        self._foreseen: dict[int, Wanted] = {}

    def foresee(self, staged: Iterable[tuple[Work, Outcome]]) -> None:
        """Ask for everything that was just staged."""
        works: dict[int, Work] = {}
        for work, outcome in staged:
            if not outcomes.stale(work, outcome.effect):
                # all jobs of a file may be staged in one turn: the last one knows all names
                works[work.file.id] = with_outputs(works.get(work.file.id, work), outcome)
        self._foreseen = self._asked(list(works.values()))

    def foreseen(self, work: Work) -> Wanted:
        """What ``foresee`` has found for a file."""
        return self._foreseen.get(work.file.id, (False, {}))

    def now(self, work: Work) -> Wanted:
        """The same, asked for one file."""
        return self._asked([work]).get(work.file.id, (False, {}))

    def _asked(self, works: Sequence[Work]) -> dict[int, Wanted]:
        found: dict[int, tuple[Work, bool, list[str]]] = {}
        for work in works:
            rule = self._rule_of(work.file)
            if rule is not None:
                repeat = self._repeat(work, rule)
                own = rule.on_conflict == "own"
                targets = delivery.targets(work, rule, repeat=repeat) if own else []
                found[work.file.id] = work, repeat, targets
        owners = self._owners(found.values())
        return {
            file_id: (
                repeat,
                {t: owners[at] for t in targets if (at := (work.file.folder, t)) in owners},
            )
            for file_id, (work, repeat, targets) in found.items()
        }

    def _owners(self, wanted: Iterable[tuple[Work, bool, list[str]]]) -> dict[tuple[str, str], str]:
        by_folder: dict[str, list[str]] = {}
        for work, _, targets in wanted:
            by_folder.setdefault(work.file.folder, []).extend(targets)
        return {
            (folder, target): path
            for folder, targets in by_folder.items()
            if targets
            for target, path in self._ledger.owners(folder, targets).items()
        }

    def _repeat(self, work: Work, rule: Rule) -> bool:
        """Whether the outputs of a file get names of their own, since it came before."""
        if rule.on_repeat != "version":
            return False
        return repeats.repeated(rule, work.file, arrivals(self._ledger, work.file)) is not None


def arrivals(ledger: Ledger, file: FileRecord) -> list[FileRecord]:
    """Every arrival of a file's path that the ledger still knows, oldest first."""
    return [record for record, _ in ledger.history(file.folder, file.path)]


def with_outputs(work: Work, outcome: Outcome) -> Work:
    """The work as if its job were staged already."""
    effect, result = outcome.effect, outcome.result
    assert isinstance(result, Staged)  # noqa: S101  (callers pass nothing else)
    assert isinstance(effect, Copy | Fetch)  # noqa: S101  (nothing else stages)
    outputs = tuple(Output(one.name, one.size, one.digest) for one in result.outputs)
    jobs = tuple(j._replace(outputs=outputs) if j.id == effect.job.id else j for j in work.jobs)
    if not result.digest or result.digest == work.file.digest:
        return Work(work.file, jobs)
    return Work(work.file._replace(digest=result.digest), jobs)


def contested(result: Result | None) -> bool:
    """Whether a name turned out to be taken."""
    return isinstance(result, Clash) or (isinstance(result, Passed) and not result.named)

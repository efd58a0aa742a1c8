"""What lies there of an asset right now: its main file, its parts, its companions, what lacks.

Imports ``core`` only; sees the files as a port. Invariant: it looks and never waits, so that the
intake (which waits) and ``plan`` (which only tells) say the same.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from watcher.core import assets, bundles, companions, frames, magic, rules
from watcher.core.bundles import Unit
from watcher.core.model import Facts, Lease
from watcher.core.ports import Clock, Entry, Files
from watcher.core.rules import Seen
from watcher.core.settings import PASS, Folder, Rule
from watcher.errors import FileError, FileGone, OutsideRoot

Read = Callable[[str], assets.Findings]


@dataclass(frozen=True, slots=True)
class Collected:
    """An asset as it lies there. ``parts`` maps the names that the job sees to paths; companions
    are paths. ``missing`` are names (or patterns) without a file, ``awaited`` the markers that
    must come first. ``stirred``: when (wall time) a file in it that is never taken last changed,
    such as one that a copy writes under another name."""

    main: str
    parts: dict[str, str] = field(default_factory=dict)
    companions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cut: bool = False
    sidecar: str = ""
    stirred: float = 0.0

    def paths(self) -> tuple[str, ...]:
        """Every file of it beside the main one."""
        return (*self.parts.values(), *self.companions)


class Collector:
    """See the module."""

    def __init__(self, files: Files, clock: Clock) -> None:
        self._files = files
        self._clock = clock

    def seen(self, folder: Folder, path: str, facts: Facts) -> Seen:
        """What conditions may ask of a file; its first bytes only where one does."""
        head = None
        if rules.needs_head(folder) and facts.lease is not Lease.UNREADABLE:
            with self._files.open(folder.input, path) as stream:
                head = stream.read(magic.HEAD)
        return Seen(facts.size, max(0.0, self._clock.now() - facts.mtime_ns / 1e9), head)

    def collect(self, folder: Folder, unit: Unit, read: Read | None = None) -> Collected | None:
        """What lies there of a unit; None when nothing does, or the rule does not take it."""
        found = _GATHER[unit.kind](self, folder, unit, read or self.reader(folder))
        return self._accompanied(folder, unit.rule, found) if found is not None else None

    def reader(self, folder: Folder) -> Read:
        """Reads the references of a file."""

        def read(path: str) -> assets.Findings:
            if not assets.has_references(path):
                return assets.Findings()
            try:
                with self._files.open(folder.input, path) as stream:
                    return assets.references(path, stream)
            except FileGone:
                return assets.Findings()

        return read

    # ------------------------------------------------------------ kinds of units
    def _file(self, folder: Folder, unit: Unit, read: Read) -> Collected:
        """One file and what it refers to."""
        if all(job.process == PASS for job in unit.rule.jobs):
            return Collected(unit.anchor)
        closed = assets.closure(unit.anchor, read, self._finder(folder))
        return Collected(
            unit.anchor,
            closed.found,
            missing=closed.missing,
            warnings=closed.warnings,
            cut=closed.cut,
        )

    def _pattern(self, folder: Folder, unit: Unit, read: Read) -> Collected:
        """A main file, what it refers to, and what matches ``with`` beside and below it."""
        one = self._file(folder, unit, read)
        bundle = unit.rule.bundle
        members = bundle.members if bundle is not None else ()
        paths = [
            path
            for path, _ in self._below(folder, posixpath.dirname(unit.anchor))
            if path != unit.anchor and bundles.is_member(unit.rule, path)
        ]
        parts = {bundles.within(unit.rule, unit.anchor, path): path for path in paths}
        fits = bundles.matches
        lacking = tuple(p for p in members if not any(fits(p, path) for path in paths))
        return Collected(
            unit.anchor,
            parts | one.parts,
            missing=(*one.missing, *lacking),
            warnings=one.warnings,
            cut=one.cut,
        )

    def _folder(self, folder: Folder, unit: Unit, read: Read) -> Collected | None:
        """All that no rule before this one takes of a folder at the top."""
        junk: list[Entry] = []
        there = dict(self._below(folder, unit.anchor, junk))
        speaking = {path for path in there if companions.of(folder, path)}
        files = {
            path: self.seen(folder, path, entry.facts)
            for path, entry in there.items()
            if path not in speaking
        }
        shares = bundles.shares(folder, files)
        paths = [path for path, rule in shares.items() if rule is unit.rule]
        if not paths:
            return None
        # a sidecar of a file in it goes along, but for one that another rule takes by itself
        targets = {path: companions.sidecar_of(folder, path) for path in speaking}
        along = [p for p, of in targets.items() if of and shares.get(of, unit.rule) is unit.rule]
        main = bundles.main_of(unit.rule, paths)
        lacking = bundles.lacks_main(unit.rule, paths)
        closed = assets.closure(main, read, self._finder(folder))
        return Collected(
            main,
            {
                bundles.within(unit.rule, main, path): path
                for path in sorted((*paths, *along))
                if path != main
            },
            missing=(*((lacking,) if lacking else ()), *closed.missing),
            warnings=closed.warnings,
            cut=closed.cut,
            stirred=max((entry.mtime_ns / 1e9 for entry in junk), default=0.0),
        )

    def _sequence(self, folder: Folder, unit: Unit, _read: Read) -> Collected | None:
        """All frames that lie there; the first is the main file."""
        found: dict[int, str] = {}
        for path, entry in self._beside(folder, posixpath.dirname(unit.anchor)):
            number = frames.number(path)
            if number is None or frames.anchor(path) != unit.anchor:
                continue
            taker = bundles.unit(folder, path, self.seen(folder, path, entry.facts))
            if isinstance(taker, Unit) and taker.rule is unit.rule and number not in found:
                found[number] = path
        if not found:
            return None
        main, bundle = found[min(found)], unit.rule.bundle
        least, most = (bundle.first, bundle.last) if bundle is not None else (None, None)
        paths = [found[number] for number in sorted(found)][1:]
        parts = {bundles.within(unit.rule, main, path): path for path in paths}
        return Collected(main, parts, missing=frames.gaps(found, least, most))

    # ------------------------------------------------------------ what lies where
    def main_above(self, folder: Folder, rule: Rule, path: str) -> str:
        """A main file of a rule that a member belongs to, beside or above it; empty for none."""
        directory = posixpath.dirname(path)
        while True:
            for other, entry in self._beside(folder, directory):
                seen = self.seen(folder, other, entry.facts)
                if other != path and bundles.refused(rule, other, seen) is None:
                    return other
            if not directory:
                return ""
            directory = posixpath.dirname(directory)

    def sharing(self, folder: Folder, top: str) -> dict[str, Rule | rules.NoRule]:
        """Who takes each file of a folder at the top."""
        found = self._below(folder, top)
        return bundles.shares(
            folder,
            {
                path: self.seen(folder, path, entry.facts)
                for path, entry in found
                if not companions.of(folder, path)
            },
        )

    def _accompanied(self, folder: Folder, rule: Rule, found: Collected) -> Collected:
        """With its marker and sidecar, which are then no parts."""
        marks = companions.markers(rule, found.main)
        there = [path for path in marks if self._there(folder, path)]
        side = next(
            (p for p in companions.sidecars(rule, found.main) if self._there(folder, p)), ""
        )
        own = {*there, *([side] if side else [])}
        return Collected(
            found.main,
            {name: path for name, path in found.parts.items() if path not in own},
            tuple(sorted(own)),
            found.missing,
            () if there else marks[:1],
            found.warnings,
            found.cut,
            side,
            found.stirred,
        )

    def _there(self, folder: Folder, path: str) -> bool:
        try:
            return self._files.look(folder.input, path) is not None
        except FileError:
            return False

    def _below(
        self, folder: Folder, directory: str, junk: list[Entry] | None = None
    ) -> Iterator[tuple[str, Entry]]:
        """Every file below a directory that may be looked at; the others go to ``junk``."""
        return self._files_of(folder, directory, junk, recursive=folder.recursive)

    def _beside(self, folder: Folder, directory: str) -> Iterator[tuple[str, Entry]]:
        return self._files_of(folder, directory, recursive=False)

    def _files_of(
        self,
        folder: Folder,
        directory: str,
        junk: list[Entry] | None = None,
        *,
        recursive: bool,
    ) -> Iterator[tuple[str, Entry]]:
        def skip(path: str) -> bool:
            return rules.ignored(folder, path) is not None

        try:
            for listing in self._files.walk(
                folder.input, directory, recursive=recursive, skip=skip
            ):
                for entry in listing.files:
                    path = posixpath.join(listing.directory, entry.name)
                    if not skip(path):
                        yield path, entry
                    elif junk is not None:
                        junk.append(entry)
        except FileGone:
            return

    def _finder(self, folder: Folder) -> Callable[[str, str], str | None]:
        def find(directory: str, name: str) -> str | None:
            try:
                return self._files.find(folder.input, directory, name)
            except OutsideRoot:
                return None

        return find


_GATHER: dict[str, Callable[[Collector, Folder, Unit, Read], Collected | None]] = {
    "file": Collector._file,  # noqa: SLF001  (its own table)
    "pattern": Collector._pattern,  # noqa: SLF001  (likewise)
    "folder": Collector._folder,  # noqa: SLF001  (likewise)
    "sequence": Collector._sequence,  # noqa: SLF001  (likewise)
}

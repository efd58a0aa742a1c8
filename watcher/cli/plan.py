"""``watcher plan``: what would become of each file, and why.

Imports click, ``core``, ``config``, the files and the ledger. Invariant: nothing is moved, written
or recorded; the words are those of the rules that the daemon itself asks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from watcher.adapters.clock import SystemClock
from watcher.adapters.files import LocalFiles
from watcher.cli.options import config_option, json_option, ledger_of, loaded, place_of
from watcher.cli.output import table
from watcher.core import bundles, companions, repeats, rules, windows
from watcher.core.bundles import Unit
from watcher.core.model import Facts, FileRecord, FileState, Fingerprint, Part, printable
from watcher.core.params import effective, names
from watcher.core.ports import Files, Ledger
from watcher.core.rules import NoRule, Seen
from watcher.core.settings import PASS, Folder, JobSpec, Rule, Settings
from watcher.core.templates import default_template, expand
from watcher.daemon import sidecars
from watcher.daemon.collect import Collected, Collector
from watcher.errors import FileError, WatcherError

Row = dict[str, Any]


@click.command()
@config_option
@json_option
@click.option("--file", "name", help="Answer for this path below an input, existing or not.")
def plan(config: Path | None, as_json: bool, name: str | None) -> None:  # noqa: FBT001
    """Say which files go to which rule, with which parameters, and why others do not.

    Touches nothing.
    """
    settings = loaded(config).settings
    rows = list(imagined(*place_of(settings, name)) if name else _found(settings))
    if as_json:
        click.echo(json.dumps(rows))
        return
    shown = [(row["folder"], row["file"], row["rule"] or "-", _words(row)) for row in rows]
    table(("folder", "file", "rule", "what happens"), shown, empty="no files")


def _words(row: Row) -> str:
    if not row["rule"] or row["part_of"]:
        return str(row["why"])
    jobs = "; ".join(f"{job['label']} -> {job['deliver']}" for job in row["jobs"])
    notes = [*([row["known"]] if row["known"] else []), *map(printable, row["notes"])]
    return jobs + (f" ({'; '.join(notes)})" if notes else "")


def imagined(folder: Folder, path: str) -> Iterator[Row]:
    """The answer for one path, whether it is there or not."""
    planning = Planning(folder, LocalFiles())
    try:
        facts = LocalFiles().look(folder.input, path)
    except FileError:
        facts = None
    yield planning.row(path, facts, None)


def _found(settings: Settings) -> Iterator[Row]:
    ledger = ledger_of(settings)
    try:
        for folder in settings.folders:
            yield from _found_in(folder, ledger)
    finally:
        if ledger is not None:
            ledger.close()


def _found_in(folder: Folder, ledger: Ledger | None) -> Iterator[Row]:
    files = LocalFiles()
    try:
        files.identity(folder.input)
    except FileError as error:
        yield _row(folder, "", why=str(error))
        return
    planning, rows = Planning(folder, files), []
    for listing in files.walk(folder.input, recursive=folder.recursive):
        prefix = f"{listing.directory}/" if listing.directory else ""
        if listing.error:
            rows.append(_row(folder, listing.directory, why=listing.error))
        paths = [prefix + entry.name for entry in listing.files]
        live = ledger.live(folder.name, paths) if ledger is not None and paths else {}
        for entry in listing.files:
            path = prefix + entry.name
            row = planning.row(path, entry.facts, live.get(path))
            if row["rule"] and not row["part_of"] and path not in live and ledger is not None:
                row["notes"] += _came_before(folder, ledger, path, entry.facts, row["rule"])
            rows.append(row)
        odd = "not a regular file: never touched"
        rows += [_row(folder, prefix + name, why=odd) for name in listing.odd]
    yield from (planning.placed(row) for row in rows)


def _came_before(folder: Folder, ledger: Ledger, path: str, facts: Facts, name: str) -> list[str]:
    """What a file of a length that its rule delivered before may be; its content is not read."""
    rule = next(rule for rule in folder.rules if rule.name == name)
    before = [record for record, _ in ledger.history(folder.name, path)]
    if rule.on_repeat == "again" or not before:
        return []
    stand_in = _stand_in(folder, rule, path, None)
    file = stand_in._replace(print=facts.fingerprint, arrival=before[-1].arrival + 1)
    if not repeats.candidates(rule, file, before):
        return []
    told = {"skip": "it is not converted again", "version": "its outputs get names of their own"}
    return [f"delivered before: if its content is unchanged, {told[rule.on_repeat]}"]


def _row(folder: Folder, path: str, *, why: str = "") -> Row:
    return {
        "folder": folder.name,
        "file": printable(path),
        "rule": None,
        "why": why,
        "not": {},
        "part_of": "",
        "known": "",
        "notes": [],
        "parts": [],
        "awaits": [],
        "jobs": [],
    }


class Planning:
    """Answers for the files of one folder; each unit of many files is looked through once."""

    def __init__(self, folder: Folder, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._collector = Collector(files, SystemClock())
        self._units: dict[tuple[str, str], Collected | None] = {}
        self._part_of: dict[str, str] = {}

    def row(self, path: str, facts: Facts | None, known: FileRecord | None) -> Row:
        """What becomes of one path; ``facts`` None when it is not there."""
        folder, row = self._folder, _row(self._folder, path)
        try:
            size = 1 << 20 if facts is None else facts.size
            seen = self._collector.seen(folder, path, facts) if facts else Seen(size)
        except FileError as error:
            row["why"] = str(error)
            return row
        taker = bundles.taker(folder, path, seen)
        left_alone = rules.ignored(folder, path) or companions.of(folder, path)
        if left_alone or isinstance(taker, NoRule):
            row["why"] = left_alone or str(taker)
            return row
        assert isinstance(taker, Unit)  # noqa: S101  (what is not refused is taken)
        return self._taken(row, path, taker, seen, known if known or not facts else None)

    def _taken(self, row: Row, path: str, unit: Unit, seen: Seen, known: FileRecord | None) -> Row:
        folder = self._folder
        found = self._collected(unit) if not unit.lone else None
        if unit.kind == "folder" and found is None and unit.anchor:
            share = self._collector.sharing(folder, unit.anchor).get(path)
            share = share or bundles.unit_rule(folder, path, seen)
            if not isinstance(share, Rule):
                row["why"] = str(share)
                return row
            unit = Unit(share, bundles.anchor(share, path), lone=bundles.lone(share, path))
            found = None if unit.lone else self._collected(unit)
        rule = unit.rule
        row["rule"] = rule.name
        before = folder.rules[: folder.rules.index(rule)]
        row["not"] = {one.name: bundles.refused(one, path, seen) or "" for one in before}
        if unit.lone or (found is not None and found.main != path and path in found.paths()):
            main = self._collector.main_above(folder, rule, path) if unit.lone else found.main  # type: ignore[union-attr]  # not lone: found
            return _part(row, main, rule)
        row["known"] = f"{known.state} already, nothing to do" if known is not None else ""
        if rule.when is not None and (closed := windows.told(rule.when, time.time())):
            row["notes"].append(closed)
        file = known or _stand_in(folder, rule, path, found)
        if found is not None and found.sidecar and known is None:
            given, fault = sidecars.read(self._files, folder, rule, found.sidecar)
            file = file._replace(params=given)
            row["notes"] += [f"fails: {fault}"] if fault else [f"with {found.sidecar}"]
        if found is not None:
            self._assembled(row, path, found)
        row["jobs"] = [_job(folder, rule, spec, file) for spec in rule.jobs]
        return row

    def _collected(self, unit: Unit) -> Collected | None:
        key = (unit.rule.name, unit.anchor)
        if key not in self._units:
            try:
                self._units[key] = self._collector.collect(self._folder, unit)
            except FileError:
                self._units[key] = None
        return self._units[key]

    def _assembled(self, row: Row, path: str, found: Collected) -> None:
        """Which parts are there and which are awaited."""
        row["parts"] = [printable(one) for one in found.paths()]
        row["awaits"] = [printable(one) for one in (*found.missing, *found.awaited)]
        if found.parts:
            row["notes"].append(f"with {', '.join(_some(list(found.parts)))}")
        if found.missing:
            row["notes"].append(f"lacks {', '.join(_some(list(found.missing)))}")
        if found.awaited:
            row["notes"].append(f"waits for {found.awaited[0]}")
        row["notes"] += found.warnings
        self._part_of |= dict.fromkeys(found.paths(), path)

    def placed(self, row: Row) -> Row:
        """A row that no rule takes and an asset needs says so."""
        main = self._part_of.get(row["file"], "")
        if main and not row["part_of"] and not row["rule"]:
            row["part_of"] = printable(main)
            if row["why"].startswith("matches no rule"):
                row["why"] = f"goes with {printable(main)}"
        return row


_SHOWN = 5


def _some(names: list[str]) -> list[str]:
    return [*names[:_SHOWN], *([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]


def _part(row: Row, main: str, rule: Rule) -> Row:
    """A row of a file that goes with another."""
    row["part_of"] = printable(main)
    wanted = " or ".join(rule.bundle.main) if rule.bundle is not None else ""
    row["why"] = f"goes with {printable(main)}" if main else f"waits for its main file {wanted}"
    row["part_of"] = row["part_of"] or wanted
    return row


def _stand_in(folder: Folder, rule: Rule, path: str, found: Collected | None) -> FileRecord:
    """The record as it would be, for templates."""
    nothing = Fingerprint(0, 0)
    parts = found.parts.items() if found is not None else ()
    return FileRecord(
        id=0,
        folder=folder.name,
        path=path,
        arrival=1,
        state=FileState.SETTLING,
        rule=rule.name,
        print=nothing,
        parts=tuple(Part(one, name, nothing) for name, one in parts),
        accepted_at=time.time(),
        digest="*",
    )


def _job(folder: Folder, rule: Rule, spec: JobSpec, file: FileRecord) -> Row:
    params = effective(rule, spec, file)
    return {
        "label": spec.label,
        "process": spec.runs,
        "params": params,
        "scheduler": spec.scheduler,
        "after": rule.jobs[spec.after].label if spec.after is not None else "",
        "deliver": _example(folder, rule, spec, params, file),
    }


def _example(
    folder: Folder, rule: Rule, spec: JobSpec, params: dict[str, Any], file: FileRecord
) -> str:
    """Where an output goes, as far as it can be known before the job ran."""
    passed, name = spec.process == PASS, Path(file.path).name
    if passed and rule.bundle is not None:
        name = bundles.within(rule, file.path, file.path)
    extension = Path(name).suffix[1:] if passed else str(params.get("extension", "*"))
    single = len(rule.jobs) == 1 and not (passed and rule.bundle is not None)
    template = rule.deliver or default_template(single=single)
    usual = "output" if spec.process == "convert_file" else "*"
    output = name if passed else f"{params.get('filename', usual)}.{extension}"
    several = spec.label in ("generate_thumbnails", "generate_metadata") or extension == "*"
    if several and not rule.deliver:
        template, output = default_template(single=False), "*"
    try:
        made = expand(template, names(rule, file, spec.label, output))
    except WatcherError as error:
        return f"fails: {error}"
    return printable(str(folder.output / made))

"""``watcher plan``: what would become of each file, and why.

Imports click, ``core``, ``config``, the files and the ledger. Invariant: nothing is moved, written
or recorded; the words are those of the rules that the daemon itself asks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from watcher.adapters.files import LocalFiles
from watcher.cli.options import config_option, json_option, ledger_of, loaded, place_of
from watcher.cli.output import table
from watcher.core import magic, repeats, rules, windows
from watcher.core.model import Facts, FileRecord, FileState, Fingerprint, printable
from watcher.core.params import effective, names
from watcher.core.ports import Ledger
from watcher.core.rules import NoRule, Seen
from watcher.core.settings import PASS, Folder, JobSpec, Rule, Settings
from watcher.core.templates import default_template, expand
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
    if not row["rule"]:
        return str(row["why"])
    jobs = "; ".join(f"{job['label']} -> {job['deliver']}" for job in row["jobs"])
    notes = [*([row["known"]] if row["known"] else []), *map(printable, row["notes"])]
    return jobs + (f" ({'; '.join(notes)})" if notes else "")


def imagined(folder: Folder, path: str) -> Iterator[Row]:
    """The answer for one path, whether it is there or not."""
    try:
        facts = LocalFiles().look(folder.input, path)
    except FileError:
        facts = None
    known = facts or Facts(1 << 20, 0, 0, 0, 0)
    yield _planned(folder, path, known, None, there=facts is not None)


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
    for listing in files.walk(folder.input, recursive=folder.recursive):
        prefix = f"{listing.directory}/" if listing.directory else ""
        if listing.error:
            yield _row(folder, listing.directory, why=listing.error)
        paths = [prefix + entry.name for entry in listing.files]
        live = ledger.live(folder.name, paths) if ledger is not None and paths else {}
        for entry in listing.files:
            path = prefix + entry.name
            row = _planned(folder, path, entry.facts, live.get(path))
            if row["rule"] and path not in live and ledger is not None:
                row["notes"] += _came_before(folder, ledger, path, entry.facts, row["rule"])
            yield row
        for name in listing.odd:
            yield _row(folder, prefix + name, why="not a regular file: never touched")


def _came_before(folder: Folder, ledger: Ledger, path: str, facts: Facts, name: str) -> list[str]:
    """What a file of a length that its rule delivered before may be; its content is not read."""
    rule = next(rule for rule in folder.rules if rule.name == name)
    before = [record for record, _ in ledger.history(folder.name, path)]
    if rule.on_repeat == "again" or not before:
        return []
    file = replace(
        _stand_in(folder, rule, path, facts.fingerprint, None), arrival=before[-1].arrival + 1
    )
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
        "known": "",
        "notes": [],
        "jobs": [],
    }


def _seen(folder: Folder, path: str, facts: Facts, *, there: bool) -> Seen:
    """What conditions may ask; of a file that is not there its name alone is known."""
    if not there:
        return Seen(facts.size)
    head = None
    if rules.needs_head(folder):
        try:
            with LocalFiles().open(folder.input, path) as stream:
                head = stream.read(magic.HEAD)
        except FileError:
            head = None
    return Seen(facts.size, max(0.0, time.time() - facts.mtime_ns / 1e9), head)


def _planned(
    folder: Folder, path: str, facts: Facts, known: FileRecord | None, *, there: bool = True
) -> Row:
    row = _row(folder, path)
    junk = rules.ignored(folder, path)
    seen = _seen(folder, path, facts, there=there)
    rule = rules.choose(folder, path, seen)
    if junk or isinstance(rule, NoRule):
        row["why"] = junk or str(rule)
        return row
    assert isinstance(rule, Rule)  # noqa: S101  (what is not refused is taken)
    row["rule"] = rule.name
    before = folder.rules[: folder.rules.index(rule)]
    row["not"] = {one.name: rules.refusal(one.match, path, seen) for one in before}
    row["known"] = f"{known.state} already, nothing to do" if known is not None else ""
    if rule.when is not None and (closed := windows.told(rule.when, time.time())):
        row["notes"].append(closed)
    file = _stand_in(folder, rule, path, facts.fingerprint, known)
    row["jobs"] = [_job(folder, rule, spec, file) for spec in rule.jobs]
    return row


def _stand_in(
    folder: Folder, rule: Rule, path: str, fingerprint: Fingerprint, known: FileRecord | None
) -> FileRecord:
    """The record as it would be, for templates."""
    return known or FileRecord(
        id=0,
        folder=folder.name,
        path=path,
        arrival=1,
        state=FileState.SETTLING,
        rule=rule.name,
        print=fingerprint,
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
        "deliver": _example(folder, rule, spec, params, file),
    }


def _example(
    folder: Folder, rule: Rule, spec: JobSpec, params: dict[str, Any], file: FileRecord
) -> str:
    """Where an output goes, as far as it can be known before the job ran."""
    passed, name = spec.process == PASS, Path(file.path).name
    extension = Path(name).suffix[1:] if passed else str(params.get("extension", "*"))
    template = rule.deliver or default_template(single=len(rule.jobs) == 1)
    output = name if passed else f"{params.get('filename', 'output')}.{extension}"
    several = spec.label in ("generate_thumbnails", "generate_metadata") or extension == "*"
    if several and not rule.deliver:
        template, output = default_template(single=False), "*"
    try:
        made = expand(template, names(rule, file, spec.label, output))
    except WatcherError as error:
        return f"fails: {error}"
    return printable(str(folder.output / made))

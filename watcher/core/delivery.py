"""Where outputs go and what is written beside them: final names, receipts, error texts.

Imports ``model``, ``effects``, ``settings``, ``templates``. Invariant: two outputs of one file
never come to one path, and no planned path leaves the output folder.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from watcher.core.effects import Place
from watcher.core.model import JobRecord, Output, Work, printable
from watcher.core.params import effective, names
from watcher.core.settings import PASS, Folder, JobSpec, Rule, stands_alone
from watcher.core.templates import default_template, expand, numbered, suffixed
from watcher.errors import WatcherError


@dataclass(frozen=True, slots=True)
class Planned:
    """Final names for all outputs of a file. ``outputs`` is per job, in order."""

    outputs: tuple[tuple[Output, ...], ...]
    places: tuple[Place, ...]
    receipts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Clashing:
    """The names cannot be used; the file fails before anything is published."""

    reason: str


def plan(
    work: Work, rule: Rule, owned: dict[str, str], *, repeat: bool = False
) -> Planned | Clashing:
    """Expand the rule's template for every output that has no final name yet.

    ``owned`` tells which source path owns a target; only our own are replaced, unless the rule
    says ``on_conflict: replace``. Two processes may make the same bytes under one name (both
    thumbnails and metadata write ``metadata.json``): they are published once.
    ``repeat``: an unchanged content of a rule that says ``on_repeat: version``, whose outputs get
    names with the arrival's number.
    """
    try:
        outputs = tuple(_named(work, job, rule, repeat=repeat) for job in work.jobs)
    except WatcherError as error:
        return Clashing(str(error))
    first: dict[str, tuple[JobRecord, Output]] = {}
    for job, ones in zip(work.jobs, outputs, strict=True):
        for one in ones:
            known = first.setdefault(one.target, (job, one))
            if one.target and not _shared(rule, known, (job, one)):
                return Clashing(_collision(rule, one.target, _label(*known), _label(job, one)))
    places = tuple(
        Place(
            job.id,
            one.name,
            one.target,
            one.size,
            one.digest,
            _may_replace(work, rule, one, owned),
            stands_alone(rule, job.index),
        )
        for job, ones in zip(work.jobs, outputs, strict=True)
        for one in ones
        if one.target and first[one.target][1] is one
    )
    receipts = receipts_of(work, rule, outputs) if rule.receipt else ()
    for target, _ in receipts:
        if target in first:
            return Clashing(_collision(rule, target, _label(*first[target]), "its receipt"))
    return Planned(outputs, places, receipts)


def _may_replace(work: Work, rule: Rule, one: Output, owned: dict[str, str]) -> bool:
    if rule.on_conflict == "replace":
        return True
    return rule.on_conflict == "own" and owned.get(one.target) == work.file.path


def _shared(rule: Rule, one: tuple[JobRecord, Output], other: tuple[JobRecord, Output]) -> bool:
    """Whether two outputs are one and the same for those who named the jobs."""
    if one[1] is other[1]:
        return True
    ran = {rule.jobs[job.index].process for job, _ in (one, other)} - {""}
    alike = {(output.name, output.size, output.digest) for _, output in (one, other)}
    return len(ran) > 1 and len(alike) == 1


def _label(job: JobRecord, output: Output) -> str:
    return f"{job.label}/{output.name}"


def _collision(rule: Rule, target: str, first: str, second: str) -> str:
    template = rule.deliver or default_template(single=False)
    return (
        f"two outputs come to one path {printable(target)!r}: {first} and {second}; "
        f"tell them apart in deliver: {template!r}, with {{job}} or {{output}}"
    )


def targets(work: Work, rule: Rule, *, repeat: bool = False) -> list[str]:
    """The final names as far as they can be known, for asking who owns them."""
    try:
        return [one.target for job in work.jobs for one in _named(work, job, rule, repeat=repeat)]
    except WatcherError:
        return []


def _named(work: Work, job: JobRecord, rule: Rule, *, repeat: bool) -> tuple[Output, ...]:
    passed = rule.bundle is not None and rule.jobs[job.index].process == PASS
    kept = [spec for spec in rule.jobs if spec.keep]
    single = len(kept) == 1 and len(job.outputs) == 1 and not passed
    if not rule.jobs[job.index].keep:
        return tuple(replace(one, published=True) for one in job.outputs)
    template = rule.deliver or default_template(single=single)
    number = repeat and "{version" not in template  # which tells the arrivals apart by itself
    named = []
    for one in job.outputs:
        if one.target or one.published:
            named.append(one)
            continue
        target = expand(template, names(rule, work.file, job.label, one.name))
        versioned = numbered(target, work.file.arrival) if number else target
        named.append(Output(one.name, one.size, one.digest, versioned, one.published))
    return tuple(named)


def receipts_of(
    work: Work, rule: Rule, outputs: tuple[tuple[Output, ...], ...]
) -> tuple[tuple[str, str], ...]:
    """One JSON text beside each output: where it comes from and how it was made.

    A job that made no output has one too, which takes the name of the source.
    """
    rows = []
    for job, spec, ones in zip(work.jobs, rule.jobs, outputs, strict=True):
        made = _made(work, rule, spec, job)
        for one in ones:
            if one.target:
                about = {"output": one.target, "size": one.size, "xxh3_128": one.digest}
                rows.append((suffixed(one.target, ".json"), _receipt(about, made)))
        if not ones and spec.keep:
            template = "{parent}/{name}" if len(rule.jobs) == 1 else "{parent}/{name}/{job}"
            target = expand(template, names(rule, work.file, job.label))
            rows.append((suffixed(target, ".json"), _receipt({"output": None}, made)))
    return tuple(rows)


def _receipt(about: dict[str, Any], made: dict[str, Any]) -> str:
    return json.dumps(about | made, indent=2) + "\n"


def _made(work: Work, rule: Rule, spec: JobSpec, job: JobRecord) -> dict[str, Any]:
    """How the outputs of a job were made."""
    file = work.file
    return {
        "source": {
            "folder": file.folder,
            "path": file.path,
            "size": file.print.size,
            "xxh3_128": file.digest,
            "parts": [part.path for part in file.parts],
            "arrival": file.arrival,
            "accepted": stamp(file.accepted_at),
        },
        "rule": rule.name,
        "process": spec.runs,
        "params": effective(rule, spec, file),
        "job": {
            "label": job.label,
            "scheduler": job.scheduler,
            "id": job.remote,
            "attempts": job.attempt + 1,
            "submitted": stamp(job.submitted_at),
            "staged": stamp(job.changed_at),
        },
        "warnings": [*file.warnings, *job.warnings],
    }


def stamp(at: float) -> str:
    """A wall time for people and machines: ISO 8601 in UTC, to the second; empty for never."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def error_text(work: Work, folder: Folder, config: str, now: float) -> str:
    """The ``<name>.error.txt`` beside a failed file: what, why, which job, what to do."""
    file = work.file
    path = folder.input / file.path
    lines = [
        f"{printable(file.path)} was not converted.",
        "",
        f"Why:     {printable(file.reason)}",
        f"Folder:  {file.folder}",
        f"Rule:    {file.rule}",
        f"Arrived: {stamp(file.accepted_at)}",
        f"Failed:  {stamp(now)}",
    ]
    for job in work.jobs:
        told = f", job {job.remote}" if job.remote else ""
        attempts = f", attempt {max(job.attempt, 1)}"
        lines.append(f"Job:     {job.label}{told}{attempts}: {printable(job.error) or job.state}")
    lines += [f"Warning: {printable(text)}" for text in file.warnings]
    if file.parts:
        lines.append("Parts:   " + ", ".join(printable(part.path) for part in file.parts))
    lines += [
        "",
        "What to do: mend the file (or what the reason names) and drop it again; moving this one",
        "back into the input folder tries it again as it is. So does the command",
        "",
        f"    watcher retry -c {quoted(config)} {quoted(str(path))}",
        "",
    ]
    return "\n".join(lines)


def quoted(text: str) -> str:
    """A word for a POSIX shell; unprintable characters in the ``$'...'`` form."""
    if text.isprintable():
        return shlex.quote(text)
    raw = text.encode("utf-8", "surrogateescape")
    plain = (chr(b) if bytes((b,)).isalnum() or b in b"/._- " else f"\\x{b:02x}" for b in raw)
    return "$'" + "".join(plain) + "'"

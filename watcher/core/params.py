"""The parameters that a job is sent: the rule's, with templates filled in.

Imports ``bundles``, ``fields``, ``frames``, ``model``, ``rules``, ``settings`` and ``templates``.
Invariant: a pure function of the rule and the file's record, so that a repeated sending says the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from watcher.core import bundles, fields, frames
from watcher.core.model import FileRecord
from watcher.core.rules import groups
from watcher.core.settings import JobSpec, Rule
from watcher.core.templates import Names, source_fields

UNKNOWN_YET = frozenset({"hash"})  # the content is read while it is sent


def names(rule: Rule, file: FileRecord, job: str, output: str = "") -> Names:
    """What templates can say of a file, and of one output where there is one."""
    return Names(
        path=bundles.title(rule, file.path),
        folder=bundles.kind(rule) == "folder",
        output=output,
        rule=rule.name,
        job=job,
        digest=file.digest,
        at=file.accepted_at,
        version=file.arrival,
        groups=_found(rule, file),
    )


def _found(rule: Rule, file: FileRecord) -> dict[str, str]:
    """The fields that a rule's own pattern gives: named groups, and those of a sequence."""
    found = groups(rule.match, file.path)
    if bundles.kind(rule) == "sequence":
        found |= frames.fields([file.path, *(part.path for part in file.parts if part.name)])
    return found


# fields of a command beyond those of params: known where it runs, and the configuration's folder
OF_COMMANDS = frozenset({"input", "input_dir", "outputs", "here"})


def spoken(rule: Rule, spec: JobSpec, file: FileRecord) -> dict[str, str]:
    """The fields that a command may use, with their values: the file's, and the job's params."""
    plain = effective(rule, spec, file).items()
    own = {key: str(value) for key, value in plain if isinstance(value, str | int | float)}
    return own | _of_source(rule, spec, file)


def _of_source(rule: Rule, spec: JobSpec, file: FileRecord) -> dict[str, str]:
    told = source_fields(names(rule, file, spec.label))
    return {name: text for name, text in told.items() if name not in UNKNOWN_YET}


def effective(rule: Rule, spec: JobSpec, file: FileRecord) -> dict[str, Any]:
    """A job's parameters with every template filled in, and the sidecar's over them."""
    values = _of_source(rule, spec, file)
    numbers = _found(rule, file)
    filled = _filled(dict(spec.params), values, numbers, file.accepted_at)
    assert isinstance(filled, dict)  # noqa: S101  (what goes in a mapping comes out as one)
    return filled | {key: one for key, one in file.params.items() if _meant(rule, spec, key)}


def _meant(rule: Rule, spec: JobSpec, key: str) -> bool:
    """Whether a sidecar's parameter is for a job: for those that have it, else for all."""
    return key in spec.params or not any(key in other.params for other in rule.jobs)


def _filled(value: Any, values: Mapping[str, str], numbers: Mapping[str, str], at: float) -> Any:
    if isinstance(value, str):
        alone = fields.alone(value)
        if alone in numbers:
            return number(numbers[alone])
        return fields.fill(value, values, at)
    if isinstance(value, dict):
        return {key: _filled(one, values, numbers, at) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, values, numbers, at) for one in value]
    return value


def number(text: str) -> str | int | float:
    """What a named group found, as the number that it spells (``512``, not ``0512``)."""
    if text.isdecimal() and text.isascii() and (text == "0" or not text.startswith("0")):
        return int(text)
    whole, dot, rest = text.partition(".")
    if dot and rest.isdecimal() and isinstance(number(whole), int) and text.isascii():
        return float(text)
    return text


def problems(value: Any, known: frozenset[str]) -> Iterator[str]:
    """What is wrong with the templates in params, in words. Braces around anything that is no
    field stand for themselves."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from problems(one, known)
    elif isinstance(value, str):
        for name in fields.named(value):
            if name in UNKNOWN_YET:
                yield f"{{{name}}} is not known before the file is sent"
            elif (near := fields.near(name, known)) and name not in known:
                hint = f"did you mean {{{near}}}? (double the braces to keep it)"
                yield f"unknown field {{{name}}}; {hint}"

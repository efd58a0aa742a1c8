"""The conditions and templates of rules: readable, possible, and speaking of known fields.

Imports the table, ``checks``, ``jobs``, ``zones`` and the parts of ``core`` that will use them.
Invariant: as of ``checks``.
"""

from __future__ import annotations

import re

from watcher.config import zones
from watcher.config.bundles import bundle_of
from watcher.config.checks import Checking, jobs_of
from watcher.config.expressions import slow_on
from watcher.config.jobs import check_jobs
from watcher.config.model import BundleKeys, MatchKeys, RuleKeys
from watcher.config.positions import Path as Steps
from watcher.core import companions, frames, globs, magic, params, templates
from watcher.core.allowed import allowed
from watcher.core.rules import expression


def check_rules(check: Checking) -> None:
    """Conditions, templates, windows and jobs of every rule."""
    for path, rule in check.rules():
        conditions(check, (*path, "match"), rule.match)
        _templates(check, path, rule)
        _window(check, path, rule)
        _bundle(check, path, rule)
        _allow(check, path, rule)
        check_jobs(check, path, rule)
    _deep(check)
    for number, folder in enumerate(check.keys.folders):
        for index, pattern in enumerate(folder.ignore):
            _glob(check, ("folders", number, "ignore", index), pattern)


def _templates(check: Checking, path: Steps, rule: RuleKeys) -> None:
    groups = _fields_of(rule)
    for group in _groups(rule.match) & (templates.FIELDS.keys() | frames.FIELDS):
        check.say(
            (*path, "match", "regex"),
            f"regex: a group cannot be called {group!r}, which is a field",
        )
    for problem in templates.problems(rule.deliver, sorted(groups)) if rule.deliver else ():
        check.say((*path, "deliver"), f"deliver: {problem}")
    known = frozenset(templates.FIELDS.keys() - templates.OF_OUTPUTS | groups)
    for below, job in jobs_of(rule):
        for problem in params.problems(job.params or {}, known):
            check.say((*path, *below, "params"), f"params: {problem}")
        wider = known | params.OF_COMMANDS | (job.params or {}).keys()
        for problem in params.problems(job.command or [], wider):
            check.say((*path, *below, "command"), f"command: {problem}")


def _deep(check: Checking) -> None:
    """Folders are gathered only where they are looked into."""
    for number, folder in enumerate(check.keys.folders):
        for index, rule in enumerate(folder.rules):
            bundle = bundle_of(rule)
            if bundle is not None and bundle.kind == "folder" and not folder.recursive:
                at = ("folders", number, "rules", index, "bundle")
                check.say(at, "bundle: folder gathers nothing where recursive is false")


def _bundle(check: Checking, path: Steps, rule: RuleKeys) -> None:
    """Patterns of a bundle, of the file in an archive, and the marker's name."""
    bundle = rule.bundle
    if rule.root_file is not None:
        _glob(check, (*path, "root_file"), rule.root_file)
    fault = companions.problem(rule.done_file) if rule.done_file else ""
    if fault:
        check.say((*path, "done_file"), f"done_file {fault}")
    if bundle is not None:
        _bundle_keys(check, (*path, "bundle"), bundle, sequence=_counts(rule))


def _allow(check: Checking, path: Steps, rule: RuleKeys) -> None:
    for key, value in (rule.allow or {}).items():
        try:
            allowed(value)
        except ValueError as error:
            check.say((*path, "allow", key), f"allow: {key} {error}")
    if rule.allow == {}:
        check.say((*path, "allow"), "allow: an empty mapping allows nothing; leave it out")


def _bundle_keys(check: Checking, at: Steps, bundle: BundleKeys, *, sequence: bool) -> None:
    for key, patterns in (("main", bundle.main), ("with", bundle.with_)):
        for index, pattern in enumerate(patterns or ()):
            _glob(check, (*at, key, index), pattern)
    if bundle.kind is None and not bundle.main and check.whole(at):
        check.say(at, "bundle needs `main`, or is one of folder and sequence")
    if bundle.with_ and (sequence or bundle.kind == "folder"):
        check.say((*at, "with"), "bundle: a folder or sequence takes all that is in it; no `with`")
    for key in ("first", "last"):
        if getattr(bundle, key) is not None and not sequence:
            check.say((*at, key), f"{key} speaks of the frames of a sequence")
    if None not in (bundle.first, bundle.last) and bundle.first > bundle.last:  # type: ignore[operator]  # neither is None
        check.say((*at, "first"), "first is after last")


def _fields_of(rule: RuleKeys) -> set[str]:
    """Fields that a rule has beyond the common ones."""
    return _groups(rule.match) | (frames.FIELDS if _counts(rule) else set())


def _counts(rule: RuleKeys) -> bool:
    """Whether one unit of a rule is a sequence."""
    bundle = bundle_of(rule)
    return bundle is not None and bundle.kind == "sequence"


def _groups(match: MatchKeys) -> set[str]:
    try:
        return set(expression(match.regex or "").groupindex)
    except re.error:  # told by the conditions
        return set()


def _window(check: Checking, path: Steps, rule: RuleKeys) -> None:
    try:
        if rule.when is not None:
            zones.when(rule.when.hours, rule.when.zone)
    except ValueError as error:
        check.say((*path, "when"), f"when: {error}")


def _regex(check: Checking, path: Steps, text: str) -> None:
    try:
        slow = slow_on(expression(text)) if text else ""
    except (re.error, OverflowError, RecursionError) as error:
        check.say(path, f"regex: {error}")
        return
    if slow:
        check.say(
            path,
            f"regex: a name such as {slow!r} would keep it busy for hours; repeat no group that "
            "repeats something itself, as (a+)+ does",
        )


def conditions(check: Checking, path: Steps, match: MatchKeys) -> None:
    """Patterns that cannot be read, bounds that exclude each other, or nothing asked at all."""
    for key, patterns in (("glob", match.glob), ("path", match.path)):
        for index, pattern in enumerate(patterns or ()):
            _glob(check, (*path, key, index), pattern)
        if patterns == []:
            check.say((*path, key), f"{key}: an empty list matches nothing")
    _regex(check, (*path, "regex"), match.regex or "")
    _bounds(check, path, match)
    for index, wanted in enumerate(match.content or ()):
        try:
            magic.signs(wanted)
        except ValueError as error:
            check.say((*path, "content", index), f"content {wanted!r}: {error}")
    if not match.model_fields_set and check.whole(path):
        check.say(path, 'match has no condition; "*" takes every file')
    if match.not_ is not None:
        conditions(check, (*path, "not"), match.not_)


def _bounds(check: Checking, path: Steps, match: MatchKeys) -> None:
    for what in ("size", "age"):
        least, most = getattr(match, f"min_{what}"), getattr(match, f"max_{what}")
        if None not in (least, most) and least > most:
            text = f"min_{what} is larger than max_{what}: nothing matches"
            check.say((*path, f"min_{what}"), text)


def _glob(check: Checking, path: Steps, pattern: str) -> None:
    fault = globs.problem(pattern)
    if fault:
        check.say(path, f"pattern {pattern!r}: {fault}")

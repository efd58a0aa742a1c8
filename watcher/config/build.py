"""From the checked table to frozen settings: paths absolute, tokens read, defaults filled in.

Imports ``core.settings``, the table and the checks. Invariant: nothing after this module reads the
file's own words again.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from watcher.config import values, zones
from watcher.config.bundles import bundle_of, of_frames
from watcher.config.checks import Checking, folder_name, jobs_of, label
from watcher.config.model import (
    ChainKeys,
    FolderKeys,
    HttpKeys,
    MatchKeys,
    NotifyKeys,
    RuleKeys,
    SchedulerKeys,
    StepKeys,
    WhenKeys,
)
from watcher.config.positions import Path as Steps
from watcher.config.trees import failed_of
from watcher.core.allowed import allowed
from watcher.core.settings import (
    Allowed,
    Folder,
    Http,
    JobSpec,
    Match,
    Notify,
    Rule,
    SchedulerSettings,
    Secret,
    Settings,
    When,
)

LOCAL = "this-machine"  # runs programs where every configured scheduler is a remote one


def settings(check: Checking, source: Path) -> Settings:
    """The whole configuration; faults found on the way (token files) go to the check."""
    keys = check.keys
    return Settings(
        source=source,
        state=check.located(keys.state),
        ledger=keys.ledger,
        keep_history=keys.keep_history,
        schedulers=_schedulers(check),
        http=_http(check, keys.http) if keys.http else None,
        log_level=keys.log.level,
        log_format=keys.log.format,
        notify=tuple(_notify(check, number, one) for number, one in enumerate(keys.notify)),
        folders=tuple(_folder(check, folder) for folder in keys.folders),
    )


def _schedulers(check: Checking) -> dict[str, SchedulerSettings]:
    """The configured ones, and an embedded one where programs run and none is there."""
    made = {name: _scheduler(check, name, at, of) for name, at, of in check.schedulers()}
    programs = any(job.command for _, rule in check.rules() for _, job in jobs_of(rule))
    if programs and local_name(check, "") == LOCAL:
        made[LOCAL] = SchedulerSettings(name=LOCAL)
    return made


def _scheduler(check: Checking, name: str, path: Steps, keys: SchedulerKeys) -> SchedulerSettings:
    token = Secret(keys.token) if keys.token else None
    if keys.token_file is not None:
        token = _token(check, (*path, "token_file"), keys.token_file)
    return SchedulerSettings(
        name=name,
        url=keys.url if keys.url == "embedded" else keys.url.rstrip("/"),
        token=token,
        max_in_flight=keys.max_in_flight,
        poll_every=keys.poll_every,
        timeout=keys.timeout,
        workers=keys.workers,
        processes=check.located(keys.processes) if keys.processes else None,
    )


def _http(check: Checking, keys: HttpKeys) -> Http | None:
    try:
        host, port = values.listen(keys.listen)
    except ValueError:  # told by the checks
        return None
    token = _token(check, ("http", "token_file"), keys.token_file) if keys.token_file else None
    return Http(host=host, port=port, token=token)


def _notify(check: Checking, number: int, keys: NotifyKeys) -> Notify:
    secret = Secret(keys.secret) if keys.secret else None
    if keys.secret_file is not None:
        secret = _token(check, ("notify", number, "secret_file"), keys.secret_file)
    return Notify(
        on=frozenset(keys.on),
        url=Secret(keys.url),
        secret=secret,
        wait=keys.wait,
        every=keys.every,
        backlog_after=keys.backlog_after,
        body=keys.body or "",
    )


def _token(check: Checking, path: Steps, name: str) -> Secret | None:
    file = check.located(name)
    try:
        token = file.read_text("utf-8").strip()
    except OSError as error:
        check.say(path, f"{path[-1]}: {file} cannot be read ({error.strerror})")
        return None
    except UnicodeDecodeError:
        token = ""
    if not token.isascii() or not token.isprintable() or not token:
        check.say(path, f"{path[-1]}: {file} must hold one line of plain characters")
        return None
    return Secret(token)


def _folder(check: Checking, keys: FolderKeys) -> Folder:
    done: Any = keys.done if keys.done in {"keep", "delete"} else check.located(keys.done)
    return Folder(
        name=folder_name(keys),
        input=check.located(keys.input),
        output=check.located(keys.output),
        done=done,
        failed=failed_of(keys, check),
        watch=keys.watch,
        scan_every=keys.scan_every,
        settle=keys.settle,
        recursive=keys.recursive,
        ignore=tuple(keys.ignore),
        max_in_flight=keys.max_in_flight,
        status_file=keys.status_file,
        rules=_rules(check, keys),
    )


def _rules(check: Checking, folder: FolderKeys) -> tuple[Rule, ...]:
    """The rules, those without a name called after their first job, numbered when equal."""
    made = [_rule(check, rule) for rule in folder.rules]
    given = [rule.name or "" for rule in folder.rules]
    default = [rule.jobs[0].label if rule.jobs else "rule" for rule in made]
    names = _distinct(given, default)
    return tuple(replace(rule, name=name) for rule, name in zip(made, names, strict=True))


def _distinct(given: list[str], default: list[str]) -> list[str]:
    """The given names, and the defaults made different from these and one another."""
    taken = Counter(name for name in given if name)
    names = []
    for own, base in zip(given, default, strict=True):
        name, number = own or base, 1
        while not own and taken[name]:
            number += 1
            name = f"{base}-{number}"
        taken[name] += 1
        names.append(name)
    return names


def _rule(check: Checking, keys: RuleKeys) -> Rule:
    found = jobs_of(keys)
    jobs = [job for _, job in found]
    chained = ["then" in path for path, _ in found]
    labels = _distinct([""] * len(jobs), [label(job) for job in jobs])
    return Rule(
        name=keys.name or "",
        match=of_frames(_match(keys.match), bundle_of(keys)),
        jobs=tuple(
            replace(_job(check, job, keys, labels[at]), after=at - 1 if chained[at] else None)
            for at, job in enumerate(jobs)
        ),
        priority=keys.priority,
        max_in_flight=keys.max_in_flight,
        retries=keys.retries,
        retry_after=keys.retry_after,
        receipt=keys.receipt,
        deliver=keys.deliver or "",
        on_conflict=keys.on_conflict,
        on_repeat=keys.on_repeat,
        dedupe=keys.dedupe,
        wait_for_parts=keys.wait_for_parts,
        missing=keys.missing,
        when=_when(keys.when),
        bundle=bundle_of(keys),
        root_file=keys.root_file or "",
        done_file=keys.done_file or "",
        allow=_allowed(keys),
    )


def _allowed(keys: RuleKeys) -> dict[str, Allowed]:
    """What sidecars may set; faults are told by the checks."""
    made = {}
    for key, value in (keys.allow or {}).items():
        with suppress(ValueError):
            made[key] = allowed(value)
    return made


def _when(keys: WhenKeys | None) -> When | None:
    try:
        return zones.when(keys.hours, keys.zone) if keys else None
    except ValueError:  # told by the checks
        return None


def _match(keys: MatchKeys) -> Match:
    return Match(
        globs=tuple(keys.glob or ()),
        paths=tuple(keys.path or ()),
        regex=keys.regex or "",
        min_size=keys.min_size,
        max_size=keys.max_size,
        min_age=keys.min_age,
        max_age=keys.max_age,
        content=tuple(keys.content or ()),
        exclude=_match(keys.not_) if keys.not_ else None,
    )


def _command(check: Checking, job: StepKeys) -> tuple[str, ...]:
    """A command; a program with a `/` is a path relative to the file."""
    words = tuple(job.command or ())
    return (str(check.located(words[0])), *words[1:]) if words and "/" in words[0] else words


def local_name(check: Checking, wanted: str) -> str:
    """The embedded scheduler that runs a program: the one asked for, any that there is, or one of
    its own."""
    embedded = [name for name, _, keys in check.schedulers() if keys.url == "embedded"]
    if wanted in embedded:
        return wanted
    return embedded[0] if embedded else LOCAL


def _job(check: Checking, job: StepKeys, rule: RuleKeys, name: str) -> JobSpec:
    """One job; scheduler, queue and time limit of the rule serve where it has none."""
    named = job.scheduler or rule.scheduler or "default"
    return JobSpec(
        label=name,
        process=job.process or "",
        script=check.located(job.script) if job.script else None,
        command=_command(check, job),
        entrypoint=job.entrypoint or "main",
        params=dict(job.params or {}),
        scheduler=local_name(check, named) if job.command else named,
        queue=job.queue or rule.queue or "",
        time_limit=rule.time_limit if job.time_limit is None else job.time_limit,
        take=(job.take or "") if isinstance(job, ChainKeys) else "",
        keep=job.keep,
    )

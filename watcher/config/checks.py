"""What the keys say together: names, schedulers, the page; the checks' common ground.

Imports the table. Invariant: each check adds problems or warnings at their place and changes
nothing; a value whose neighbours were taken out as faulty is not blamed for their lack.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from watcher.config import values
from watcher.config.model import (
    FileKeys,
    FolderKeys,
    JobKeys,
    NotifyKeys,
    RuleKeys,
    SchedulerKeys,
    StepKeys,
)
from watcher.config.positions import Path as Steps
from watcher.config.positions import Problem, Tree

NAME = re.compile(r"[^./\x00-\x1f\x7f][^/\x00-\x1f\x7f]{0,99}")
LOOPBACK = re.compile(r"localhost|127\.\d+\.\d+\.\d+|::1")


@dataclass(slots=True)
class Checking:
    """One check under way. ``located`` makes a configured path absolute."""

    keys: FileKeys
    tree: Tree
    located: Callable[[str], Path]
    built_in: Path  # the folder of the embedded scheduler's own processes
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def say(self, path: Steps, message: str) -> None:
        """A problem at a path."""
        self.problems.append(Problem(self.tree.at(path), message))

    def warn(self, path: Steps, message: str) -> None:
        """Something that works and is hardly meant."""
        self.warnings.append(Problem(self.tree.at(path), message))

    def whole(self, path: Steps) -> bool:
        """Whether nothing faulty was taken out of a mapping."""
        return not self.tree.follow(path)[-1].lost

    def schedulers(self) -> Iterator[tuple[str, Steps, SchedulerKeys]]:
        """All schedulers: name, path, keys."""
        yield "default", ("scheduler",), self.keys.scheduler
        for name, keys in self.keys.schedulers.items():
            yield name, ("schedulers", name), keys

    def rules(self) -> Iterator[tuple[Steps, RuleKeys]]:
        """All rules of all folders, with their paths."""
        for number, folder in enumerate(self.keys.folders):
            for index, rule in enumerate(folder.rules):
                yield ("folders", number, "rules", index), rule


def folder_name(folder: FolderKeys) -> str:
    """A folder's name: its own, or the last component of its input."""
    return folder.name or Path(folder.input).name


def jobs_of(rule: RuleKeys) -> list[tuple[Steps, StepKeys]]:
    """The jobs of a rule, with their paths below it; those of a chain follow their first."""
    heads: list[tuple[Steps, JobKeys]] = [((), rule)]
    if rule.jobs is not None:
        heads = [(("jobs", index), job) for index, job in enumerate(rule.jobs)]
    return [
        step
        for path, head in heads
        for step in (
            (path, head),
            *(((*path, "then", number), one) for number, one in enumerate(head.then or ())),
        )
    ]


def label(job: StepKeys) -> str:
    """What a job is called after: its process, or the stem of its script or program."""
    return job.process or Path(job.script or next(iter(job.command or ()), "")).stem


def general(check: Checking) -> None:
    """Ledger, page, and the schedulers themselves."""
    fault = "" if check.keys.ledger == "sqlite" else ledger_fault(check.keys.ledger)
    if fault:
        check.say(("ledger",), f"ledger {fault}")
    _http(check)
    for number, hook in enumerate(check.keys.notify):
        _notify(check, ("notify", number), hook)
    for name, path, keys in check.schedulers():
        named(check, path, f"scheduler name {name!r}", name)
        _scheduler(check, path, keys)
    if "default" in check.keys.schedulers:
        check.say(("schedulers", "default"), "'default' is the one under `scheduler`")


def _http(check: Checking) -> None:
    if check.keys.http is None:
        return
    try:
        host, _ = values.listen(check.keys.http.listen)
    except ValueError as error:
        check.say(("http", "listen"), f"listen: {error}")
        return
    if not LOOPBACK.fullmatch(host) and not check.keys.http.token_file and check.whole(("http",)):
        check.say(("http", "listen"), f"listen: {host} is not loopback, so token_file is needed")


def _notify(check: Checking, path: Steps, keys: NotifyKeys) -> None:
    fault = "must be an address such as https://hooks.example/x"
    with suppress(ValueError):
        parts = urlsplit(keys.url)
        if parts.scheme in {"http", "https"} and parts.hostname:
            fault = ""
    if fault:
        check.say((*path, "url"), f"url {fault}")
    if keys.secret is not None and keys.secret_file is not None:
        check.say((*path, "secret_file"), "secret and secret_file exclude each other")
    if keys.body is not None:
        from jinja2 import TemplateSyntaxError  # noqa: PLC0415  (few configurations have one)
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415  (likewise)

        try:
            ImmutableSandboxedEnvironment().parse(keys.body)
        except TemplateSyntaxError as error:
            check.say((*path, "body"), f"body is no valid template: {error.message}")


def _scheduler(check: Checking, path: Steps, keys: SchedulerKeys) -> None:
    fault = "" if keys.url == "embedded" else url_fault(keys.url)
    if fault:
        check.say((*path, "url"), f"url {fault}")
    if keys.token is not None and keys.token_file is not None:
        check.say((*path, "token_file"), "token and token_file exclude each other")
    if keys.processes is None:
        return
    if keys.url != "embedded":
        check.say((*path, "processes"), "processes is for the embedded scheduler only")
    elif not check.located(keys.processes).is_dir():
        folder = check.located(keys.processes)
        check.say((*path, "processes"), f"processes: there is no folder {folder}")


def url_fault(url: str) -> str:
    """What is wrong with a scheduler's address, in words that do not repeat it."""
    try:
        parts = urlsplit(url)
        port_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "is not a valid address"
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_fine:
        return "must be `embedded` or an address such as http://host:8001"
    if "@" in parts.netloc:
        return "holds a name or password; use token or token_file"
    if parts.query or parts.fragment or re.search(r"\s", url):
        return "must end with the path: no `?`, no `#`, no blanks"
    return ""


def ledger_fault(url: str) -> str:
    """What is wrong with a ledger's address, in words that do not repeat its password."""
    try:
        parts = urlsplit(url)
        port_fine = parts.port is None or parts.port > 0
    except ValueError:
        return "is not a valid address"
    named = parts.path.strip("/") and "/" not in parts.path.strip("/")
    if parts.scheme not in {"postgresql", "postgres"} or not port_fine or not named:
        return "must be `sqlite` or an address such as postgresql://user@host/database"
    if importlib.util.find_spec("psycopg") is None:
        return "needs the PostgreSQL driver: pip install 'pixyz-watcher[postgres]'"
    return ""


def naming(check: Checking) -> None:
    """Names of folders and rules: safe as a path's component, and unique."""
    folders: set[str] = set()
    for number, folder in enumerate(check.keys.folders):
        path: Steps = ("folders", number, "name" if folder.name else "input")
        name = folder_name(folder)
        if not folder.name and "input" in check.tree.follow(("folders", number))[-1].lost:
            name = f"missing {number}"  # told already
        named(check, path, f"folder name {name!r}", name)
        if name in folders:
            check.say(path, f"folder name {name!r} is there twice; give this one a `name`")
        folders.add(name)
        near = difflib.get_close_matches(folder.done, ("keep", "delete"), n=1)
        if near and folder.done != near[0]:
            text = f"done: {folder.done!r} is taken for a folder; did you mean {near[0]!r}?"
            check.warn(("folders", number, "done"), text)
        _rule_names(check, number, folder)


def _rule_names(check: Checking, number: int, folder: FolderKeys) -> None:
    names: set[str] = set()
    for index, rule in enumerate(folder.rules):
        path: Steps = ("folders", number, "rules", index, "name")
        if rule.name is None:
            continue
        named(check, path, f"rule name {rule.name!r}", rule.name)
        if rule.name in names:
            check.say(path, f"rule name {rule.name!r} is there twice in this folder")
        names.add(rule.name)


def named(check: Checking, path: Steps, called: str, name: str) -> None:
    """A name that becomes a component of paths."""
    if not NAME.fullmatch(name):
        check.say(
            path, f"{called} must be at most 100 characters without / and not begin with a dot"
        )

"""What the keys say together: names, jobs, patterns, templates, scripts, schedulers.

Imports ``core.globs``, ``core.rules``, ``core.templates`` and the table. Invariant: each check adds
problems or warnings at their place and changes nothing; a value whose neighbours were taken out
as faulty is not blamed for their lack.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from watcher.config import values
from watcher.config.model import FileKeys, FolderKeys, JobKeys, MatchKeys, RuleKeys, SchedulerKeys
from watcher.config.positions import Path as Steps
from watcher.config.positions import Problem, Tree
from watcher.core import globs, templates
from watcher.core.settings import PASS

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


def jobs_of(rule: RuleKeys) -> list[tuple[Steps, JobKeys]]:
    """The jobs of a rule, with their paths below it."""
    if rule.jobs is None:
        return [((), rule)]
    return [(("jobs", index), job) for index, job in enumerate(rule.jobs)]


def label(job: JobKeys) -> str:
    """What a job is called after: its process, or the stem of its script."""
    return job.process or Path(job.script or "").stem


def general(check: Checking) -> None:
    """Ledger, page, and the schedulers themselves."""
    fault = "" if check.keys.ledger == "sqlite" else ledger_fault(check.keys.ledger)
    if fault:
        check.say(("ledger",), f"ledger {fault}")
    _http(check)
    for name, path, keys in check.schedulers():
        _name(check, path, f"scheduler name {name!r}", name)
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
        _name(check, path, f"folder name {name!r}", name)
        if name in folders:
            check.say(path, f"folder name {name!r} is there twice; give this one a `name`")
        folders.add(name)
        _rule_names(check, number, folder)


def _rule_names(check: Checking, number: int, folder: FolderKeys) -> None:
    names: set[str] = set()
    for index, rule in enumerate(folder.rules):
        path: Steps = ("folders", number, "rules", index, "name")
        if rule.name is None:
            continue
        _name(check, path, f"rule name {rule.name!r}", rule.name)
        if rule.name in names:
            check.say(path, f"rule name {rule.name!r} is there twice in this folder")
        names.add(rule.name)


def _name(check: Checking, path: Steps, called: str, name: str) -> None:
    if not NAME.fullmatch(name):
        check.say(
            path, f"{called} must be at most 100 characters without / and not begin with a dot"
        )


def rules(check: Checking) -> None:
    """Conditions, templates and jobs of every rule."""
    for path, rule in check.rules():
        conditions(check, (*path, "match"), rule.match)
        for problem in templates.problems(rule.deliver) if rule.deliver else ():
            check.say((*path, "deliver"), f"deliver: {problem}")
        _jobs(check, path, rule)
    for number, folder in enumerate(check.keys.folders):
        for index, pattern in enumerate(folder.ignore):
            _glob(check, ("folders", number, "ignore", index), pattern)


def conditions(check: Checking, path: Steps, match: MatchKeys) -> None:
    """Patterns that cannot be read, sizes that exclude each other, or nothing asked at all."""
    for index, pattern in enumerate(match.glob or ()):
        _glob(check, (*path, "glob", index), pattern)
    if match.glob == []:
        check.say((*path, "glob"), "glob: an empty list matches nothing")
    try:
        re.compile(match.regex or "")
    except re.error as error:
        check.say((*path, "regex"), f"regex: {error}")
    if None not in (match.min_size, match.max_size) and match.min_size > match.max_size:  # type: ignore[operator]  # neither is None
        check.say((*path, "min_size"), "min_size is larger than max_size: nothing matches")
    if not match.model_fields_set and check.whole(path):
        check.say(path, 'match has no condition; "*" takes every file')
    if match.not_ is not None:
        conditions(check, (*path, "not"), match.not_)


def _glob(check: Checking, path: Steps, pattern: str) -> None:
    fault = globs.problem(pattern)
    if fault:
        check.say(path, f"pattern {pattern!r}: {fault}")


def _jobs(check: Checking, path: Steps, rule: RuleKeys) -> None:
    given = [key for key in ("process", "script", "jobs") if getattr(rule, key) is not None]
    if len(given) > 1:
        check.say((*path, given[-1]), f"{' and '.join(given)} exclude each other")
        return
    if not given:
        if check.whole(path):
            check.say(path, "the rule needs one of process, script or jobs")
        return
    for key in ("params", "entrypoint"):
        if rule.jobs is not None and getattr(rule, key) is not None:
            check.say((*path, key), f"{key} belongs to each entry of jobs here")
    if rule.jobs == [] and check.whole((*path, "jobs")):
        check.say((*path, "jobs"), "jobs needs at least one entry")
    for below, job in jobs_of(rule):
        _job(check, (*path, *below), job, rule)


def _job(check: Checking, path: Steps, job: JobKeys, rule: RuleKeys) -> None:
    if (job.process is None) == (job.script is None):
        if check.whole(path):
            check.say(path, "a job needs either process or script")
        return
    scheduler = _scheduler_of(check, path, job, rule)
    if job.script is not None:
        fault = script_fault(check.located(job.script), job.entrypoint or "main")
        if fault:
            check.say((*path, "script"), f"script: {fault}")
    elif job.process != PASS and scheduler is not None and scheduler.url == "embedded":
        _process(check, path, str(job.process), scheduler)
    if not NAME.fullmatch(label(job)):
        check.say(path, f"{label(job)!r} cannot be a name in paths")


def _scheduler_of(
    check: Checking, path: Steps, job: JobKeys, rule: RuleKeys
) -> SchedulerKeys | None:
    """The scheduler of a job; None when it is not known, or known and too faulty to ask."""
    name = job.scheduler or rule.scheduler or "default"
    found = next(((at, keys) for known, at, keys in check.schedulers() if known == name), None)
    if found is not None:
        faulty = check.tree.lost | check.tree.follow(found[0])[-1].lost
        return None if faulty & {"scheduler", "schedulers", "url", "processes"} else found[1]
    # one that was taken out as faulty is not unknown
    lost = check.tree.lost | check.tree.follow(("schedulers",))[-1].lost
    if not lost & {"schedulers", name}:
        at = (*path, "scheduler") if job.scheduler else (*path[:4], "scheduler")
        hint = _hint(name, {known for known, _, _ in check.schedulers()})
        check.say(at, f"there is no scheduler {name!r}{hint}")
    return None


def _process(check: Checking, path: Steps, name: str, scheduler: SchedulerKeys) -> None:
    folders = [check.built_in]
    folders += [check.located(scheduler.processes)] if scheduler.processes else []
    known = {
        file.stem
        for folder in folders
        for file in folder.glob("*.py")
        if not file.name.startswith("_")
    }
    if name not in known:
        hint = _hint(name, {*known, PASS})
        check.say((*path, "process"), f"the embedded scheduler has no process {name!r}{hint}")


def _hint(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"


def script_fault(path: Path, entrypoint: str) -> str:
    """Why a script cannot be run, in words: absent, not Python, or without its entry point."""
    try:
        module = ast.parse(path.read_bytes())
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    except (SyntaxError, ValueError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
        return f"{path} is not valid Python{line}"
    names = {name for node in module.body for name in _bound(node)}
    return "" if entrypoint in names else f"{path} has no function {entrypoint!r}"


def _bound(node: ast.stmt) -> list[str]:
    """The names that a top-level statement may bind to a function."""
    if isinstance(node, ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return []

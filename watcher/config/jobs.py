"""The jobs of a rule: each has what runs, where it runs, and a name fit for paths.

Imports the table, ``checks``, ``core.settings``. Invariant: scripts are read and parsed, never run.
"""

from __future__ import annotations

import ast
import difflib
import shutil
from pathlib import Path

from watcher.config.checks import NAME, Checking, jobs_of, label
from watcher.config.model import ChainKeys, RuleKeys, SchedulerKeys, StepKeys
from watcher.config.positions import Path as Steps
from watcher.core import globs
from watcher.core.settings import PASS


def check_jobs(check: Checking, path: Steps, rule: RuleKeys) -> None:
    """What a rule runs: one of process, script and jobs, each whole."""
    given = [
        key for key in ("process", "script", "command", "jobs") if getattr(rule, key) is not None
    ]
    if len(given) > 1:
        check.say((*path, given[-1]), f"{' and '.join(given)} exclude each other")
        return
    if not given:
        if check.whole(path):
            check.say(path, "the rule needs one of process, script, command or jobs")
        return
    for key in ("params", "entrypoint", "then"):
        if rule.jobs is not None and getattr(rule, key) is not None:
            check.say((*path, key), f"{key} belongs to each entry of jobs here")
    if rule.jobs is not None and not rule.keep:
        check.say((*path, "keep"), "keep belongs to each entry of jobs here")
    if rule.jobs == [] and check.whole((*path, "jobs")):
        check.say((*path, "jobs"), "jobs needs at least one entry")
    jobs = jobs_of(rule)
    for below, job in jobs:
        _job(check, (*path, *below), job, rule)
    feeds = [*("then" in below for below, _ in jobs[1:]), False]
    for (below, job), fed in zip(jobs, feeds, strict=False):
        _link(check, (*path, *below), job, fed=fed)


def _link(check: Checking, path: Steps, job: StepKeys, *, fed: bool) -> None:
    """What a job is in its chain; ``fed``: another one takes its outputs."""
    if isinstance(job, ChainKeys):
        fault = globs.problem(job.take) if job.take else ""
        if fault:
            check.say((*path, "take"), f"take {job.take!r}: {fault}")
        if job.process == PASS:
            check.say((*path, "process"), "pass delivers the dropped file; it has no place in then")
    if not job.keep and not fed:
        check.say((*path, "keep"), "keep: false is for jobs with a `then`; this one is for nothing")


def _job(check: Checking, path: Steps, job: StepKeys, rule: RuleKeys) -> None:
    given = [key for key in ("process", "script", "command") if getattr(job, key) is not None]
    if len(given) != 1:
        if check.whole(path):
            check.say(path, "a job needs one of process, script and command")
        return
    scheduler = _scheduler_of(check, path, job, rule)
    if job.command is not None:
        _program(check, (*path, "command"), job.command[0])
    elif job.script is not None:
        fault = script_fault(check.located(job.script), job.entrypoint or "main")
        if fault:
            check.say((*path, "script"), f"script: {fault}")
    elif job.process != PASS and scheduler is not None and scheduler.url == "embedded":
        _process(check, path, str(job.process), scheduler)
    if not NAME.fullmatch(label(job)):
        check.say(path, f"{label(job)!r} cannot be a name in paths")


def _program(check: Checking, path: Steps, name: str) -> None:
    """A program may come later, or be there for the daemon alone: its lack is a warning."""
    where = str(check.located(name)) if "/" in name else name
    if "{" in name:
        check.say(path, f"command: the program itself must be spelled out, not {name!r}")
    elif shutil.which(where) is None:
        what = f"{where} is no program that can be run" if "/" in name else f"no {name!r} in PATH"
        check.warn(path, f"command: {what}; its jobs will fail")


def _scheduler_of(
    check: Checking, path: Steps, job: StepKeys, rule: RuleKeys
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
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
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

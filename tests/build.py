"""Records, rules and folders with defaults: a test names only what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from watcher.core.lifecycle import accept
from watcher.core.model import Asset, FileRecord, FileState, Fingerprint, JobRecord, JobState, Work
from watcher.core.outcomes import Context
from watcher.core.settings import Folder, JobSpec, Match, Rule, SchedulerSettings, Settings

ROOT = Path("/studio")
NOW = 1_750_000_000.0


def job_spec(process: str = "echo", **keys: Any) -> JobSpec:
    """One job of a rule, called after its process."""
    return JobSpec(**{"label": process, "process": process, **keys})


def rule(*processes: str, **keys: Any) -> Rule:
    """A rule that takes all files; one ``echo`` job unless told."""
    jobs = tuple(job_spec(one) for one in processes or ("echo",))
    return Rule(**{"name": "all", "match": Match(globs=("*",)), "jobs": jobs, **keys})


def folder(*rules: Rule, **keys: Any) -> Folder:
    """A folder with roots of its own; sources are kept."""
    roots = {name: ROOT / name for name in ("input", "output", "failed")}
    return Folder(**{"name": "cad", **roots, "rules": rules or (rule(),), **keys})


def settings(*folders: Folder, **keys: Any) -> Settings:
    """A whole configuration with one scheduler."""
    schedulers = {"default": SchedulerSettings()}
    made = {"source": ROOT / "watcher.yaml", "state": ROOT / "state", "schedulers": schedulers}
    return Settings(**{**made, "folders": folders or (folder(),), **keys})


def asset(path: str = "a.step", size: int = 4, mtime: int = 1, **keys: Any) -> Asset:
    """A settled file."""
    return Asset(**{"folder": "cad", "path": path, "print": Fingerprint(size, mtime), **keys})


def file(state: FileState = FileState.WORKING, **keys: Any) -> FileRecord:
    """A file's record."""
    made = {"id": 1, "folder": "cad", "path": "a.step", "arrival": 1, "rule": "all"}
    return FileRecord(**{**made, "state": state, "print": Fingerprint(4, 1), **keys})


def job(state: JobState = JobState.SUBMITTED, **keys: Any) -> JobRecord:
    """A job's record, with what its state calls for."""
    sent = state not in (JobState.WAITING, JobState.SUBMITTING)
    made = {"id": 11, "file_id": 1, "index": 0, "label": "echo", "scheduler": "default"}
    made |= {"key": "" if state is JobState.WAITING else "key", "remote": "key" if sent else ""}
    return JobRecord(**{**made, "state": state, **keys})


def work(state: FileState = FileState.WORKING, *jobs: JobRecord, **keys: Any) -> Work:
    """A file with its jobs: one submitted unless told."""
    return Work(file(state, **keys), jobs or (job(),))


def jobs(*states: JobState) -> tuple[JobRecord, ...]:
    """Several jobs of one file, each in its state."""
    return tuple(
        job(state)._replace(id=11 + index, index=index, label=f"j{index}")
        for index, state in enumerate(states)
    )


def context(of: Rule | None = None, **keys: Any) -> Context:
    """What a decision needs besides the file; ``done`` and ``settle`` go to the folder."""
    of = of or rule()
    mine = {name: keys.pop(name) for name in ("done", "settle") if name in keys}
    made = {"folder": folder(of, **mine), "rule": of, "now": NOW, "owned": {}}
    return Context(**{**made, **keys})


def accepted(of: Rule | None = None, **keys: Any) -> Work:
    """A file as it is accepted under a rule, with its jobs waiting."""
    of = of or rule()
    ids = range(1, 2 + len(of.jobs))
    return accept(asset(**keys), of, ids, arrival=1, now=NOW).work

"""Under which configuration a file was accepted, while one daemon lives through several.

Imports ``lifecycle``, ``model`` and ``settings``. Invariant: a file in work keeps the folder and
rule that it was accepted under until it comes to its end, or until the daemon restarts; ids rise
with time, so the last id of an epoch tells whose file it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from watcher.core.lifecycle import UNFINISHED
from watcher.core.model import Work
from watcher.core.settings import Folder, Rule, Settings


@dataclass(frozen=True, slots=True)
class Epoch:
    """A configuration that was replaced; ``last`` is the highest id given out under it. ``left``
    are files that were held since: they go on under the configuration that let them."""

    last: int
    settings: Settings
    left: set[int] = field(default_factory=set, compare=False)


def settings_of(current: Settings, former: Sequence[Epoch], file_id: int) -> Settings:
    """The configuration that a file was accepted under; ``former`` stands oldest first."""
    for one in former:
        if file_id <= one.last and file_id not in one.left:
            return one.settings
    return current


def folder_named(settings: Settings, name: str) -> Folder | None:
    """A folder by its name, None when it is not configured."""
    return next((folder for folder in settings.folders if folder.name == name), None)


def rule_named(settings: Settings, folder: str, name: str) -> Rule | None:
    """A rule by the names of its folder and its own, None when it is not configured."""
    found = folder_named(settings, folder)
    return next((rule for rule in found.rules if rule.name == name), None) if found else None


def obstacle(settings: Settings, schedulers: Sequence[str], work: Work) -> str:
    """Why a file cannot go on under a configuration, in words; nothing when it can."""
    file = work.file
    rule = rule_named(settings, file.folder, file.rule)
    if rule is None:
        return f"rule {file.rule!r} of folder {file.folder!r} is no longer configured"
    if file.state not in UNFINISHED:
        return ""
    if [spec.label for spec in rule.jobs] != [job.label for job in work.jobs]:
        return (
            f"rule {file.rule!r} has other jobs now than when it took this file; drop the file "
            "again, or give the rule its jobs back"
        )
    for job in work.jobs:
        if job.scheduler and job.scheduler not in schedulers:
            return f"scheduler {job.scheduler!r} is no longer configured"
    return ""

"""Logs: structlog set up once a process, the names of events, the redaction of secrets.

Imports structlog and ``core``. Invariant: no secret of the settings leaves through a log
line; every recorded transition is one line, named by the state it leads to.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TextIO
from urllib.parse import unquote, urlsplit

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from watcher.core.model import FileRecord, FileState, printable
from watcher.core.ports import Change, NewFile, SaveFile, SaveJob
from watcher.core.settings import Secret, Settings
from watcher.daemon import lines

EVENTS = {
    "daemon.started": "the daemon watches",
    "daemon.stopping": "it begins nothing new and ends what is in hand",
    "daemon.stopped": "it ended",
    "config.warning": "the configuration works and is hardly meant so",
    "config.reloaded": "a new configuration is in force",
    "config.unchanged": "the configuration was read again and says the same",
    "config.refused": "a new configuration is not valid; the last good one stays",
    "config.later": "a changed key takes effect at the next start only",
    "http.listening": "the page is served",
    "notify.sent": "a webhook took a message",
    "notify.failed": "a webhook did not take a message after some tries, or refuses it",
    "file.<state>": "a file came to this state",
    "file.note": "something was recorded of a file without a new state",
    "job.<state>": "a job came to this state",
    "job.note": "something was recorded of a job without a new state",
    "file.refused": "a path that a rule would take cannot be taken",
    "root.online": "an input folder is there and watched",
    "root.offline": "an input folder is gone; it is looked for again and again",
    "scan.done": "a scan of an input folder ended; `quick`: of changed folders only",
    "ledger.new": "the ledger is gone from a state folder that was in use; it begins anew",
    "seat.lost": "another watcher of the shared ledger took over; this one begins anew",
    "trouble": "the ledger or a scheduler does not do its part; everything waits for it",
    "trouble.over": "it does its part again",
    "fault": "an error of our own program; what it happened to is tried again or failed",
}


def secrets_of(settings: Settings) -> list[Secret]:
    """Every secret that the settings hold."""
    held = [one.token for one in settings.schedulers.values()]
    held.append(settings.http.token if settings.http else None)
    held.append(_password(settings.ledger))
    held += [one for hook in settings.notify for one in (hook.url, hook.secret)]
    return [secret for secret in held if secret is not None]


def _password(ledger: str) -> Secret | None:
    password = urlsplit(ledger).password
    return Secret(unquote(password)) if password else None


def configure(
    *,
    level: str = "info",
    form: Literal["auto", "json", "console"] = "auto",
    secrets: Iterable[Secret] = (),
    stream: TextIO | None = None,
) -> FilteringBoundLogger:
    """Set logging up, and give the logger.

    ``auto`` is coloured on a terminal and JSON lines elsewhere.
    """
    out = stream or sys.stdout
    words = [secret.reveal() for secret in secrets if secret.reveal()]
    people = form == "console" or (form == "auto" and out.isatty())
    processors: list[Processor] = [structlog.processors.format_exc_info]
    if people:
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        last = structlog.dev.ConsoleRenderer(colors=out.isatty())
        processors += [structlog.processors.add_log_level, stamp, _redactor(words), last]
    else:
        processors += [_redactor(words), lines.render]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lines.Writer(out),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("watchdog").setLevel(logging.ERROR)
    # bound once: what is not bound looks its configuration up for every line
    logger: FilteringBoundLogger = structlog.get_logger().bind()
    return logger


def _redactor(words: Sequence[str]) -> Processor:
    def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            if isinstance(value, str):
                plain = value.isascii() and value.isprintable()
                if not plain or (words and any(word in value for word in words)):
                    event[key] = _clean(value, words)
        return event

    return redact


def _clean(value: str, words: Sequence[str]) -> str:
    for word in words:
        value = value.replace(word, "***")
    return printable(value) if "\n" not in value or value.count("\n") == 0 else value


def tell(
    log: FilteringBoundLogger, changes: Sequence[Change], path_of: Callable[[int], str]
) -> None:
    """One line for each recorded change. ``path_of`` knows the files in work, by their ids."""
    if not log.is_enabled_for(logging.INFO):
        changes = [change for change in changes if _is_warning(change)]
    told = {
        change.after.id: change.after.path for change in changes if isinstance(change, SaveFile)
    }

    def named(file_id: int) -> str:
        return told.get(file_id) or path_of(file_id)

    with lines.together(log) as say:
        for change in changes:
            if isinstance(change, NewFile):
                _tell_new(say, change.file)
            elif isinstance(change, SaveFile):
                _tell_file(say, change)
            elif isinstance(change, SaveJob):
                _tell_job(say, change, named)


def _tell_new(say: lines.Say, file: FileRecord) -> None:
    about = {"folder": file.folder, "file": file.path}
    say("info", "file.accepted", {**about, "rule": file.rule})
    for text in file.warnings:
        say("warning", "file.note", {**about, "note": text})


def _is_warning(change: Change) -> bool:
    """Whether the line of a change may be worse than a piece of news."""
    if isinstance(change, SaveFile):
        return change.after.state in (FileState.FAILED, FileState.HELD)
    if isinstance(change, SaveJob):
        return bool(change.after.error)
    return isinstance(change, NewFile) and bool(change.file.warnings)


def _tell_file(say: lines.Say, change: SaveFile) -> None:
    file = change.after
    fields = {"folder": file.folder, "file": file.path}
    note = _noted(change)
    if file.state is change.before.state:
        if change.notes:
            say("info", "file.note", fields | note)
    elif file.state in (FileState.FAILED, FileState.HELD):
        say("warning", f"file.{file.state}", fields | _with_reason(note, file.reason))
    else:
        say("info", f"file.{file.state}", fields | note)


def _tell_job(say: lines.Say, change: SaveJob, path_of: Callable[[int], str]) -> None:
    job, before = change.after, change.before
    fields = {"file": path_of(job.file_id), "job": job.label}
    note = _noted(change)
    sent = {"id": job.remote} if job.remote else {}
    if job.state is before.state and job.key == before.key:
        say("debug", "job.note", fields | note | sent)
    elif job.error and job.state in ("failed", "waiting"):
        say("warning", f"job.{job.state}", fields | sent | _with_reason(note, job.error))
    else:
        say("info", f"job.{job.state}", fields | note | sent)


def _with_reason(note: dict[str, str], reason: str) -> dict[str, str]:
    """The reason, and the note where that says something else."""
    return {"reason": reason} if note.get("note") == reason else note | {"reason": reason}


def _noted(change: SaveFile | SaveJob) -> dict[str, str]:
    text = "; ".join([note.text for note in change.notes if note.text])
    return {"note": text} if text else {}

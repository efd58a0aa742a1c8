"""Calls for help: watches for trouble and tells webhooks, in groups, away from the engine.

Imports core, health and messages; how a message is posted is handed in. Invariant: the engine
never waits for a webhook; a thousand failures within one ``every`` are one message; a trouble that
stands is told once, and once more when it is over.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from watcher.core.model import FileState
from watcher.core.ports import Change, Clock, SaveFile, SaveJob
from watcher.core.settings import Notify
from watcher.daemon import messages
from watcher.daemon.health import Health
from watcher.daemon.messages import Group
from watcher.errors import LedgerError, Refused, SchedulerError

LOOK_EVERY = 1.0  # seconds between two looks at health
TRIES = 6
FIRST_RETRY = 1.0  # seconds; doubles
LAST_WORDS = 3.0  # seconds that a stop waits for the messages that are due

Post = Callable[[str, bytes, Mapping[str, str]], None]
Troubles = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where trouble shows: ``oldest`` gives when the longest waiting file of each folder came."""

    hooks: Callable[[], Sequence[Notify]]
    health: Callable[[], Health]
    oldest: Callable[[], Mapping[str, float]]
    clock: Clock


@dataclass(slots=True)
class Line:
    """One webhook: what it is to be told, and when. Times are monotonic."""

    hook: Notify
    groups: dict[str, Group] = field(default_factory=dict)
    standing: Troubles = field(default_factory=dict)
    due: float = 0.0
    quiet_until: float = 0.0
    tries: int = 0
    message: bytes = b""

    def add(self, kind: str, subject: str, reason: str, now: float) -> None:
        """One more event, if it is wanted."""
        if kind in self.hook.on:
            if not self.groups:
                self.due = max(self.due, now + self.hook.wait, self.quiet_until)
            self.groups.setdefault(kind, Group()).add(subject, reason)

    def stands(self, found: Troubles, now: float) -> None:
        """Compare standing troubles with those of the last look."""
        for (kind, subject), reason in found.items():
            if (kind, subject) not in self.standing:
                self.add(kind, subject, reason, now)
        for kind, subject in self.standing.keys() - found.keys():
            self.add("recovered", f"{kind}: {subject}", "", now)
        self.standing = found


class Alerts:
    """See the module. ``changed`` is called by the engine's thread, the rest is its own."""

    def __init__(self, sources: Sources, post: Post, log: FilteringBoundLogger) -> None:
        self._sources = sources
        self._post = post
        self._log = log
        self._inbox: queue.SimpleQueue[tuple[str, str, str]] = queue.SimpleQueue()
        self._lines: list[Line] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Say what is due, then end."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(LAST_WORDS)

    def changed(self, changes: Sequence[Change]) -> None:
        """Recorded changes: what failed, and what nothing was heard of."""
        for change in changes:
            if isinstance(change, SaveFile):
                file = change.after
                if file.state is FileState.FAILED and change.before.state is not file.state:
                    self._inbox.put(("failed", f"{file.folder}/{file.path}", file.reason))
            elif isinstance(change, SaveJob):
                quiet = (note.text for note in change.notes if note.event == "quiet")
                for text in quiet:
                    self._inbox.put(("stalled", f"job {change.after.label}", text))

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            self._look()
        self._drain(self._sources.clock.monotonic())
        for line in self._lines:
            if line.groups or line.message:
                self._send(line)

    def _look(self) -> None:
        now = self._sources.clock.monotonic()
        self._follow(self._sources.hooks())
        self._drain(now)
        if self._lines:
            health = self._sources.health()
            for line in self._lines:
                line.stands(self._standing(health, line.hook), now)
        for line in self._lines:
            if (line.groups or line.message) and line.due <= now:
                self._send(line)

    def _follow(self, hooks: Sequence[Notify]) -> None:
        """After a reload: lines of hooks that stay keep what they have to say."""
        if [line.hook for line in self._lines] != list(hooks):
            kept = {line.hook: line for line in self._lines}
            self._lines = [kept.pop(hook) if hook in kept else Line(hook) for hook in hooks]

    def _drain(self, now: float) -> None:
        while not self._inbox.empty():
            event = self._inbox.get()
            for line in self._lines:
                line.add(*event, now)

    def _standing(self, health: Health, hook: Notify) -> Troubles:
        found: Troubles = {}
        for name, root in health.roots.items():
            if not root.online:
                found["offline", name] = root.reason
        for name, one in health.schedulers.items():
            if one.trouble:
                found["down", name] = one.trouble
        if health.refused:
            found["refused", "configuration"] = health.refused
        try:
            oldest = self._sources.oldest() if "backlog" in hook.on else {}
        except LedgerError:
            oldest = {}
        now = self._sources.clock.now()
        for name, at in oldest.items():
            if now - at >= hook.backlog_after:
                found["backlog", name] = f"a file has waited for {(now - at) / 60:.0f} minutes"
        return found

    # ------------------------------------------------------------ sending
    def _send(self, line: Line) -> None:
        clock, hook = self._sources.clock, line.hook
        if not line.message:
            told = messages.values(line.groups, clock.now())
            line.groups, line.tries = {}, 0
            try:
                line.message = messages.body(hook.body, told)
            except Exception as fault:  # noqa: BLE001  (a template of the user's)
                self._log.error("notify.failed", reason=f"its body: {fault}")
                return
        try:
            headers = messages.headers(line.message, hook.secret, clock.now())
            self._post(hook.url.reveal(), line.message, headers)
        except SchedulerError as error:
            self._missed(line, error)
        else:
            self._done(line)
            self._log.info("notify.sent")

    def _missed(self, line: Line, error: SchedulerError) -> None:
        line.tries += 1
        if isinstance(error, Refused) or line.tries >= TRIES:
            self._log.error("notify.failed", reason=str(error))
            self._done(line)
        else:
            wait = FIRST_RETRY * 2 ** (line.tries - 1)
            line.due = self._sources.clock.monotonic() + wait

    def _done(self, line: Line) -> None:
        line.message = b""
        line.quiet_until = self._sources.clock.monotonic() + line.hook.every
        line.due = line.quiet_until

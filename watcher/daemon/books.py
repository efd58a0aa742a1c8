"""The engine's books: what is decided and not yet recorded, recorded and not yet done, or due.

Imports ``core`` and the daemon's ``active`` and ``polls``. Invariant: ``commit`` records before it
lets anything happen; all of it belongs to the engine's thread.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from watcher.core import assets, delivery, outcomes, pacing, queueing
from watcher.core.effects import (
    Clean,
    Dispose,
    Effect,
    Fetch,
    Identify,
    Look,
    Outcome,
    Quarantine,
    Return,
    Staged,
    Submit,
)
from watcher.core.epochs import Epoch, folder_named, obstacle, rule_named, settings_of
from watcher.core.lifecycle import IN_FLIGHT, UNFINISHED, FileEvent, Step, all_staged
from watcher.core.model import FileRecord, FileState, JobRecord, JobState, Work
from watcher.core.ports import Change, Clock, Ledger
from watcher.core.reports import Context
from watcher.core.settings import Folder, Rule, Settings
from watcher.daemon.active import Active, Tally
from watcher.daemon.claims import Claims, arrivals, contested
from watcher.daemon.patience import patient
from watcher.daemon.polls import Asked, Polls
from watcher.daemon.seat import Share
from watcher.daemon.subjects import file_of, subject
from watcher.errors import LedgerUnusable, StaleRecord, WatcherError

PATIENCE = 0.5  # seconds until a file that others may need is disposed of, if they are done then


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the engine lets out: effects to hands, polls to schedulers, looks to the intake, every
    recorded change and every trouble to whoever tells of it. ``may_need`` asks the intake whether a
    main file that is not accepted yet may call for a path; ``reload`` reads the configuration."""

    perform: Callable[[Effect], None]
    poll: Callable[[str, tuple[str, ...]], None]
    look: Callable[[str, str], None]
    may_need: Callable[[str, str], bool]
    changed: Callable[[Sequence[Change]], None]
    trouble: Callable[[str, WatcherError], None]
    back: Callable[[str], None] = lambda _: None  # the trouble of this name is over
    reload: Callable[[], None] = lambda: None
    share: Share | None = None  # None: the ledger is this watcher's alone


class Books:
    """See the module."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Clock,
        outside: Outside,
        former: Sequence[Epoch] = (),
    ) -> None:
        self.settings = settings
        self.former = former
        self.stopping = False
        self.draining = False  # as stopping, for the sake of a new configuration
        # every question of the engine's thread is asked until it is answered
        self.ledger = patient(ledger, self._away, lambda: outside.back("ledger"))
        self.clock = clock
        self.outside = outside
        self.share = self._patiently(outside.share)
        self.seat = self.share.number if self.share is not None else 0
        self.active = Active()
        self.lanes = queueing.Lanes()
        self.polls = {name: Polls(one) for name, one in settings.schedulers.items()}
        self.tally = Tally()
        self.performing = 0
        self.assembled = {
            folder.name for folder in settings.folders if self.ledger.assembled(folder.name)
        }
        self.effects: list[Effect] = []
        self.changes: list[Change] = []
        self._unrecorded: set[int] = set()  # files that ``changes`` tell of
        self._claims = Claims(self.ledger, self.rule_of)
        self._folders = {folder.name: folder for folder in settings.folders}
        self._rules = {
            (folder.name, rule.name): rule for folder in settings.folders for rule in folder.rules
        }
        self._timers: list[tuple[float, int, Effect | tuple[int, int]]] = []
        self._order = itertools.count()

    def _patiently(self, share: Share | None) -> Share | None:
        if share is None:
            return None
        back = partial(self.outside.back, "ledger")
        return replace(share, seats=patient(share.seats, self._away, back))

    # ------------------------------------------------------------ looking things up
    def rule(self, folder: str, rule: str) -> Rule | None:
        """A configured rule, or None when it is gone."""
        return self._rules.get((folder, rule))

    def rule_of(self, file: FileRecord) -> Rule | None:
        """The rule that took a file, as it was then."""
        if not self.former:
            return self._rules.get((file.folder, file.rule))
        return rule_named(self._settings_of(file), file.folder, file.rule)

    def _settings_of(self, file: FileRecord) -> Settings:
        return settings_of(self.settings, self.former, file.id)

    def _folder_of(self, file: FileRecord) -> Folder:
        found = folder_named(self._settings_of(file), file.folder)
        assert found is not None  # noqa: S101  (callers let go of files whose folder is gone)
        return found

    def obstacle(self, work: Work, *, now: bool = False) -> str:
        """Why a file cannot go on under the configuration, nothing when it can: the one that took
        it, or with ``now`` (and for what was held for it) the present one."""
        file = work.file
        held = file.state is FileState.HELD and not file.next_at
        settings = self.settings if now or held else self._settings_of(file)
        return obstacle(settings, list(self.polls), work)

    def hold(self, work: Work, reason: str) -> None:
        """A file that the configuration knows no way for waits for it, untouched."""
        step = Step(work)
        step.move_file(
            FileEvent.HOLD, self.clock.now(), reason, reason=reason, attempt=0, next_at=0.0
        )
        self.note(step)

    def folder(self, name: str) -> Folder | None:
        """A configured folder, or None when it is gone."""
        return self._folders.get(name)

    def work(self, file_id: int) -> Work | None:
        """A file with its jobs, from memory or the ledger."""
        held = self.active.works.get(file_id)
        if held is None and file_id in self._unrecorded:
            self.commit()  # the ledger must tell what was decided
        return held or self.ledger.work(file_id)

    def context(self, work: Work, outcome: Outcome | None = None) -> Context:
        """What a decision needs. Who owns the final names matters when they are planned: after
        the last job is staged (``foresee`` has asked), after a clash, and at recovery."""
        rule = self.rule_of(work.file)
        assert rule is not None  # noqa: S101  (callers let go of files whose rule is gone)
        folder = self._folder_of(work.file)
        owned: dict[str, str] = {}
        repeat = False
        result = outcome.result if outcome is not None else None
        if isinstance(result, Staged):
            repeat, owned = self._claims.foreseen(work)
        elif contested(result) or (outcome is None and all_staged(work)):
            repeat, owned = self._claims.now(work)
        polls = self.polls_of(outcome.effect) if outcome is not None else None
        spread = random.random()  # noqa: S311  (jitter, no secret)
        return Context(
            folder=folder,
            rule=rule,
            now=self.clock.now(),
            spread=spread,
            owned=owned,
            repeat=repeat,
            taken=polls.taken if polls is not None else 0,
        )

    def arrivals_of(self, file: FileRecord) -> list[FileRecord]:
        """Every arrival of a file's path that the ledger still knows, oldest first."""
        return arrivals(self.ledger, file)

    def foresee(self, staged: Sequence[Outcome]) -> None:
        """Ask once who owns the final names of everything that was just staged."""
        works = self.active.works
        effects = ((getattr(one.effect, "file").id, one) for one in staged)  # noqa: B009  (all have)
        self._claims.foresee((works[number], one) for number, one in effects if number in works)

    # ------------------------------------------------------------ taking decisions
    def take(self, step: Step) -> None:
        """A decision about a file in work: to be recorded, then done."""
        old = self.active.works.get(step.work.file.id)
        self.note(step)
        self.active.put(step.work)
        self._follow(old, step.work)

    def note(self, step: Step) -> None:
        """A decision about a file that is not held in memory."""
        self.changes.extend(step.changes)
        self._unrecorded.add(step.work.file.id)
        self.effects.extend(step.effects)
        for at, effect in step.timers:
            self.later(at, effect)

    def _follow(self, old: Work | None, work: Work) -> None:
        """Waiting jobs get in line, submitted ones are asked for, final ones are not."""
        before = {job.id: job for job in old.jobs} if old is not None else {}
        for job in work.jobs:
            was = before.get(job.id)
            if was is not None and was.version != job.version:
                self._moved(was, job, work)
        if work.file.state is FileState.HELD:
            # who waits for somebody takes no place from those who could go on
            self.active.copying.difference_update(job.id for job in work.jobs)
        if old is not None and old.file.state is not work.file.state:
            self.tally.delivered += work.file.state is FileState.DELIVERED
            self.tally.failed += work.file.state is FileState.FAILED

    def _moved(self, was: JobRecord, job: JobRecord, work: Work) -> None:
        if was.remote and (was.remote != job.remote or job.state not in IN_FLIGHT):
            self.polls[was.scheduler].drop(was.remote)
        if job.state is JobState.SUBMITTED and was.state is not JobState.SUBMITTED:
            self.ask_for(job, at_once=False)
        if job.state is JobState.WAITING and not job.outputs:  # else it has begun to pass
            self.active.copying.discard(job.id)
            self.wait(work, job)
        if job.state is JobState.STAGED:
            self._feed(work, job)

    def _feed(self, work: Work, job: JobRecord) -> None:
        """The jobs that are about this one's outputs get in line."""
        rule = self.rule_of(work.file)
        for other in work.jobs if rule is not None else ():
            fed = rule is not None and rule.jobs[other.index].after == job.index
            if fed and other.state is JobState.WAITING:
                self.wait(work, other)

    def wait(self, work: Work, job: JobRecord) -> None:
        """A waiting job of a file in work gets in line, now or when its time comes."""
        if job.next_at > self.clock.now():
            self.later(job.next_at, (work.file.id, job.id))
        else:
            self.active.ready.append((work.file.id, job.id))

    def ask_for(self, job: JobRecord, *, at_once: bool) -> None:
        """Ask the scheduler for this job from now on."""
        now, polls = self.clock.monotonic(), self.polls[job.scheduler]
        due = now if at_once else now + polls.look
        seen = job.state is JobState.RUNNING
        asked = Asked(job.key, job.file_id, job.id, now, due, now, seen=seen)
        polls.add(job.remote, asked)

    # ------------------------------------------------------------ time
    def later(self, at: float, what: Effect | tuple[int, int]) -> None:
        """Ring at this wall time, whatever the wall clock does meanwhile."""
        wait = pacing.until(at, self.clock.now())
        self._push(self.clock.monotonic() + wait, what)

    def _push(self, due: float, what: Effect | tuple[int, int]) -> None:
        heapq.heappush(self._timers, (due, next(self._order), what))

    def next_due(self) -> float | None:
        """When something rings next, monotonic."""
        dues = [
            max(polls.next_due, polls.breaker.until if polls.breaker.open else 0.0)
            for polls in self.polls.values()
            if not polls.busy
        ]
        if self._timers:
            dues.append(self._timers[0][0])
        return min(dues, default=None)

    def ring(self) -> None:
        """Let everything that is due come back."""
        now = self.clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            what = heapq.heappop(self._timers)[2]
            if isinstance(what, tuple):
                self.active.ready.append(what)
            elif not self._overtaken(what):
                self.effects.append(what)

    def _overtaken(self, effect: Effect) -> bool:
        if isinstance(effect, Clean | Look | Return | Identify):
            return False
        work = self.active.works.get(effect.file.id)
        return work is None or outcomes.stale(work, effect)

    # ------------------------------------------------------------ recording, then doing
    def commit(self) -> None:
        """Record what was decided, then let it happen. A ledger that cannot be written stops
        everything until it can: no effect without its record.

        Raises:
            LedgerUnusable: it cannot be written and the daemon is to stop; what was decided and
                not recorded is decided again after the next start.
        """
        if self.changes:
            refused = self.ledger.apply(self.changes)
            if refused:
                self._forget(refused)
        changes, self.changes = self.changes, []
        self._unrecorded.clear()
        effects, self.effects = self.effects, []
        if changes:
            self.outside.changed(changes)
        for effect in effects:
            self._let(effect)

    def _away(self, error: LedgerUnusable) -> None:
        """The ledger did not answer; it is asked again, unless the daemon is to stop."""
        self.outside.trouble("ledger", error)
        if self.stopping:
            raise error

    def _forget(self, refused: frozenset[int]) -> None:
        """Another watcher accepted these files first: nothing of them happened here."""
        self.changes = [one for one in self.changes if file_of(one) not in refused]
        self.effects = [one for one in self.effects if subject(one) not in refused]
        for file_id in refused:
            self.active.drop(file_id)

    @contextmanager
    def contested(self, folder: str, path: str) -> Iterator[None]:
        """Decide on a record that another watcher may change at the same moment: if it did,
        nothing of this happens, and the path is looked at again."""
        if self.share is None:
            yield
            return
        self.commit()
        try:
            yield
            self.commit()
        except StaleRecord:
            self.changes, self.effects = [], []
            self.outside.look(folder, path)

    def others(self, file: FileRecord) -> bool:
        """Whether another watcher works on a file, which is then none of our business."""
        busy = file.state in UNFINISHED or not file.disposed
        return busy and file.holder not in (0, self.seat)

    def _let(self, effect: Effect) -> None:
        if isinstance(effect, Look):
            self.outside.look(effect.folder, effect.path)
            return
        polls = self.polls_of(effect)
        if polls is not None and polls.breaker.open:
            polls.parked.append(effect)
            return
        if isinstance(effect, Dispose | Quarantine) and self._wanted(effect.file):
            self._push(self.clock.monotonic() + PATIENCE, effect)
            return
        self.performing += 1
        self.outside.perform(self._completed(effect))

    def _wanted(self, file: FileRecord) -> bool:
        """Whether another asset may still need this file or its parts, where they are."""
        shared = (part.path for part in file.parts if assets.may_be_part(part.path))
        if any(self.outside.may_need(file.folder, path) for path in shared):
            return True
        if not assets.may_be_part(file.path):
            return False
        if self.outside.may_need(file.folder, file.path):
            return True
        if file.folder not in self.assembled:
            return False
        return bool(self.ledger.needed(file.folder, [file.path], file.id))

    def polls_of(self, effect: Effect) -> Polls | None:
        """The polls of the scheduler that an effect talks to."""
        if isinstance(effect, Clean):
            names = [job.scheduler for job in effect.jobs if job.remote or job.key]
            return self.polls.get(names[0]) if names else None
        return self.polls.get(effect.job.scheduler) if isinstance(effect, Submit | Fetch) else None

    def release(self, effects: Sequence[Effect]) -> None:
        """Their scheduler is back: do now what was parked, if it is still wanted."""
        self.effects.extend(effect for effect in effects if not self._overtaken(effect))

    def _completed(self, effect: Effect) -> Effect:
        """Fill in what only the books know: which parts may go, and the error text."""
        if not isinstance(effect, Dispose | Quarantine):
            return effect
        file = effect.file
        wanted = [part.path for part in file.parts]
        kept = self.ledger.needed(file.folder, wanted, file.id) if wanted else set()
        parts = tuple(path for path in wanted if path not in kept)
        if isinstance(effect, Dispose):
            return Dispose(file, parts)
        work = self.work(file.id)
        assert work is not None  # noqa: S101  (it was recorded before this effect)
        source, now = str(self.settings.source), self.clock.now()
        text = delivery.error_text(work, self._folder_of(file), source, now)
        return Quarantine(file, text, parts)

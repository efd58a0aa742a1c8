"""The engine: one thread that owns the ledger's records and alone lets effects happen.

A turn: drain the inbox, decide in the core, record everything in one transaction, then start the
effects; while they run, the next turn's messages gather, so that commits group by themselves.
Imports ``core`` and the daemon's own parts; sees adapters only as ports. Invariant: no effect
starts before the change that tells of it is durable.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from watcher.core import outcomes
from watcher.core.effects import (
    Clean,
    Identify,
    Left,
    Look,
    Outcome,
    Passed,
    Return,
    Sent,
    Silent,
    Staged,
    Told,
    Wrong,
)
from watcher.core.epochs import Epoch
from watcher.core.lifecycle import UNFINISHED, FileEvent, Step, again, all_staged, recover
from watcher.core.model import FileState, JobState, Work
from watcher.core.ports import Clock, Lane, Ledger, Request
from watcher.core.queueing import WINDOW
from watcher.core.settings import EMBEDDED, Settings
from watcher.daemon.arrivals import Arrivals
from watcher.daemon.books import Books, Outside
from watcher.daemon.hearing import ASKED, Hearing, Hint
from watcher.daemon.seat import Inherited, Lost
from watcher.daemon.sightings import Absent, Arrival
from watcher.daemon.starts import OUTPUT_TROUBLE, Starts
from watcher.errors import Unauthorized, Unreachable, Unserved

DRAIN = 1000  # messages decided in one turn at most
# With so many files in work another message is a moment away: a turn for two of them costs little
# more than one for one, and nobody sees the difference. The more there are, the longer it pays.
BUSY = 8
GATHER = 0.000_25  # seconds for each
GATHER_MOST = 0.016
CROWDED = 1000  # messages that wait, at which whoever brings more is held up
HOLD_UP = 1.0  # seconds, at most: nobody waits for an engine that has ended
COMPACT_MOST = 1000  # records removed in one turn
COMPACT_PAUSE = 1.0
COMPACT_EVERY = 3600.0  # seconds between removals of old history
SURVEY_EVERY = 0.25  # seconds between looks at the lanes of a shared ledger
ASK_EVERY = 0.8  # seconds between looks at the requests of the command line
# the longest wait for a message: what nobody tells of is noticed within a second, and on a shared
# ledger, where others leave work, sooner
IDLE, SHARED = 0.9, 0.5


@dataclass(frozen=True, slots=True)
class Stop:
    """Begin nothing new, finish what is in hand, record it, and end."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Somebody wants the configuration read again."""


class Engine:
    """See the module. ``post`` may be called from any thread, the rest from the engine's own.

    ``former`` are the configurations that files in work may have been accepted under.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        clock: Clock,
        outside: Outside,
        former: Sequence[Epoch] = (),
    ) -> None:
        self.inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
        # an arrival that lies in the inbox may call for a part as well as one that settles
        seen = replace(outside, may_need=lambda *at: outside.may_need(*at) or self._pressed())
        self.books = Books(settings, ledger, clock, seen, former)
        self.beat = clock.monotonic()
        self._arrivals = Arrivals(self.books)
        self._starts = Starts(self.books)
        self._hearing = Hearing(self.books)
        self._asked = 0.0
        self._surveyed = 0.0
        self._compacting = 0.0
        self._handlers: dict[type, Callable[..., None]] = {
            Outcome: self._on_outcome,
            Left: self._on_left,
            Told: self._hearing.told,
            Silent: self._hearing.silent,
            Hint: self._hearing.hint,
            Absent: self._arrivals.gone,
            Stop: self._on_stop,
            Reload: self._on_reload,
            Inherited: self._on_inherited,
            Lost: self._on_lost,
        }

    def _pressed(self) -> bool:
        return not self.inbox.empty()

    # ------------------------------------------------------------ life
    def post(self, message: object) -> None:
        """Leave a message for the next turn."""
        self.inbox.put(message)

    def let_catch_up(self) -> None:
        """Wait a little while too much lies in the inbox: what is not taken yet takes memory, and
        the outcomes of what is under way wait behind it."""
        until = time.monotonic() + HOLD_UP
        while self.inbox.qsize() > CROWDED and not self.books.stopping:
            if time.monotonic() > until:
                return
            time.sleep(0.005)

    def show_life(self) -> None:
        """Give a sign of life: what its thread does now takes time, and comes to an end."""
        self.beat = self.books.clock.monotonic()

    def recover(self) -> None:
        """Take up what an earlier life of the daemon left."""
        books = self.books
        for work in books.ledger.unfinished():
            self.show_life()
            if work.file.holder == books.seat:
                self._take_up(work)
        for lane, count in books.ledger.lanes().items() if books.share is None else ():
            rule = books.rule(lane.folder, lane.rule)
            if rule is not None:
                books.lanes.queue(lane, rule.priority).beyond = count
            else:
                self._hold_lane(lane)
        books.commit()
        self.show_life()

    def _take_up(self, work: Work) -> None:
        books = self.books
        reason = books.obstacle(work)
        if reason:
            self._orphan(work, reason)
            return
        work = self._freed(work)
        books.active.put(work)
        books.effects.extend(recover(work, books.rule_of(work.file)))
        if work.file.state in UNFINISHED:
            self._resume(work)

    def _on_inherited(self, inherited: Inherited) -> None:
        """Files of a watcher that died."""
        for work in inherited.works:
            self._take_up(self._homeless(work))

    def _homeless(self, work: Work) -> Work:
        """Jobs in the dead watcher's own scheduler are out of reach: they begin again."""
        books, step = self.books, Step(work)
        local = {n for n, one in books.settings.schedulers.items() if one.url == EMBEDDED}
        under_way = (*ASKED, JobState.SUBMITTING, JobState.FETCHING)
        for job in work.jobs:
            if job.scheduler in local and job.state in under_way:
                reason = "the watcher that ran it ended"
                again(step, job, books.clock.now(), reason=reason, at=0.0, counts=False)
        books.note(step)
        return step.work

    def _on_lost(self, lost: Lost) -> None:
        raise lost.error

    def _freed(self, work: Work) -> Work:
        """A file that was held for its configuration alone goes on, now that this is back."""
        file = work.file
        if file.state is not FileState.HELD or file.next_at:
            return work
        for epoch in self.books.former:
            epoch.left.add(file.id)
        step = Step(work)
        step.move_file(FileEvent.BEGIN, self.books.clock.now(), reason="")
        self.books.note(step)
        return step.work

    def _hold_lane(self, lane: Lane) -> None:
        """Accepted files of a rule that is gone wait for its return, and say so."""
        books, last = self.books, None
        while works := books.ledger.waiting(lane, WINDOW, last):
            self.show_life()  # there may be very many
            last = (works[-1].file.priority, works[-1].file.id)
            for work in works:
                books.hold(work, books.obstacle(work, now=True))
            books.commit()

    def _resume(self, work: Work) -> None:
        """What recovery leaves to the engine: waiting and asked-for jobs, and publishing."""
        books = self.books
        if all_staged(work):
            step = Step(work)
            outcomes.publish(step, books.context(work), resumed=True)
            books.take(step)
            return
        for job in work.jobs:
            if job.state is JobState.WAITING:
                books.wait(work, job)
            elif job.state in ASKED:
                books.ask_for(job, at_once=True)

    def _orphan(self, work: Work, reason: str) -> None:
        """It waits for the configuration, untouched; told once."""
        file = work.file
        if file.state is FileState.WORKING or (
            file.state is FileState.HELD and (file.next_at or file.reason != reason)
        ):
            self.books.hold(work, reason)

    def run(self, until: Callable[[], bool]) -> None:
        """Turn until ``until`` says so, or until a stop has drained."""
        while not until() and not (self._ending() and self.books.performing == 0):
            self.turn()
        self.books.commit()

    def _ending(self) -> bool:
        return self.books.stopping or self.books.draining

    def turn(self, longest: float = IDLE) -> None:
        """One turn; waits at most ``longest`` seconds for a first message."""
        most = longest if self.books.share is None else min(longest, SHARED)
        messages = self._drain(self._patience(most))
        self.show_life()
        arrived = [one for one in messages if isinstance(one, Arrival)]
        self.books.foresee(
            [m for m in messages if isinstance(m, Outcome) and isinstance(m.result, Staged)]
        )
        for message in messages:
            if not isinstance(message, Arrival):
                self._handlers[type(message)](message)
        if arrived:
            self.books.commit()
            self._arrivals.take(arrived)
            if self.books.share is not None:
                self.books.commit()  # of a file that another watcher accepts too, one is left
        self.books.ring()
        self._requests()
        self._compact()
        if not self._ending():
            self._survey()
            self._starts.begin()
            self._hearing.poll()
        self.books.commit()

    def _patience(self, longest: float) -> float:
        due = self.books.next_due()
        if due is None:
            return longest
        return max(0.0, min(longest, due - self.books.clock.monotonic()))

    def _drain(self, timeout: float) -> list[object]:
        messages: list[object] = []
        try:
            messages.append(self.inbox.get(timeout=timeout) if timeout else self.inbox.get_nowait())
            busy = len(self.books.active.works)
            if busy >= BUSY:
                time.sleep(min(GATHER_MOST, busy * GATHER))
            while len(messages) < DRAIN:
                messages.append(self.inbox.get_nowait())
        except queue.Empty:
            pass
        return messages

    def _on_reload(self, _: Reload) -> None:
        self.books.outside.reload()

    def _on_stop(self, _: Stop) -> None:
        self.books.stopping = True

    def _survey(self) -> None:
        now = self.books.clock.monotonic()
        if now - self._surveyed >= SURVEY_EVERY:
            self._surveyed = now
            self._starts.survey()

    def _leads(self) -> bool:
        return self.books.share is None or self.books.share.leads()

    def _compact(self) -> None:
        """Forget what ended longer ago than the history is kept."""
        books, now = self.books, self.books.clock.monotonic()
        if now < self._compacting or not self._leads():
            return
        self._compacting = now + COMPACT_EVERY
        before = books.clock.now() - books.settings.keep_history
        if books.ledger.compact(before, most=COMPACT_MOST) >= COMPACT_MOST:
            self._compacting = now + COMPACT_PAUSE  # there is more: in pieces, as work goes on

    def _requests(self) -> None:
        books, now = self.books, self.books.clock.monotonic()
        if now - self._asked < ASK_EVERY or not self._leads():
            return
        self._asked = now
        granted = [one.id for one in books.ledger.requests() if self._granted(one)]
        if granted:
            books.commit()
            books.ledger.answered(granted)

    def _granted(self, request: Request) -> bool:
        if request.kind == "reload":
            self._on_reload(Reload())
            return True
        return self._arrivals.retry(request.body)

    # ------------------------------------------------------------ outcomes
    def _on_left(self, _: Left) -> None:
        self.books.performing -= 1

    def _on_outcome(self, outcome: Outcome) -> None:
        self.books.performing -= 1
        effect, result = outcome.effect, outcome.result
        self._note_scheduler(outcome)
        if isinstance(effect, Identify):
            self._arrivals.identified(effect.file, result)
        elif isinstance(effect, Return):
            self._arrivals.returned(effect, result)
        elif not isinstance(effect, Clean | Look):
            work = self.books.active.works.get(effect.file.id)
            if work is not None:
                self._decide(work, outcome)

    def _decide(self, work: Work, outcome: Outcome) -> None:
        if isinstance(outcome.result, Staged | Passed) and not outcomes.stale(work, outcome.effect):
            self.books.active.copying.difference_update(job.id for job in work.jobs)
        context = self.books.context(work, outcome)
        self.books.take(outcomes.after(work, outcome, context))

    def _note_scheduler(self, outcome: Outcome) -> None:
        polls = self.books.polls_of(outcome.effect)
        result = outcome.result
        if polls is None or not isinstance(result, Wrong | Sent | Staged):
            return
        if isinstance(result, Sent | Staged):
            polls.taken += isinstance(result, Sent)
            self._hearing.passed(polls)
        elif isinstance(result.error, Unauthorized | Unserved):
            self._hearing.failed(polls, result.error)
        elif isinstance(result.error, Unreachable):  # this one request's fault, or the scheduler's?
            polls.hurry(self.books.clock.monotonic())

    # ------------------------------------------------------------ what others ask
    def idle(self, without: Collection[str] = ()) -> bool:
        """Whether nothing is left that this run could bring to an end by itself; what waits for
        the schedulers named in ``without`` is not counted."""
        books = self.books
        if books.changes or books.effects or not self.inbox.empty():
            return False
        if books.performing and not without:
            return False
        works = books.active.works.values()
        if any(not (blocked(work, without) or self._starts.bound(work)) for work in works):
            return False
        return not any(self._starts.allowed(lane) for lane in books.lanes.waiting())

    def unreachable(self, *, needed: bool = False) -> dict[str, tuple[float, str]]:
        """Schedulers whose breaker is open: since how many seconds, and why. ``needed``: only
        those that files wait for."""
        now = self.books.clock.monotonic()
        return {
            name: (now - polls.breaker.since, polls.breaker.reason)
            for name, polls in self.books.polls.items()
            if polls.breaker.open and (not needed or self._needed(name))
        }

    def _needed(self, scheduler: str) -> bool:
        books = self.books
        if any(waits_for(work, (scheduler,)) for work in books.active.works.values()):
            return True
        rules = (books.rule(lane.folder, lane.rule) for lane in books.lanes.waiting())
        return any(spec.scheduler == scheduler for rule in rules if rule for spec in rule.jobs)


def blocked(work: Work, without: Collection[str] = ()) -> bool:
    """Whether a file waits for somebody to mend something, after some tries, or for one of these
    schedulers."""
    return work.file.attempt >= OUTPUT_TROUBLE or waits_for(work, without)


def waits_for(work: Work, schedulers: Collection[str]) -> bool:
    """Whether a job of this file cannot go on without one of these schedulers."""
    if work.file.state not in UNFINISHED:
        return False
    open_jobs = (job for job in work.jobs if job.state is not JobState.STAGED)
    return any(job.scheduler in schedulers for job in open_jobs)

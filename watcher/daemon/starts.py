"""Which waiting job begins next, within the limits of scheduler, folder and rule.

Imports ``core`` and ``books``. Invariant: no limit of the configuration is ever exceeded.
"""

from __future__ import annotations

import uuid
from collections import deque

from watcher.core import passing, windows
from watcher.core.lifecycle import UNFINISHED, ready, spec_of, start
from watcher.core.model import FileState, JobRecord, JobState, Work
from watcher.core.ports import Lane
from watcher.core.queueing import WINDOW, Queue
from watcher.core.settings import PASS, JobSpec, Rule
from watcher.daemon.books import Books

COPIES = 512  # pass jobs under way at most: some groups of those that leave together
OUTPUT_TROUBLE = 4  # held files after which a folder begins one more now and then only
PROBE_AFTER = 0.5  # seconds for each held file: when their own size is the trouble, others may pass


class Starts:
    """See the module; runs in the engine's thread."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._probed: dict[str, float] = {}  # monotonic, for each folder in trouble

    def begin(self) -> None:
        """Begin all that may: first the jobs of files in work, then new files, fairly."""
        active = self._books.active
        for _ in range(len(active.ready)):
            file_id, job_id = active.ready.popleft()
            work = active.works.get(file_id)
            job = next((j for j in work.jobs if j.id == job_id), None) if work else None
            waiting = job is not None and job.state is JobState.WAITING
            if work and job and waiting and not self._begin_job(work, job):
                active.ready.append((file_id, job_id))
        for lane, queue in self._books.lanes.order(self.allowed):
            self._probed[lane.folder] = self._books.clock.monotonic()
            if not queue.window:
                self._refill(lane, queue)
            if queue.window:
                self._begin_file(queue.window.popleft())

    def _refill(self, lane: Lane, queue: Queue) -> None:
        self._books.commit()  # the ledger must tell all that was decided
        works = self._next(lane, queue)
        for work in works:
            queue.append(work)
        # a file that started over is accepted again, and in work already
        in_work = self._books.active.works
        queue.window = deque(work for work in queue.window if work.file.id not in in_work)
        queue.beyond = max(0, queue.beyond - len(works)) if works else 0

    def _next(self, lane: Lane, queue: Queue) -> list[Work]:
        share = self._books.share
        if share is None:
            return self._books.ledger.waiting(lane, WINDOW, queue.last)
        # no more than may begin at once: the others are other watchers' as well
        return share.seats.claim(lane, self._room(lane), self._held())

    def _room(self, lane: Lane) -> int:
        rule, active = self._books.rule(lane.folder, lane.rule), self._books.active
        rooms = [
            COPIES - len(active.copying)
            if spec.process == PASS
            else self._books.polls[spec.scheduler].settings.max_in_flight
            - active.counts["scheduler", spec.scheduler]
            for spec in (rule.jobs if rule else ())
        ]
        return max(1, min(COPIES, *rooms))

    def _held(self) -> list[int]:
        """Our files that are in hand and not yet begun."""
        works = self._books.active.works.values()
        return [work.file.id for work in works if work.file.state is FileState.ACCEPTED]

    def survey(self) -> None:
        """Which lanes of a shared ledger have files that anybody may take."""
        books, share = self._books, self._books.share
        if share is None:
            return
        known = {
            Lane(folder.name, rule.name): rule.priority
            for folder in books.settings.folders
            for rule in folder.rules
        }
        free = share.seats.lanes(known)
        for lane, priority in known.items():
            books.lanes.queue(lane, priority).beyond = int(lane in free)

    def _begin_file(self, work: Work) -> None:
        reason = self._books.obstacle(work)
        if reason:
            self._books.hold(work, reason)
            return
        self._books.active.put(work)
        for index in range(len(work.jobs)):
            current = self._books.active.works[work.file.id]
            if not self._begin_job(current, current.jobs[index]):
                self._books.active.ready.append((work.file.id, current.jobs[index].id))

    def _begin_job(self, work: Work, job: JobRecord) -> bool:
        books = self._books
        rule = books.rule_of(work.file)
        if rule is None or job.id in books.active.copying:
            return True
        spec = spec_of(rule, job)
        if not ready(work, spec):
            return True  # it gets in line when the job before it is staged
        if not self._slot(spec) or not windows.is_open(rule.when, books.clock.now()):
            return False
        if spec.process == PASS:
            books.active.copying.add(job.id)
        key = "" if spec.process == PASS else str(uuid.uuid4())
        now = books.clock.now()
        books.take(passing.begin(work, job, rule, now) or start(work, job, rule, key=key, now=now))
        return True

    def _slot(self, spec: JobSpec) -> bool:
        if spec.process == PASS:
            return len(self._books.active.copying) < COPIES
        polls = self._books.polls[spec.scheduler]
        used = self._books.active.counts["scheduler", spec.scheduler]
        return not polls.breaker.open and used < polls.settings.max_in_flight

    def allowed(self, lane: Lane) -> bool:
        """Whether a waiting file of this lane may begin now."""
        rule, folder = self._books.rule(lane.folder, lane.rule), self._books.folder(lane.folder)
        if rule is None or folder is None:
            return False
        counts = self._books.active.counts
        own = f"{lane.folder}/{lane.rule}"
        return (
            self._passable(lane.folder)
            and below(counts["folder", lane.folder], folder.max_in_flight)
            and below(counts["rule", own], rule.max_in_flight)
            and windows.is_open(rule.when, self._books.clock.now())
            and self._any_slot(rule)
        )

    def _passable(self, folder: str) -> bool:
        """Whether held files keep others of their folder back: what hinders them is most likely the
        folder's, but each may only be too large for what is free."""
        held = self._books.active.counts["held", folder]
        since = self._books.clock.monotonic() - self._probed.get(folder, 0.0)
        return held < OUTPUT_TROUBLE or since >= held * PROBE_AFTER

    def bound(self, work: Work) -> bool:
        """Whether all that a file in work could still do now is to wait for its rule's window."""
        rule = self._books.rule_of(work.file)
        if rule is None or windows.is_open(rule.when, self._books.clock.now()):
            return False
        states = {job.state for job in work.jobs}
        held = {JobState.WAITING} <= states <= {JobState.WAITING, JobState.STAGED}
        return work.file.state in UNFINISHED and held

    def _any_slot(self, rule: Rule) -> bool:
        return any(self._slot(spec) for spec in rule.jobs)


def below(count: int, limit: int | None) -> bool:
    """Whether one more is within a limit; None is no limit."""
    return limit is None or count < limit

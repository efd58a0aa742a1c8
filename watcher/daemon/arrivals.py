"""What becomes of settled files: new, known, touched, replaced, gone, retried.

Imports ``core`` and ``books``. Invariant: one live record a path; duplicate events decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from watcher.core import repeats
from watcher.core.effects import Done, Identify, Look, Result, Return, Wrong
from watcher.core.lifecycle import (
    UNFINISHED,
    FileEvent,
    Step,
    accept,
    all_staged,
    fail,
    restart,
    skip,
)
from watcher.core.model import Asset, FileRecord, FileState, Work
from watcher.core.ports import Lane
from watcher.core.rules import choose
from watcher.core.settings import Rule
from watcher.core.verdict import Verdict, verdict
from watcher.daemon.active import done_with
from watcher.daemon.books import Books
from watcher.daemon.sightings import Absent, Arrival

REPLACED = "replaced by new content"
LAG = 120.0  # seconds after which every machine sees what is in a shared folder


class Arrivals:
    """See the module; runs in the engine's thread."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._comparing: dict[int, Arrival] = {}
        # looked at before they are accepted: (folder, path) to the record's id and the arrival
        self._hashing: dict[tuple[str, str], tuple[int, Arrival]] = {}

    def take(self, arrived: Sequence[Arrival]) -> None:
        """Settled assets: of two words on one path in a batch, the later counts."""
        by_folder: dict[str, dict[str, Arrival]] = {}
        for one in arrived:
            by_folder.setdefault(one.asset.folder, {})[one.asset.path] = one
        ledger = self._books.ledger
        for folder, paths in by_folder.items():
            live = ledger.live(folder, list(paths))
            fresh = [path for path in paths if path not in live]
            previous = ledger.last_arrivals(folder, fresh) if fresh else {}
            for path, one in paths.items():
                self._take(one, live.get(path), previous.get(path, 0))

    def _take(self, one: Arrival, record: FileRecord | None, previous: int) -> None:
        rule = self._rule(one.asset)
        kind = verdict(record, one.asset)
        if rule is None or kind is Verdict.SAME:
            return
        if record is None:
            if not one.asset.whole or self._supersedes(one.asset, rule):
                self._accept(one, rule, previous)
            return
        if self._books.others(record):
            return  # its holder sees the same
        with self._books.contested(record.folder, record.path):
            self._again(one, record, kind)

    def _again(self, one: Arrival, record: FileRecord, kind: Verdict) -> None:
        work = self._books.work(record.id)
        if work is None:
            return
        if kind is Verdict.COMPARE:
            self._comparing[record.id] = one
            self._books.effects.append(Identify(record._replace(print=one.asset.print)))
        elif kind is Verdict.TOUCHED and record.id not in self._books.active.works:
            self._touched(work, one.asset)
        else:
            self._renewed(work, one)

    def _rule(self, asset: Asset) -> Rule | None:
        if asset.rule:
            return self._books.rule(asset.folder, asset.rule)
        folder = self._books.folder(asset.folder)
        rule = folder and choose(folder, asset.path, asset.print.size)
        return rule if isinstance(rule, Rule) else None

    def _renewed(self, work: Work, one: Arrival) -> None:
        """New content under a known path: start over, or begin the next arrival."""
        rule = self._rule(one.asset)
        if rule is None:
            return
        open_still = work.file.state in UNFINISHED and not self._books.obstacle(work)
        if open_still and all_staged(work):
            # it is being published: that ends first, then the new content is looked at again
            again = Look(work.file.folder, work.file.path)
            self._books.later(self._books.clock.now() + 1.0, again)
        elif open_still and rule.name == work.file.rule:
            self._restarted(restart(work, one.asset, self._books.clock.now(), why=REPLACED))
        else:
            step = Step(work)
            self._retire(step)
            self._books.take(step)
            self._books.commit()  # the path is free before its next record is made
            self._accept(one, rule, work.file.arrival)

    def _retire(self, step: Step) -> None:
        now, file = self._books.clock.now(), step.work.file
        final: dict[str, Any] = {"live": False, "disposed": True}
        if file.state is FileState.DELIVERED and not file.disposed:
            step.move_file(FileEvent.DISPOSED, now, REPLACED, **final)
        elif file.state in UNFINISHED:
            fail(step, now, reason=REPLACED)
            step.effects.pop()  # nothing of the old content is left to quarantine
            step.save_file(now, "superseded", **final)
        else:
            step.save_file(now, "superseded", REPLACED, **final)

    def _supersedes(self, asset: Asset, rule: Rule) -> bool:
        """A folder or sequence under another main file: what is left of an earlier one that is
        still being disposed of is none, and one that it contains ends for it. False: look later."""
        books, again = self._books, Look(asset.folder, asset.path)
        if books.ledger.needed(asset.folder, [asset.path], 0):
            books.later(books.clock.now() + 1.0, again)
            return False
        paths = [part.path for part in asset.parts]
        for record in books.ledger.live(asset.folder, paths).values() if paths else ():
            work = books.work(record.id) if record.rule == rule.name else None
            if work is None:
                continue
            if record.state in UNFINISHED and all_staged(work):
                books.later(books.clock.now() + 1.0, again)
                return False
            step = Step(work)
            self._retire(step)
            books.take(step)
        return True

    def _to_prove(self, one: Arrival, rule: Rule, file: FileRecord) -> bool:
        """Whether a file that was here before must be looked at before it is accepted. A crash
        meanwhile loses nothing: the scan finds it again.

        One that may be unchanged since it was delivered is read. One that is just like the last
        arrival may be that very arrival, seen before its source was moved away and told after:
        then it is not there any more.
        """
        at = (file.folder, file.path)
        if at in self._hashing:
            self._hashing[at] = (self._hashing[at][0], one)
            return True
        earlier = self._books.arrivals_of(file)
        repeat = rule.on_repeat == "skip" and bool(repeats.candidates(rule, file, earlier))
        repeat = repeat or (rule.dedupe and not file.parts and not one.asset.whole)
        alike = bool(earlier) and earlier[-1].print == file.print and not one.asset.whole
        if repeat or alike:
            self._hashing[at] = (file.id, one)
            self._books.effects.append(Identify(file, read=repeat))
        return repeat or alike

    def _skipped(self, step: Step, rule: Rule) -> bool:
        """Whether a file whose content is known now is an unwanted repeat, and so at its end."""
        books, file = self._books, step.work.file
        folder, why = books.folder(file.folder), self._known_content(rule, file)
        if folder is None or not why:
            return False
        skip(step, folder, books.clock.now(), why)
        books.take(step)
        books.tally.delivered += 1
        return True

    def _known_content(self, rule: Rule, file: FileRecord) -> str:
        """Why a content needs no conversion, nothing when it does."""
        earlier = repeats.repeated(rule, file, self._books.arrivals_of(file))
        if rule.on_repeat == "skip" and earlier is not None:
            return repeats.skipped(earlier)
        name = repeats.content_name(rule, file)
        owner = self._books.ledger.owners(file.folder, [name]).get(name, "") if name else ""
        return repeats.known_as(owner) if owner else ""

    def _hashed(self, file: FileRecord, result: Result) -> None:
        """The content of a file that is not accepted yet is known now."""
        _, one = self._hashing.pop((file.folder, file.path))
        rule, books = self._rule(one.asset), self._books
        books.commit()
        taken = books.ledger.live(file.folder, [file.path])
        if not isinstance(result, Done) or one.asset.print != file.print or rule is None or taken:
            books.outside.look(file.folder, file.path)
        else:
            self._accept(one, rule, file.arrival - 1, result)

    def _accept(self, one: Arrival, rule: Rule, previous: int, proof: Done | None = None) -> None:
        """A new arrival, after those ``previous`` ones; ``proof``: it was looked at, or read."""
        books, asset = self._books, one.asset
        tolerated = rule.missing == "warn" or asset.cut
        names = ", ".join(asset.missing)
        if asset.missing and tolerated:
            text = f"submitted without files that it needs: {names}"
            asset = replace(asset, warnings=(*asset.warnings, text))
        if asset.parts:
            books.assembled.add(asset.folder)
        ids = books.ledger.new_ids(1 + len(rule.jobs))
        digest = proof.text if proof is not None else ""
        lost = bool(asset.fault or (asset.missing and not tolerated))
        # of one that comes to its end at once this watcher disposes
        holder = books.seat if lost or digest else 0
        now = books.clock.now()
        step = accept(asset, rule, ids, arrival=previous + 1, now=now, digest=digest, holder=holder)
        again = previous > 0 or rule.dedupe
        if proof is None and again and self._to_prove(one, rule, step.work.file):
            return
        waited = f"{rule.wait_for_parts:g} s"
        reason = f"files that it needs did not come within {waited}: {names}"
        if lost:
            reason = asset.fault or reason
            fail(step, books.clock.now(), reason=reason)
            books.take(step)
            books.tally.failed += 1
            return
        if digest and self._skipped(step, rule):
            return
        books.note(step)
        queue = books.lanes.queue(Lane(asset.folder, rule.name), rule.priority)
        if books.share is None:
            queue.add(step.work)
        else:
            queue.beyond += 1  # whoever is free may take it

    def _restarted(self, step: Step) -> None:
        """A file starts over: in its lane, or as the one in work that it is."""
        books, file = self._books, step.work.file
        if file.id in books.active.works:
            books.take(step)
            return
        books.note(step)
        if books.share is not None and not step.work.file.holder:
            return  # it waits in the ledger for whoever takes it
        if not books.lanes.replace(step.work) and not books.lanes.holds(step.work):
            books.active.put(step.work)  # it was final: it is in work again
            for job in step.work.jobs:
                books.wait(step.work, job)

    def _touched(self, work: Work, asset: Asset) -> None:
        step = Step(work)
        parts = asset.parts or work.file.parts
        now = self._books.clock.now()
        step.save_file(
            now, "touched", print=asset.print, parts=parts, params=asset.params or work.file.params
        )
        if work.file.id in self._books.active.works:
            self._books.take(step)
        else:
            self._books.note(step)
            self._books.lanes.replace(step.work)

    def identified(self, file: FileRecord, result: Result) -> None:
        """The content of a file whose time changed, or that comes again, is known now."""
        if self._hashing.get((file.folder, file.path), (0,))[0] == file.id:
            self._hashed(file, result)
            return
        one = self._comparing.pop(file.id, None)
        work = self._books.work(file.id)
        if one is None or work is None or not work.file.live:
            return
        if not isinstance(result, Done):
            self._books.outside.look(file.folder, file.path)
        elif not self._books.others(work.file):
            with self._books.contested(file.folder, file.path):
                if result.text == work.file.digest and not self._held_up(work):
                    self._touched(work, one.asset)
                else:
                    self._renewed(work, one)

    def _held_up(self, work: Work) -> bool:
        """Whether a file waits for its configuration: dropped again, it is a new arrival."""
        return work.file.state in UNFINISHED and bool(self._books.obstacle(work))

    def gone(self, gone: Absent) -> None:
        """Coming back will be a new arrival; what is in work finds out by itself."""
        books = self._books
        for record in books.ledger.live(gone.folder, list(gone.paths)).values():
            work = books.work(record.id)
            if work is None or not done_with(work) or self._unsure(record):
                continue
            with books.contested(record.folder, record.path):
                step = Step(work)
                now = books.clock.now()
                step.save_file(now, "gone", "it is no longer in the input folder", live=False)
                books.note(step)

    def _unsure(self, record: FileRecord) -> bool:
        """Whether a file may be there for other machines, though not yet for this one."""
        books = self._books
        return books.share is not None and books.clock.now() - record.changed_at < LAG

    def retry(self, body: Mapping[str, Any]) -> bool:
        """The wish of ``watcher retry``: failed files go back into their input. False while one of
        them is still on its way into the failed folder: a job sent for it now would find its
        source there or not, as it happens. The wish stays until it can be done for all."""
        found = (self._books.work(file_id) for file_id in body.get("files", ()))
        failed = [work.file for work in found if work and work.file.state is FileState.FAILED]
        active = self._books.active.works
        if any(file.id in active for file in failed):
            return False
        for file in failed:
            if file.disposed and self._books.folder(file.folder) is not None:
                self._books.effects.append(Return(file))
            else:
                gone = f"folder {file.folder!r} or rule {file.rule!r} is no longer configured"
                self._not_returned(file, gone)
        return True

    def _not_returned(self, file: FileRecord, why: str) -> None:
        work = self._books.work(file.id)
        if work is not None:
            step = Step(work)
            step.save_file(self._books.clock.now(), "retry failed", why)
            self._books.note(step)

    def returned(self, effect: Return, result: Result) -> None:
        """A failed file is back in its input, where it settles as a new arrival; or it is not."""
        file = effect.file
        if isinstance(result, Wrong):
            self._not_returned(file, str(result.error))
        else:
            self._books.outside.look(file.folder, file.path)

"""The ledger in memory: the same promises as the one on disk, but for durability.

May import core and errors. Invariant: a batch that raises leaves nothing of itself.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from watcher.core.model import FileRecord, FileState, HistoryRow, JobRecord, Work, nfc
from watcher.core.ports import (
    Change,
    Lane,
    NewFile,
    Note,
    OwnTarget,
    Request,
    SaveFile,
    SaveJob,
)
from watcher.errors import StaleRecord

FINAL = {FileState.DELIVERED, FileState.ARCHIVED, FileState.FAILED}


class MemoryLedger:
    """``Ledger`` in dictionaries."""

    def __init__(self) -> None:
        self._files: dict[int, FileRecord] = {}
        self._jobs: dict[int, dict[int, JobRecord]] = {}  # by file, by job
        self._notes: dict[int, list[HistoryRow]] = {}
        self._paths: dict[tuple[str, str], dict[int, int]] = {}  # arrival to file
        self._live: dict[tuple[str, str], int] = {}
        self._keys: dict[str, int] = {}
        self._job_ids: set[int] = set()
        self._targets: dict[tuple[str, str], str] = {}
        self._requests: list[Request] = []
        self._asked = 0
        self._last_id = 1 << 50
        self._undo: list[Callable[[], object]] = []
        self._lock = threading.RLock()

    @property
    def seats(self) -> None:
        return None

    def new_ids(self, count: int) -> Sequence[int]:
        with self._lock:
            first = self._last_id + 1
            self._last_id += count
        return range(first, first + count)

    # ------------------------------------------------------------ changes
    def apply(self, changes: Iterable[Change]) -> frozenset[int]:
        with self._lock:
            self._undo = []
            try:
                for change in changes:
                    self._one(change)
            except BaseException:
                for undo in reversed(self._undo):
                    undo()
                raise
        return frozenset()

    def _one(self, change: Change) -> None:
        match change:
            case NewFile():
                self._new(change)
            case SaveFile(before, after):
                self._check(self._files.get(before.id), before, after)
                self._put(after)
                self._tell(after.id, after.state, "", change.notes)
            case SaveJob(before, after):
                stored = self._jobs.get(before.file_id, {}).get(before.id)
                self._check(stored, before, after)
                self._put_job(after)
                self._tell(after.file_id, after.state, after.label, change.notes)
            case OwnTarget():
                self._set(self._targets, (change.folder, change.target), change.path)

    def _new(self, change: NewFile) -> None:
        file = change.file
        arrivals = self._paths.get((file.folder, file.path), {})
        if file.id in self._files or file.arrival in arrivals:
            raise StaleRecord("this record is there already")
        self._put(file)
        for job in change.jobs:
            taken = {other.index for other in self._jobs.get(file.id, {}).values()}
            if job.id in self._job_ids or job.index in taken or job.file_id != file.id:
                raise StaleRecord("this job is there already, or another file's")
            self._job_ids.add(job.id)
            self._undo.append(partial(self._job_ids.discard, job.id))
            self._put_job(job)
        self._tell(file.id, file.state, "", change.notes)

    def _check(self, stored: Any, before: Any, after: Any) -> None:
        if stored is None or (stored.state, stored.version) != (before.state, before.version):
            raise StaleRecord("a record was changed by somebody else meanwhile")

    def _put(self, file: FileRecord) -> None:
        at = (file.folder, file.path)
        holder = self._live.get(at)
        if file.live and holder not in (None, file.id):
            raise StaleRecord("the path has a live record")
        if file.live:
            self._set(self._live, at, file.id)
        elif holder == file.id:
            self._drop(self._live, at)
        self._arrive(file)
        self._set(self._files, file.id, file)

    def _arrive(self, file: FileRecord) -> None:
        arrivals, stored = self._paths.setdefault((file.folder, file.path), {}), file.id
        if arrivals.get(file.arrival, stored) != stored:
            raise StaleRecord("another record has this arrival")
        if stored in self._files:
            self._drop(arrivals, self._files[stored].arrival)
        self._set(arrivals, file.arrival, stored)

    def _put_job(self, job: JobRecord) -> None:
        jobs = self._jobs.setdefault(job.file_id, {})
        stored = jobs.get(job.id)
        if job.key and self._keys.get(job.key, job.id) != job.id:
            raise StaleRecord("the key is another job's")
        if stored is not None and stored.key:
            self._drop(self._keys, stored.key)
        if job.key:
            self._set(self._keys, job.key, job.id)
        self._set(jobs, job.id, job)

    def _tell(self, file_id: int, state: str, job: str, notes: tuple[Note, ...]) -> None:
        told = self._notes.setdefault(file_id, [])
        length = len(told)
        self._undo.append(lambda: told.__delitem__(slice(length, None)))
        told.extend(HistoryRow(n.at, n.event, str(state), job, n.text) for n in notes)

    def _set(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if key in table:
            self._undo.append(partial(table.__setitem__, key, table[key]))
        else:
            self._undo.append(lambda: table.pop(key, None))
        table[key] = value

    def _drop(self, table: dict[Any, Any], key: Any) -> None:
        self._undo.append(partial(table.__setitem__, key, table[key]))
        del table[key]

    # ------------------------------------------------------------ answers
    def live(self, folder: str, paths: Sequence[str]) -> dict[str, FileRecord]:
        with self._lock:
            held = ((path, self._live.get((folder, path))) for path in paths)
            return {path: self._files[number] for path, number in held if number is not None}

    def known(self, folder: str, directory: str) -> set[tuple[str, int, int]]:
        with self._lock:
            found = set()
            for (owner, path), number in self._live.items():
                above, _, name = path.rpartition("/")
                if (owner, above) == (folder, directory):
                    mark = self._files[number].print
                    found.add((name, mark.size, mark.mtime_ns))
            return found

    def known_each(
        self, folder: str, directories: Sequence[str]
    ) -> list[set[tuple[str, int, int]]]:
        return [self.known(folder, directory) for directory in directories]

    def known_among(
        self, folder: str, directory: str, names: Sequence[str]
    ) -> set[tuple[str, int, int]]:
        return {row for row in self.known(folder, directory) if row[0] in names}

    def known_count(self, folder: str, directory: str) -> int:
        return len(self.known(folder, directory))

    def known_names(self, folder: str, directory: str, after: str, limit: int) -> list[str]:
        every = sorted((row[0] for row in self.known(folder, directory)), key=os.fsencode)
        return [name for name in every if os.fsencode(name) > os.fsencode(after)][:limit]

    def directories(self, folder: str) -> Iterator[str]:
        with self._lock:
            found = {path.rpartition("/")[0] for owner, path in self._live if owner == folder}
        yield from sorted(found, key=os.fsencode)

    def last_arrival(self, folder: str, path: str) -> FileRecord | None:
        with self._lock:
            arrivals = self._paths.get((folder, path))
            return self._files[arrivals[max(arrivals)]] if arrivals else None

    def last_arrivals(self, folder: str, paths: Sequence[str]) -> dict[str, int]:
        newest = {path: self.last_arrival(folder, path) for path in paths}
        return {path: file.arrival for path, file in newest.items() if file is not None}

    def needed(self, folder: str, paths: Sequence[str], file_id: int) -> set[str]:
        open_states = (FileState.ACCEPTED, FileState.WORKING, FileState.HELD)
        with self._lock:
            others = [
                file
                for file in self._files.values()
                if file.folder == folder and file.id != file_id and file.state in open_states
            ]
            called = {part.path for file in others for part in file.parts}
            called |= {file.path for file in others if file.live}
            return called & set(paths)

    def assembled(self, folder: str) -> bool:
        with self._lock:
            return any(file.parts for file in self._files.values() if file.folder == folder)

    def unfinished(self) -> list[Work]:
        def wanted(file: FileRecord) -> bool:
            ended = file.state in (FileState.DELIVERED, FileState.FAILED)
            working = file.state in (FileState.WORKING, FileState.HELD)
            return working or (ended and not file.disposed)

        return self._works(wanted)

    def lanes(self) -> dict[Lane, int]:
        waiting = self._works(lambda file: file.state is FileState.ACCEPTED)
        return dict(Counter(Lane(work.file.folder, work.file.rule) for work in waiting))

    def waiting(self, lane: Lane, limit: int, after: tuple[int, int] | None = None) -> list[Work]:
        def place(file: FileRecord) -> tuple[int, int]:
            return (-file.priority, file.id)

        last = (-after[0], after[1]) if after else None
        works = self._works(
            lambda file: (
                file.state is FileState.ACCEPTED
                and (file.folder, file.rule) == (lane.folder, lane.rule)
                and (last is None or place(file) > last)
            )
        )
        return sorted(works, key=lambda work: place(work.file))[:limit]

    def owners(self, folder: str, targets: Sequence[str]) -> dict[str, str]:
        with self._lock:
            keys = ((target, (folder, target)) for target in targets)
            return {target: self._targets[key] for target, key in keys if key in self._targets}

    def work(self, file_id: int) -> Work | None:
        return next(iter(self._works(lambda file: file.id == file_id)), None)

    def files(
        self,
        *,
        folder: str = "",
        state: FileState | None = None,
        q: str = "",
        limit: int = 0,
        offset: int = 0,
    ) -> list[Work]:
        works = self._works(
            lambda file: (
                folder in ("", file.folder)
                and state in (None, file.state)
                and nfc(q).casefold() in nfc(file.path).casefold()
            )
        )
        works = works[::-1][offset:]
        return works[:limit] if limit else works

    def counts(self) -> dict[tuple[str, FileState], int]:
        works = self._works(lambda file: file.live or file.state in FINAL)
        return dict(Counter((work.file.folder, work.file.state) for work in works))

    def history(self, folder: str, path: str) -> list[tuple[FileRecord, list[HistoryRow]]]:
        with self._lock:
            arrivals = sorted(self._paths.get((folder, path), {}).items())
            return [(self._files[n], list(self._notes.get(n, []))) for _, n in arrivals]

    def _works(self, wanted: Callable[[FileRecord], bool]) -> list[Work]:
        with self._lock:
            return [self._with_jobs(f) for _, f in sorted(self._files.items()) if wanted(f)]

    def _with_jobs(self, file: FileRecord) -> Work:
        jobs = self._jobs.get(file.id, {}).values()
        return Work(file, tuple(sorted(jobs, key=lambda job: job.index)))

    # ------------------------------------------------------------ requests and upkeep
    def ask(self, kind: str, body: Mapping[str, Any], at: float) -> None:
        with self._lock:
            self._asked += 1
            self._requests.append(Request(self._asked, kind, json.loads(json.dumps(dict(body)))))

    def requests(self) -> list[Request]:
        with self._lock:
            return list(self._requests)

    def answered(self, ids: Sequence[int]) -> None:
        with self._lock:
            self._requests = [request for request in self._requests if request.id not in ids]

    def compact(self, before: float, *, most: int = 0) -> int:
        with self._lock:
            old = [
                file
                for file in self._files.values()
                if not file.live
                and file.disposed
                and file.state in FINAL
                and file.changed_at < before
            ]
            old = old[:most] if most else old
            for file in old:
                self._forget(file)
            return len(old)

    def _forget(self, file: FileRecord) -> None:
        del self._files[file.id]
        del self._paths[file.folder, file.path][file.arrival]
        self._notes.pop(file.id, None)
        for job in self._jobs.pop(file.id, {}).values():
            self._keys.pop(job.key, None)
            self._job_ids.discard(job.id)

    def close(self) -> None:
        """Nothing is open."""

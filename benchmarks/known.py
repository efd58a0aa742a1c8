"""A tree of files that the ledger knows already, made once and kept for several rounds.

Imports the ledger's adapter and core. Invariant: what the ledger says of each file is what lies
there, so that a scan finds nothing to do.
"""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.machine import CONFIG
from watcher.adapters.ledger import open_ledger
from watcher.core.model import FileRecord, FileState, Fingerprint, JobRecord, JobState
from watcher.core.ports import NewFile

GROUP = 5000


def make(root: Path, files: int, folders: int, *, on_disk: bool = True) -> None:
    """``files`` empty files spread over ``folders``, all of them delivered long ago."""
    (root / "in").mkdir(parents=True, exist_ok=True)
    (root / "out").mkdir(exist_ok=True)
    (root / "var").mkdir(exist_ok=True)
    (root / "watcher.yaml").write_text(
        "log: {level: debug}\n" + CONFIG % {"settle": "0s", "scan": "1h"}
    )
    ledger = open_ledger(root / "var", read_only=False)
    each = max(1, files // folders)
    changes: list[NewFile] = []
    for number in range(files):
        at, name = f"d{number // each}", f"f{number:07}.bin"
        if on_disk:
            if number % each == 0:
                (root / "in" / at).mkdir(exist_ok=True)
            os.close(os.open(root / "in" / at / name, os.O_CREAT | os.O_WRONLY, 0o644))
            found = (root / "in" / at / name).stat()
            print_ = Fingerprint(found.st_size, found.st_mtime_ns)
        else:
            print_ = Fingerprint(0, 1)
        changes.append(_known(ledger.new_ids(2), f"{at}/{name}", print_))
        if len(changes) == GROUP or number == files - 1:
            ledger.apply(changes)
            changes = []
    ledger.close()


def _known(ids: object, path: str, found: Fingerprint) -> NewFile:
    first, second = ids  # type: ignore[misc]
    file = FileRecord(
        id=first, folder="in", path=path, arrival=1, state=FileState.DELIVERED, rule="all",
        print=found, disposed=True, accepted_at=1.0, changed_at=1.0,
    )  # fmt: skip
    job = JobRecord(
        id=second, file_id=first, index=0, label="pass", scheduler="", state=JobState.DELIVERED,
        changed_at=1.0,
    )  # fmt: skip
    return NewFile(file, (job,))

"""How a file is shown as JSON: the one shape of ``watcher files --json`` and ``/api/files``.

Imports the model and settings. Invariant: the words are the ledger's, times are ISO 8601.
"""

from __future__ import annotations

from typing import Any

from watcher.core.delivery import stamp
from watcher.core.model import Work
from watcher.core.settings import Settings


def described(settings: Settings, work: Work) -> dict[str, Any]:
    """One file as JSON: the ledger's words, times in ISO 8601."""
    file = work.file
    folder = next((one for one in settings.folders if one.name == file.folder), None)
    return {
        "id": file.id,
        "folder": file.folder,
        "path": file.path,
        "input": str(folder.input / file.path) if folder else "",
        "arrival": file.arrival,
        "state": file.state,
        "rule": file.rule,
        "size": file.print.size,
        "hash": file.digest,
        "parts": [part.path for part in file.parts],
        "sidecar": dict(file.params),
        "reason": file.reason,
        "warnings": list(file.warnings),
        "accepted": stamp(file.accepted_at),
        "changed": stamp(file.changed_at),
        "next_attempt": stamp(file.next_at),
        "moved_to": file.disposal,
        "jobs": [
            {
                "job": job.label,
                "state": job.state,
                "scheduler": job.scheduler,
                "id": job.remote or job.key,
                "attempt": job.attempt,
                "next_attempt": stamp(job.next_at),
                "progress": job.progress,
                "error": job.error,
                "warnings": list(job.warnings),
                "outputs": [
                    {"name": one.name, "path": one.target, "size": one.size, "hash": one.digest}
                    for one in job.outputs
                ],
            }
            for job in work.jobs
        ],
    }

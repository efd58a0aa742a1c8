"""``-u embedded``: the scheduler of this package, in this process, behind ``Remote``.

Imports the embedded scheduler, the HTTP client's types, errors and ``place``. Invariant: documents
are those of ``watcher serve``; no output is handed out as a link to the scheduler's own file.
"""

from __future__ import annotations

import uuid as uuids
import zipfile
from pathlib import Path
from typing import Any

from watcher.adapters.http import Details, Job, Submission, wire
from watcher.cli.place import whole
from watcher.core.ports import JobRequest
from watcher.embedded import documents
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.embedded.store import ENDED, REVOKED
from watcher.errors import FileGone, JobLost, OutsideRoot, Refused, TooEarly

BLOCK = 1 << 20
GRACE = 1.0  # seconds that its job gets when a command is interrupted
HERE = "embedded"


class LocalRemote:
    """The embedded scheduler on a state folder, for one command.

    Runs what the command submits and the job that it follows; others that an interrupted command
    left wait until somebody follows them, and hold nobody up.

    Raises:
        StateTaken: another process has the folder.
    """

    def __init__(self, state: Path, *, follows: str = "") -> None:
        self._scheduler = EmbeddedScheduler(
            EmbeddedOptions(state=state, grace=GRACE, revives=(follows,))
        )

    def processes(self) -> tuple[str, ...]:
        """See ``Remote``."""
        return self._scheduler.processes()

    def doc(self, process: str) -> str:
        """See ``Remote``."""
        text = self._scheduler.document(process)
        return str(documents.documentation(process, text)["doc"])

    def listed(self) -> tuple[dict[str, Any], ...]:
        """See ``Remote``."""
        return tuple(documents.short(job) for job in self._scheduler.jobs())

    def status(self, uuid: str) -> Job:
        """See ``Remote``."""
        job = self._scheduler.get(uuid)
        return wire.job(documents.short(job) if job else documents.unknown(uuid), HERE)

    def details(self, uuid: str) -> Details:
        """See ``Remote``."""
        job = self._scheduler.get(uuid)
        found = documents.details(job) if job else documents.unknown_details(uuid)
        return wire.details(found, HERE)

    def outputs(self, uuid: str) -> tuple[str, ...]:
        """See ``Remote``."""
        top = self._scheduler.output_folder(uuid)
        if self._scheduler.get(uuid) is None or not top.is_dir():
            return ()
        return tuple(sorted(path.name for path in top.iterdir()))

    def download(self, uuid: str, name: str, target: Path, *, progress: Any = None) -> int:
        """See ``Remote``."""
        try:
            path = self._scheduler.output_path(uuid, name)
        except (FileGone, OutsideRoot) as error:
            raise JobLost(error.what, where=f"output {name!r} of job {uuid}") from error
        if not path.is_file():
            raise Refused("is a folder", where=f"output {name!r} of job {uuid}")
        total, done = path.stat().st_size, 0
        with whole(target) as part, path.open("rb") as stream, part.open("wb") as out:
            while block := stream.read(BLOCK):
                out.write(block)
                done += len(block)
                if progress is not None:
                    progress(done, total)
        return done

    def archive(self, uuid: str, target: Path, *, progress: Any = None) -> None:
        """See ``Remote``; it is packed at once, so there is nothing to wait for."""
        job = self._scheduler.get(uuid)
        if job is None:
            raise JobLost("there is no such job", where=uuid)
        if job.status not in ENDED or job.status == REVOKED:
            raise TooEarly(f"the job is {job.status}", where=uuid)
        names = self._scheduler.outputs(uuid)
        with whole(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as packed:
            for count, name in enumerate(names, 1):
                packed.write(self._scheduler.output_path(uuid, name), name)
                if progress is not None:
                    progress(count, len(names))

    def submit(self, wanted: Submission, *, progress: Any = None) -> Job:
        """See ``Remote``; the files are copied, of which the end is told."""
        config = dict(wanted.config)
        if len(wanted.sources) > 1:
            config.pop("root_file", None)  # speaks of an archive; here the first file is the main
        request = JobRequest(
            key=str(uuids.uuid4()),
            name=wanted.name,
            process=wanted.process,
            script=wanted.script,
            entrypoint=config.pop("entrypoint", "main"),
            params=wanted.params,
            sources=wanted.sources,
            queue=config.pop("queue", ""),
            time_limit=config.pop("time_limit", None),
        )
        remote = self._scheduler.submit(request, config=config).remote
        if progress is not None:
            total = sum(each.size for each in wanted.sources)
            progress(total, total)
        return wire.job(documents.submitted(remote, wanted.name), HERE)

    def close(self) -> None:
        """Stop; what still runs is left for the next command that follows it."""
        self._scheduler.close()

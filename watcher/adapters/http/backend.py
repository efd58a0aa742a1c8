"""The daemon's ``Backend`` port over the HTTP client.

Imports this package, content, errors and the core. Invariant: nothing is repeated here, but for a
cut download: pacing decides when to try again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from watcher import content
from watcher.adapters.http import download
from watcher.adapters.http.ask import Asking
from watcher.adapters.http.client import Client, Submission
from watcher.adapters.http.wire import State
from watcher.core.model import Fetched, JobStatus, Phase, Submitted
from watcher.core.ports import JobRequest
from watcher.errors import Garbled, JobLost, OutsideRoot, Refused, TooEarly

FRESH = 60.0  # seconds for which a job that was told to have succeeded is not asked for again
MANY = 10_000  # of those, at most


class HttpBackend:
    """A real scheduler, or ``watcher serve``, as the daemon sees it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asking = Asking(client)
        self._succeeded: dict[str, float] = {}  # when (monotonic) it was told
        self._deletes = True  # until it says that it cannot

    def submit(self, request: JobRequest) -> Submitted:
        """Send the job under the caller's key; the reply's id may be another one."""
        for source in request.sources:
            _inside(source.name)
        config: dict[str, Any] = {"task_id": request.key}
        if request.entrypoint != "main":
            config["entrypoint"] = request.entrypoint
        if request.queue:
            config["queue"] = request.queue
        if request.time_limit is not None:
            config["time_limit"] = request.time_limit
        if len(request.sources) > 1:
            config["root_file"] = request.sources[0].name
        elif request.root_file:
            config["root_file"] = request.root_file
        wanted = Submission(
            process=request.process,
            script=request.script,
            name=request.name,
            params=dict(request.params),
            config=config,
            sources=request.sources,
            key=request.key,
        )
        return Submitted(self._client.submit(wanted).uuid)

    def status(self, remotes: Sequence[str]) -> dict[str, JobStatus]:
        """The word on each id; one list for many where that is cheaper."""
        words = self._asking.words(remotes)
        now = time.monotonic()
        if len(self._succeeded) > MANY:
            self._succeeded.clear()
        for remote, word in words.items():
            if word.phase is Phase.SUCCEEDED:
                self._succeeded[remote] = now
        return words

    # ---------------------------------------------------------------- outputs
    def fetch(self, remote: str, into: Path) -> tuple[Fetched, ...]:
        """All outputs: file by file, or through the archive when a folder is among them."""
        told = self._succeeded.pop(remote, -FRESH)
        names: tuple[str, ...] = ()
        if time.monotonic() - told < FRESH:
            names = self._client.outputs(remote)
        if not names:  # no outputs, or the store was lost since
            self._prove_ended(remote, into)
            names = self._client.outputs(remote)
        for name in names:
            download.inside(into, name)
        fetched = self._files(remote, names, into)
        if fetched is not None:
            return fetched
        self._unpack(remote, into)
        found = (each for each in sorted(into.rglob("*")) if each.is_file())
        return tuple(_fetched(each, into) for each in found)

    def _prove_ended(self, remote: str, into: Path) -> None:
        state = self._client.status(remote).state
        if state is not State.SUCCESS and not self._survives(remote, state, into):
            raise TooEarly(f"the job is {state}, not SUCCESS", where=remote)

    def _survives(self, remote: str, state: State, into: Path) -> bool:
        """A job that is unknown while its outputs are there succeeded before the store was lost.

        The archive tells a job without any folder (``JobLost``) from an unfinished one.
        """
        if state is not State.PENDING:
            return False
        with tempfile.TemporaryDirectory(dir=into) as place:
            try:
                self._client.archive(remote, Path(place) / "a.zip")
            except TooEarly:
                return bool(self._client.outputs(remote))
        return True

    def _files(self, remote: str, names: Sequence[str], into: Path) -> tuple[Fetched, ...] | None:
        """The outputs, when all names were files; those without a suffix come first, they may be
        folders."""
        found = {}
        for name in sorted(names, key=lambda each: ("." in each, each)):
            state = content.hashing()
            try:
                size = self._client.download(remote, name, into / name, state=state)
            except (JobLost, Garbled, Refused):  # how the servers answer for a folder
                return None
            found[name] = Fetched(name, size, state.hexdigest())
        return tuple(found[name] for name in sorted(found))

    def _unpack(self, remote: str, into: Path) -> None:
        with tempfile.TemporaryDirectory(dir=into) as place:
            packed = Path(place) / "outputs.zip"
            self._client.archive(remote, packed)
            download.unpack(packed, into)

    # ---------------------------------------------------------------- the rest
    def forget(self, remote: str) -> None:
        """Remove the job where the server can."""
        if not self._deletes:
            return
        try:
            self._client.delete(remote)
        except Refused:
            self._deletes = False
        except JobLost:
            return

    def cancel(self, remote: str) -> None:
        """Stop the job where the server can; an ended one is left as it is."""
        try:
            if self._deletes and not self._client.status(remote).state.ended:
                self._client.delete(remote)
        except Refused:
            self._deletes = False
        except JobLost:
            return

    def processes(self) -> tuple[str, ...]:
        """The names of the processes it can run."""
        return self._client.processes()

    def listen(self, changed: Callable[[str], None]) -> None:
        """This API tells nothing by itself: polling finds out."""

    def close(self) -> None:
        """Close the connections."""
        self._asking.close()
        self._client.close()


def _inside(name: str) -> None:
    try:
        download.inside(Path(), name)
    except OutsideRoot as error:
        raise Refused("the name of an input leads out of its folder", where=name) from error


def _fetched(path: Path, into: Path) -> Fetched:
    with path.open("rb") as stream:
        size, digest = content.copy(stream, None)
    return Fetched(path.relative_to(into).as_posix(), size, digest)

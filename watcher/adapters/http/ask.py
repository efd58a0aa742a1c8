"""Asking for the word on many jobs with few requests, and what the words mean.

Imports the client, wire, errors and core's model. Invariant: an id is left out of the answer only
when the server is certain that it has no such job; one odd record never hides the others.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from watcher.adapters.http.client import Client
from watcher.adapters.http.wire import Details, Job, State, job
from watcher.core.model import JobStatus, Phase
from watcher.errors import Garbled, JobLost, Refused, Unreachable

MANY = 4  # from so many ids on, one list may be cheaper than single questions
ASKERS = 4  # single questions at once
ROUND = 10.0  # seconds that one round of questions may take, roughly
SPOT = 8  # ids a round that a list does not name are asked for singly
FADE = 0.98  # of a list that is dearer than single questions, each time it is passed over
REST = 60.0  # seconds until a list that failed is tried again
NOBODY = "00000000-0000-4000-8000-000000000000"  # no job: whether store and token are fine
PHASES = {
    State.SENT: Phase.QUEUED,
    State.PENDING: Phase.UNSEEN,
    State.RECEIVED: Phase.QUEUED,
    State.STARTED: Phase.RUNNING,
    State.RUNNING: Phase.RUNNING,
    State.RETRY: Phase.RUNNING,
    State.SUCCESS: Phase.SUCCEEDED,
    State.FAILURE: Phase.FAILED,
    State.REVOKED: Phase.REVOKED,
}
SILENT = JobStatus(Phase.SILENT)


class Asking:
    """Decides between ``GET /jobs`` and single questions by what each was seen to cost."""

    def __init__(self, client: Client, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._pool = ThreadPoolExecutor(ASKERS, "watcher-ask")
        self._list_cost = 0.0  # seconds; 0 while unknown
        self._single_cost = 0.002
        self._list_after = 0.0
        self._spots = itertools.count()

    def words(self, remotes: Sequence[str]) -> dict[str, JobStatus]:
        """The word on each id; with none it is only found out whether the server answers."""
        if not remotes:
            self._probe()
            return {}
        listed = self._listed(len(remotes))
        if listed is None:
            return self._singles(list(remotes))
        found: dict[str, JobStatus] = {}
        ended, absent = [], []
        for remote in remotes:
            one = listed.get(remote)
            if one is None or one.state is State.PENDING:
                absent.append(remote)
                found[remote] = JobStatus(Phase.UNSEEN)
            elif one.state.ended:
                ended.append(remote)
                found[remote] = SILENT
            else:
                found[remote] = plain(one)
        # the real server's list leaves queued jobs out, ours knows certain absence: ask for some
        spots = [absent[next(self._spots) % len(absent)] for _ in range(min(SPOT, len(absent)))]
        last = [remotes[-1]] if remotes[-1] in absent else []  # a witness, perhaps: for certain
        asked = list(dict.fromkeys(ended + spots + last))
        told = self._singles(asked)
        for remote in asked:
            if remote in told:
                found[remote] = told[remote]
            else:
                found.pop(remote)
        return found

    def _probe(self) -> None:
        try:
            self._client.status(NOBODY)
        except (JobLost, Refused):
            return
        except Unreachable as error:
            error.where = self._client.sessions.url("/")  # people know no such job
            raise

    def _listed(self, count: int) -> dict[str, Job] | None:
        """All that the server lists, or None when single questions are better."""
        begun = self._clock()
        if count < MANY or begun < self._list_after:
            return None
        if self._list_cost > count * self._single_cost:
            self._list_cost *= FADE  # it is tried again after a while
            return None
        try:
            listed = _known(self._client.listed())
        except Garbled:  # one poisoned record makes the whole list fail, for everybody
            self._list_after = self._clock() + REST
            return None
        cost = self._clock() - begun
        self._list_cost = cost if not self._list_cost else (self._list_cost + cost) / 2
        return listed

    def _singles(self, remotes: list[str]) -> dict[str, JobStatus]:
        """Ask for each; those that the round has no time for are silent."""
        if not remotes:
            return {}
        until = self._clock() + ROUND

        def ask(remote: str) -> JobStatus | Garbled | None:
            return self._single(remote) if self._clock() < until else SILENT

        begun = self._clock()
        words = [ask(remotes[0])] if len(remotes) == 1 else list(self._pool.map(ask, remotes))
        share = min(ASKERS, len(remotes))
        self._single_cost = (self._clock() - begun) * share / len(remotes)
        odd = [word for word in words if isinstance(word, Garbled)]
        if len(odd) == len(words):
            raise odd[0]  # whoever answers there is no scheduler
        said = zip(remotes, words, strict=True)
        return {
            remote: SILENT if isinstance(word, Garbled) else word
            for remote, word in said
            if word is not None
        }

    def _single(self, remote: str) -> JobStatus | Garbled | None:
        try:
            return full(self._client.details(remote))
        except JobLost:
            return None
        except (Garbled, Refused):
            return self._short(remote)

    def _short(self, remote: str) -> JobStatus | Garbled | None:
        """A result that is not JSON breaks the details for ever, but not the short form."""
        try:
            said = self._client.status(remote)
        except JobLost:
            return None
        except (Garbled, Refused) as error:  # a refusal proves nothing of the job
            return Garbled(error.what, where=error.where)
        if said.state is State.FAILURE and not said.error:
            return Garbled("the job failed, and its reason cannot be read yet", where=remote)
        return plain(said)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)


def _known(listed: Sequence[dict[str, Any]]) -> dict[str, Job]:
    """The readable records of a list; an odd one is asked for singly."""
    found = {}
    for each in listed:
        with suppress(Unreachable):
            one = job(each, "GET /jobs")
            found[one.uuid] = one
    return found


def plain(one: Job) -> JobStatus:
    """What the short form says."""
    return JobStatus(
        PHASES[one.state],
        progress=one.progress,
        error=(one.error or "") if one.state is State.FAILURE else "",
    )


def full(details: Details) -> JobStatus:
    """What the long form says; a failure with its reason in people's words."""
    one, failed = details.job, details.job.state is State.FAILURE
    running = [step.info for step in details.steps if step.duration is None]
    trace = one.error or ""
    said = details.result if isinstance(details.result, str) else ""
    return JobStatus(
        PHASES[one.state],
        progress=one.progress,
        step=running[-1] if running else "",
        error=reason(said, trace) if failed else "",
        detail=trace if failed else "",
        result=details.result if one.state is State.SUCCESS else None,
        warnings=_texts(details.document.get("warnings")),
        permanent=details.document.get("permanent") is True,
    )


def _texts(value: object) -> tuple[str, ...]:
    """Warnings, which ``watcher serve`` tells and the real server does not."""
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


# how the real server's workers tell of a process that died or was stopped
CAUSES = (
    (r"PixyzExitFault: (\d+)", "the job's process ended by itself with exit code {0}"),
    (r"PixyzSignalFault: (\d+)", "the job's process was killed by signal {0}"),
    (r"Worker exited prematurely: exitcode (\d+)", "the job's process ended with exit code {0}"),
    (r"Worker exited prematurely: signal (\d+)", "the job's process was killed by signal {0}"),
    (r"TimeLimitExceeded|PixyzTimeout\w*", "the job ran longer than its time limit"),
)
SIGNALS = {"9": " (perhaps out of memory)", "11": " (it crashed)", "6": " (it crashed)"}


def reason(said: str, trace: str) -> str:
    """Why a job failed: a known cause in words, else what the server says, else the traceback."""
    unclear = said.startswith("Can't retry") or not said
    for pattern, words in CAUSES:
        match = re.search(pattern, trace if unclear else said)
        if match:
            number = match.group(1) if match.groups() else ""
            hint = SIGNALS.get(number, "") if "signal" in words else ""
            return words.format(number) + hint
    last = trace.strip().splitlines()[-1].strip() if trace.strip() else ""
    if unclear and last and not last.startswith("Can't retry"):
        return last
    return said or "the job failed; the scheduler gives no reason"

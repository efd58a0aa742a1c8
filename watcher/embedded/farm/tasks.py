"""The Celery side: one task an attempt, in the queue that its job asks for.

Imports celery, kombu and the package's ``options`` and ``store``. Invariant: a task carries names
and numbers only; what a job is stands in the shared folder.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

import kombu.exceptions
import redis
from celery import Celery
from celery.exceptions import Reject
from kombu.entity import Queue

from watcher.embedded.options import QUEUES
from watcher.embedded.store import Job
from watcher.errors import UsageError

TASK = "watcher.attempt"
STEPS = tuple(range(10))  # the priorities that Redis tells apart; 0 is first
_MIDDLE = 5  # of them, for priority 0
# an unacknowledged task comes again after so many seconds; lost workers are noticed long before
VISIBLE_AFTER = 3600
TaskError = (redis.RedisError, kombu.exceptions.OperationalError, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt to be made. ``requested`` in UTC seconds."""

    job: str
    attempt: int
    retry: int
    requested: float


def application(url: str) -> Celery:
    """A Celery application on this broker; it connects when it is used."""
    app = Celery("watcher", broker=url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,  # a task that nobody could begin comes again
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,  # no worker hoards what others could run
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "priority_steps": list(STEPS),
            "queue_order_strategy": "priority",
            "visibility_timeout": VISIBLE_AFTER,
            "socket_keepalive": True,
        },
    )
    if url.startswith("rediss:"):
        app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    return app


def queue_name(farm: str, queue: str) -> str:
    """The name of a queue in Redis: several farms may share a server."""
    return f"watcher.{farm}.{queue}"


def step(priority: int) -> int:
    """The priority step of a job: 5 and above come first, -4 and below last."""
    return min(max(_MIDDLE - priority, STEPS[0]), STEPS[-1])


class Outbox:
    """Sends tasks to a farm. For one thread at a time.

    Every method raises one of ``TaskError`` when the broker does not do its part.
    """

    def __init__(self, url: str, farm: str) -> None:
        self._app = application(url)
        self._farm = farm
        self._open: Any = None

    def send(self, job: Job, queue: str) -> None:
        """Send the next attempt of a waiting job."""
        task = Task(job=job.id, attempt=job.runs + 1, retry=job.retry, requested=job.requested)
        name = queue_name(self._farm, queue)
        make: Callable[..., Any] = Queue
        self._app.send_task(
            TASK,
            kwargs=asdict(task),
            queue=make(name, routing_key=name),
            priority=step(job.priority),
            retry=False,
            connection=self._connection(),
        )

    def waiting(self, queues: Iterable[str]) -> dict[str, int]:
        """How many tasks wait in each of these queues."""
        channel = self._connection().default_channel
        return {one: channel._size(queue_name(self._farm, one)) for one in queues}  # noqa: SLF001  (over all priorities; no public name)

    def empty(self) -> None:
        """Remove all waiting tasks: they are sent anew."""
        channel = self._connection().default_channel
        for queue in QUEUES:
            channel.queue_purge(queue_name(self._farm, queue))

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        if self._open is not None:
            self._open.release()
            self._open = None

    def _connection(self) -> Any:
        if self._open is None:
            self._open = self._app.connection_for_write(connect_timeout=3)
        return self._open


def register(app: Celery, run: Callable[[Task], bool]) -> None:
    """Have tasks of this application run by a function; one it will not run goes back."""

    def attempt(**fields: Any) -> None:
        if not run(Task(**fields)):
            raise Reject(requeue=True)

    app.task(attempt, name=TASK, ignore_result=True, acks_late=True)


def checked(url: str) -> str:
    """A broker's address that can be used.

    Raises:
        UsageError: it is none. The message holds no password.
    """
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UsageError(
            "the broker must be redis://[user:password@]host[:port][/number], or rediss://",
            where="--broker",
        )
    return url

"""``watcher worker``: a Celery worker for ``watcher serve --executor celery``.

Imports click, ``cli.serve``, ``config.values``, ``errors`` and, when it runs, ``daemon.logs`` and
the embedded farm. Invariant: the address of the broker, with its password, is in no message.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from watcher.cli import broker
from watcher.cli.serve import state_folder, worker_count
from watcher.config.values import duration
from watcher.errors import UsageError


@click.command()
@click.option(
    "--queues",
    default="cpu,zip,clean,control",
    show_default=True,
    help="The queues it serves: of cpu, gpu, gpuhigh, zip, clean, control.",
)
@broker.options
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="The folder that it shares with serve [$WATCHER_STATE, else $XDG_STATE_HOME/watcher].",
)
@click.option("--workers", default="auto", show_default=True, help="Jobs at a time; auto: cores.")
@click.option(
    "--grace",
    default="60s",
    show_default=True,
    help="What running jobs get after SIGTERM; then they are handed back to the queue.",
)
@click.pass_context
def worker(ctx: click.Context, /, **options: Any) -> None:
    """Run jobs of `watcher serve --executor celery`, until SIGTERM or Ctrl-C.

    It must see the folder of serve's jobs, as the same user; a second signal hands running jobs
    back at once.

    \b
    watcher worker --broker redis://redis:6379/0 --state /shared/watcher --queues cpu,gpu
    """  # noqa: D301  (click's mark for lines to be left alone)
    kept: Mapping[str, Any] = ctx.find_root().obj or {}
    address = broker.address(options["broker"], options["broker_file"], os.environ)
    log = broker.logger(address, verbose=bool(kept.get("verbose")))
    from watcher.embedded.farm.labour import Labour, Worker  # noqa: PLC0415  (needs the extra)
    from watcher.embedded.workshop import workers  # noqa: PLC0415  (--help stays quick)

    labour = Labour(
        broker=address,
        state=options["state"] or state_folder(os.environ),
        queues=_queues(options["queues"]),
        workers=workers(worker_count(options["workers"])),
        grace=_grace(options["grace"]),
    )
    running = Worker(labour, log)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: running.drain())
    running.run()
    log.info("worker.stopped")


def _queues(text: str) -> tuple[str, ...]:
    from watcher.embedded.options import QUEUES  # noqa: PLC0415  (--help stays quick)

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in QUEUES]
    if unknown or not names:
        what = f"there is no queue {unknown[0]!r}" if unknown else "it would serve nothing"
        raise UsageError(what, where="--queues", fix=f"there are: {', '.join(QUEUES)}")
    return names


def _grace(text: str) -> float:
    try:
        return duration(text)
    except ValueError as error:
        raise UsageError(str(error), where="--grace") from error

"""The checks of ``doctor`` on schedulers, tokens, the page's port and the converters.

Imports core, adapters, the embedded scheduler and findings. Invariant: a job runs in a folder of
its own that is removed again; no token is shown.
"""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from watcher import samples
from watcher.cli.findings import Finding, mend, note, ok
from watcher.cli.options import daemon_runs
from watcher.core.model import Phase
from watcher.core.ports import Backend, JobRequest, Source
from watcher.core.settings import PASS, SchedulerSettings, Settings
from watcher.embedded.scheduler import EmbeddedOptions, EmbeddedScheduler
from watcher.errors import Unauthorized, WatcherError

PATIENCE = 120.0  # seconds for a job of some milliseconds
MITSUBA = "import mitsuba; mitsuba.set_variant('scalar_rgb')"


def schedulers(settings: Settings) -> Iterator[Finding]:
    """Each scheduler: does it answer, does it take the token, has it the processes."""
    for name, one in settings.schedulers.items():
        if one.url == "embedded":
            yield ok(f"scheduler {name}", "embedded, in the daemon itself")
        else:
            yield from _asked(settings, name, one)


def served(backend: Backend) -> set[str]:
    """The processes of a scheduler that takes our token.

    The list itself is open to all on a Pixyz Scheduler, so a job that nobody has is asked for too.

    Raises:
        SchedulerError: it cannot be reached, or refuses.
    """
    known = set(backend.processes())
    backend.status([str(uuid.uuid4())])
    return known


def _asked(settings: Settings, name: str, one: SchedulerSettings) -> Iterator[Finding]:
    from watcher.daemon.schedulers import build_backend  # noqa: PLC0415  (--help stays quick)

    what = f"scheduler {name}"
    backend = build_backend(one, settings.state)
    try:
        known = served(backend)
    except Unauthorized as error:
        yield mend(what, str(error), "mend `token` or `token_file` of this scheduler")
        return
    except WatcherError as error:
        fix = "start it, or mend `url`; files wait until then, none is lost"
        yield mend(what, str(error), fix)
        return
    finally:
        backend.close()
    missing = _wanted(settings, name) - known
    if missing:
        text = f"it has no process {', '.join(sorted(missing))}"
        yield mend(what, text, f"use one of {', '.join(sorted(known))}, or give it a script")
    else:
        yield ok(what, f"{one.url} answers, {len(known)} processes")


def _wanted(settings: Settings, name: str) -> set[str]:
    specs = (job for folder in settings.folders for rule in folder.rules for job in rule.jobs)
    return {one.process for one in specs if one.scheduler == name} - {"", PASS}


def page(settings: Settings) -> Iterator[Finding]:
    """Whether its port is free, or the daemon's own."""
    http = settings.http
    if http is None:
        yield note("page", "off")
        return
    where = f"{http.host}:{http.port}"
    if daemon_runs(settings.state):
        yield ok("page", f"{where}, a daemon runs")
        return
    try:
        socket.create_server((http.host, http.port)).close()
    except OSError as error:
        yield mend("page", f"{where}: {error.strerror}", "give `http: listen:` another port")
    else:
        yield ok("page", f"{where} is free")


def secrets(settings: Settings) -> Iterator[Finding]:
    """Whether others can read the configuration, where it holds tokens."""
    held = any(one.token for one in settings.schedulers.values())
    mode = settings.source.stat().st_mode
    if held and mode & stat.S_IROTH:
        yield note("tokens", f"everybody can read {settings.source}",
                   "keep tokens in a `token_file` of mode 600, or in ${VAR}")  # fmt: skip
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield note("configuration", f"others than its owner can write {settings.source}",
                   f"chmod go-w {settings.source}: scripts in it run as the service")  # fmt: skip


# ---------------------------------------------------------------- converters
def converters(settings: Settings) -> Iterator[Finding]:
    """Convert a tiny model and draw it, where jobs run on the embedded scheduler."""
    if not any(_wanted(settings, n) for n, s in settings.schedulers.items() if s.url == "embedded"):
        return
    if find_spec("trimesh") is None:
        yield mend("converters", "they are not installed", "pip install 'pixyz-watcher[embedded]'")
        return
    yield from _mitsuba()
    with tempfile.TemporaryDirectory(prefix="watcher-doctor-") as folder:
        scheduler = EmbeddedScheduler(EmbeddedOptions(state=Path(folder), workers=1))
        try:
            yield _job(scheduler, "convert_file", {"extension": "glb"})
            yield _job(scheduler, "generate_thumbnails", {"width": 32, "height": 32})
        finally:
            scheduler.close()


def _mitsuba() -> Iterator[Finding]:
    tried = subprocess.run(  # noqa: S603  (our own words)
        [sys.executable, "-c", MITSUBA], capture_output=True, text=True, check=False
    )
    if tried.returncode == 0:
        yield ok("thumbnails", "the path tracer can be used")
        return
    why = (tried.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    yield mend(
        "thumbnails", f"drawn plainly: Mitsuba cannot be imported ({why})",
        "install its one system library: apt install libatomic1 (dnf install libatomic)",
    )  # fmt: skip


def _job(scheduler: EmbeddedScheduler, process: str, params: dict[str, Any]) -> Finding:
    body = dict(samples.files())["gear.stl"]
    source = Source("gear.stl", len(body), lambda: BytesIO(body))
    began = time.monotonic()
    sent = scheduler.submit(
        JobRequest(
            key=str(uuid.uuid4()),
            name="doctor",
            process=process,
            params=params,
            sources=(source,),
        )
    )
    while time.monotonic() - began < PATIENCE:
        told = scheduler.status([sent.remote])[sent.remote]
        if told.phase is Phase.SUCCEEDED:
            return ok(process, f"done in {time.monotonic() - began:.1f} s")
        if told.phase in (Phase.FAILED, Phase.REVOKED):
            fix = (
                "reinstall the converters: pip install --force-reinstall 'pixyz-watcher[embedded]'"
            )
            return mend(process, told.error, fix)
        time.sleep(0.05)
    return mend(process, f"not done within {PATIENCE:g} s", "look at the machine's load and memory")

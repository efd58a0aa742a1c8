"""The routes of the API.

Imports Starlette, anyio and its neighbours in the package. Invariants: everything below ``/jobs``
passes the guard first; nothing that waits for a disk or the store runs in the event loop.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from anyio.to_thread import run_sync
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from structlog.typing import FilteringBoundLogger

from watcher.embedded import documents
from watcher.embedded.scheduler import EmbeddedScheduler
from watcher.embedded.server import openapi
from watcher.embedded.server.disk import trouble
from watcher.embedded.server.frame import LINGER, Frame
from watcher.embedded.server.guard import Guard
from watcher.embedded.server.metrics import JobCounts
from watcher.embedded.server.outputs import Archives, download
from watcher.embedded.server.parts import BadForm, Form
from watcher.embedded.server.replies import as_json, failed, plain, told
from watcher.embedded.server.submit import ScriptsRefused, submit
from watcher.embedded.server.upload import PACE, Gone, TooSlow, read_form
from watcher.embedded.store import ENDED, FAILURE
from watcher.errors import WatcherError

Reply = Callable[[Request], Awaitable[Response]]
_UUID = re.compile(openapi.UUID)
_STYLE = base64.b64encode(hashlib.sha256(openapi.STYLE.encode()).digest()).decode()
_PAGE_HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE}'",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How the API serves. ``version`` is told to callers; ``token`` empty asks for none;
    ``scripts``: callers' own scripts run. ``pace`` seconds are those in which a body must bring 64
    kB, ``linger`` those for which the rest of an unwanted body is read."""

    version: str
    token: str = ""
    scripts: bool = True
    pace: float = PACE
    linger: float = LINGER


class Api:
    """The API in front of one embedded scheduler."""

    def __init__(
        self, scheduler: EmbeddedScheduler, serving: Serving, log: FilteringBoundLogger
    ) -> None:
        self._scheduler = scheduler
        self._serving = serving
        self._log = log
        self._guard = Guard(serving.token)
        self._document = openapi.document(serving.version, secured=bool(serving.token))
        self._archives = Archives(scheduler)
        self._registry = CollectorRegistry()
        self._registry.register(JobCounts(scheduler))
        scheduler.listen(self._ended)

    def close(self) -> None:
        """End what runs beside the replies."""
        self._archives.close()

    def application(self) -> ASGIApp:
        """The ASGI application."""
        app = Starlette(
            routes=self._routes(),
            exception_handlers={
                HTTPException: _of_the_frame,
                WatcherError: _ours,
                ScriptsRefused: _no_scripts,
            },
        )
        return Frame(app, self._log, self._registry, linger=self._serving.linger)

    def _routes(self) -> list[Route]:
        job = "/jobs/{uuid}"
        return [
            _route("/", self._root),
            _route("/processes", self._processes),
            _route("/processes/{name}", self._process),
            _route("/metrics", self._metrics),
            _route("/docs", self._docs),
            _route("/redoc", self._docs),
            _route("/openapi.json", self._openapi),
            _route("/jobs", self._kept(self._jobs), "GET", "POST"),
            _route(job, self._kept(self._job), "GET", "DELETE"),
            _route(f"{job}/details", self._kept(self._details)),
            _route(f"{job}/outputs", self._kept(self._outputs)),
            _route(f"{job}/outputs/archive", self._kept(self._archive)),
            _route(f"{job}/outputs/{{path:path}}", self._kept(self._output)),
            _route("/backend/get_task_meta/{uuid}", self._kept(self._record)),
        ]

    def _kept(self, reply: Reply) -> Reply:
        """A reply for those who may pass, to a job id that is one."""

        async def kept(request: Request) -> Response:
            refusal = self._guard.refusal(request.headers)
            if refusal is not None:
                return refusal
            job_id = request.path_params.get("uuid")
            if job_id is not None and not _UUID.match(job_id):
                return failed(400, f"{job_id[:80]!r} is no UUID")
            return await reply(request)

        return kept

    # ---------------------------------------------------------------- open to all
    async def _root(self, _: Request) -> Response:
        text = f"Welcome to PiXYZ API v{documents.API_VERSION}! (watcher {self._serving.version})"
        return PlainTextResponse(text)

    async def _processes(self, _: Request) -> Response:
        return as_json(documents.processes(await run_sync(self._scheduler.processes)))

    async def _process(self, request: Request) -> Response:
        name = request.path_params["name"]
        text = await run_sync(self._scheduler.document, name)
        return as_json(documents.documentation(name, text))

    async def _metrics(self, _: Request) -> Response:
        text = await run_sync(generate_latest, self._registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def _openapi(self, _: Request) -> Response:
        return as_json(self._document)

    async def _docs(self, _: Request) -> Response:
        return HTMLResponse(openapi.page(self._document), headers=_PAGE_HEADERS)

    # ---------------------------------------------------------------- jobs
    async def _jobs(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._submit(request)
        return await run_sync(lambda: as_json(documents.jobs(self._scheduler.summaries())))

    async def _submit(self, request: Request) -> Response:
        place = await run_sync(self._place)
        try:
            form = await read_form(request, place, pace=self._serving.pace)
            return as_json(await run_sync(self._take, form, request.headers.get("idempotency-key")))
        except BadForm as error:
            return plain(str(error), 400)
        except TooSlow:
            return plain("The body came too slowly", 408)
        except Gone:
            return Response(status_code=400)  # nobody is there to read it
        finally:
            await run_sync(lambda: shutil.rmtree(place, ignore_errors=True))

    def _place(self) -> Path:
        try:
            return self._scheduler.draft()
        except OSError as error:
            raise trouble(error, "the upload was not kept") from error

    def _take(self, form: Form, key: str | None) -> documents.Document:
        reply = submit(self._scheduler, form, key=key, scripts=self._serving.scripts)
        process = form.fields.get("process") or "custom"
        self._log.info("job.accepted", id=reply["uuid"], name=reply["name"], process=process)
        return reply

    def _ended(self, job_id: str) -> None:
        job = self._scheduler.get(job_id)
        if job is None:  # removed in the same moment
            return
        seconds = round((job.stopped or 0.0) - job.requested, 3)
        fields = {"id": job.id, "name": job.name or None, "seconds": seconds}
        if job.status == FAILURE:
            self._log.warning("job.failure", **fields, reason=job.error)
        else:
            self._log.info(f"job.{job.status.lower()}", **fields)

    async def _job(self, request: Request) -> Response:
        job_id = request.path_params["uuid"]
        if request.method == "DELETE":
            return await run_sync(self._delete, job_id)
        job = await run_sync(self._scheduler.get, job_id)
        return as_json(documents.short(job) if job else documents.unknown(job_id))

    def _delete(self, job_id: str) -> Response:
        """Stop what has not ended, remove what has; what is not there is removed already."""
        job = self._scheduler.get(job_id)
        if job is None or job.status in ENDED:
            self._scheduler.forget(job_id)
            return Response(status_code=204)
        self._scheduler.cancel(job_id)
        now = self._scheduler.get(job_id)
        return as_json(documents.short(now or job), 202)

    async def _details(self, request: Request) -> Response:
        return await run_sync(self._told, request.path_params["uuid"])

    def _told(self, job_id: str) -> Response:
        job = self._scheduler.get(job_id)
        return as_json(documents.details(job) if job else documents.unknown_details(job_id))

    async def _record(self, request: Request) -> Response:
        job_id = request.path_params["uuid"]
        job = await run_sync(self._scheduler.get, job_id)
        return as_json(documents.record(job) if job else documents.unknown_record())

    # ---------------------------------------------------------------- outputs
    async def _outputs(self, request: Request) -> Response:
        names = await run_sync(self._scheduler.listing, request.path_params["uuid"])
        return as_json(documents.outputs(names))

    async def _archive(self, request: Request) -> Response:
        # an output of that name is asked for as `./archive`
        return await run_sync(self._archives.get, request.path_params["uuid"])

    async def _output(self, request: Request) -> Response:
        return await run_sync(
            download, self._scheduler, request.path_params["uuid"], _output_name(request)
        )


def _output_name(request: Request) -> str:
    """The name asked for, from the raw path where that can be, since a name need not be UTF-8."""
    asked = request.path_params
    raw = request.scope["raw_path"].decode("ascii", "replace").split("/", 4)
    if raw[:4] == ["", "jobs", asked["uuid"], "outputs"]:
        return unquote(raw[4], errors="surrogateescape")
    return str(asked["path"])


def _route(path: str, reply: Reply, *methods: str) -> Route:
    route = Route(path, reply, methods=list(methods or ["GET"]))
    (route.methods or set()).discard("HEAD")  # the real server has none
    return route


async def _of_the_frame(_: Request, error: Exception) -> Response:
    status: Any = getattr(error, "status_code", 500)
    headers = dict(getattr(error, "headers", None) or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(headers["Allow"].split(", ")))
    return plain(str(getattr(error, "detail", "")), status, headers)


async def _ours(_: Request, error: Exception) -> Response:
    return told(error) if isinstance(error, WatcherError) else failed(500, "a fault of the server")


async def _no_scripts(_: Request, error: Exception) -> Response:
    return failed(403, str(error))

"""The pages that people open, and the buttons that they press.

Imports Starlette, Jinja2 and its neighbours. Invariant: reading changes nothing; a button leaves a
request in the ledger and nothing else; contents come from outputs that were delivered only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import IO, Any
from urllib.parse import parse_qs, quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from watcher.core.epochs import folder_named
from watcher.core.model import FileState, Output, Work
from watcher.daemon.web import views
from watcher.daemon.web.desk import Desk, failed_now
from watcher.daemon.web.guard import Sessions, matches, session_of, token_of, with_session
from watcher.daemon.web.live import live
from watcher.errors import FileError, LedgerError

CHUNK = 1 << 20
MANY = 1000  # files of one form
FORM_MOST = 64 << 10  # bytes of a form
KINDS = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp",
    ".gif": "image/gif", ".glb": "model/gltf-binary", ".gltf": "model/gltf+json",
    ".json": "application/json", ".txt": "text/plain; charset=utf-8",
}  # fmt: skip
WRONG_TOKEN = 0.3  # seconds that a wrong token costs


class Pages:
    """See the module."""

    def __init__(self, desk: Desk, sessions: Sessions) -> None:
        self._desk = desk
        self._sessions = sessions
        self._jinja = Environment(
            loader=PackageLoader("watcher.daemon.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.globals["version"] = version("pixyz-watcher")

    def routes(self) -> list[Route]:
        """Their paths."""
        return [
            Route("/", self.overview),
            Route("/files", self.files),
            Route("/file/{id:int}", self.file),
            Route("/output/{id:int}/{job:int}/{number:int}", self.output),
            Route("/events", self.events),
            Route("/retry", self.retry, methods=["POST"]),
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["POST"]),
        ]

    # ------------------------------------------------------------ reading
    def _render(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        text = self._jinja.get_template(name).render(values)
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)

    def parts(self, csrf: str) -> dict[str, str]:
        """Each part of the overview as HTML."""
        made = {}
        for name, view in views.PARTS.items():
            try:
                values = view(self._desk)
                made[name] = self._jinja.get_template(f"parts/{name}.html").render(
                    values, csrf=csrf
                )
            except LedgerError as error:
                made[name] = self._jinja.get_template("parts/trouble.html").render(
                    reason=str(error)
                )
        return made

    def _session(self, request: Request) -> tuple[str, bool]:
        """The browser's session, and whether it is new: on loopback everybody gets one."""
        session, token = session_of(request.headers), self._token()
        known = self._sessions.knows(session, token)
        return (session, False) if known else (self._sessions.opened(token), True)

    def _token(self) -> str:
        return token_of(self._desk.settings().http)

    def _page(self, request: Request, name: str, **values: Any) -> Response:
        session, new = self._session(request)
        csrf = self._sessions.csrf(session)
        if name == "overview.html":
            values["parts"] = self.parts(csrf)
        reply = self._render(name, csrf=csrf, locked=bool(self._token()), **values)
        return with_session(reply, session) if new else reply

    def overview(self, request: Request) -> Response:
        """What an operator leaves open on a wall."""
        return self._page(request, "overview.html")

    def files(self, request: Request) -> Response:
        """The list of all files, by folder, state and words of the path."""
        asked = request.query_params
        state, folder, q = asked.get("state", ""), asked.get("folder", ""), asked.get("q", "")[:200]
        number = int(asked["page"]) if asked.get("page", "").isdecimal() else 1
        number = min(max(1, number), 10**9)
        known = state if state in set(FileState) else ""
        rows = views.listed(self._desk, folder, FileState(known) if known else None, q, number)

        def at(page: int) -> str:
            words = {"folder": folder, "state": known, "q": q, "page": str(page)}
            return "/files?" + urlencode({key: value for key, value in words.items() if value})

        return self._page(
            request, "files.html",
            rows=rows[: views.PAGE], folder=folder, state=known, q=q, number=number,
            states=[one.value for one in FileState if one is not FileState.SETTLING],
            folders=[one.name for one in self._desk.settings().folders],
            before=at(number - 1) if number > 1 else "",
            after=at(number + 1) if len(rows) > views.PAGE else "",
        )  # fmt: skip

    def file(self, request: Request) -> Response:
        """One file's whole history."""
        work = self._work(request)
        if work is None:
            return PlainTextResponse("there is no such file\n", 404)
        return self._page(request, "file.html", **views.told(self._desk, work))

    def _work(self, request: Request) -> Work | None:
        number = request.path_params["id"]
        return self._desk.ledger.work(number) if 0 < number < 1 << 63 else None

    async def events(self, request: Request) -> Response:
        """Server-sent events: the parts that changed."""
        csrf = self._sessions.csrf(session_of(request.headers))
        return StreamingResponse(
            live(lambda: self.parts(csrf), request.is_disconnected), media_type="text/event-stream"
        )

    # ------------------------------------------------------------ contents
    def output(self, request: Request) -> Response:
        """The content of one delivered output; pictures to look at, all else to be saved."""
        work = self._work(request)
        found = self._output(work, request) if work is not None else None
        folder = folder_named(self._desk.settings(), work.file.folder) if work else None
        if work is None or found is None or folder is None:
            return PlainTextResponse("there is no such output\n", 404)
        try:
            opened = self._desk.files.open(folder.output, found.target)
        except FileError:
            return PlainTextResponse("it is no longer there\n", 404)
        return _content(opened, found)

    def _output(self, work: Work, request: Request) -> Output | None:
        job, number = request.path_params["job"], request.path_params["number"]
        if work.file.state not in (FileState.DELIVERED, FileState.ARCHIVED):
            return None
        found = work.jobs[job].outputs if job < len(work.jobs) else ()
        return found[number] if number < len(found) and found[number].target else None

    # ------------------------------------------------------------ buttons
    async def _form(self, request: Request) -> dict[str, list[str]]:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > FORM_MOST:
                return {}
        return parse_qs(body.decode("utf-8", "replace"))

    async def retry(self, request: Request) -> Response:
        """Failed files go back into their folders: those named, or all."""
        return await run_in_threadpool(self._retried, request, await self._form(request))

    def _retried(self, request: Request, form: dict[str, list[str]]) -> Response:
        session = session_of(request.headers)
        given = form.get("csrf", [""])[0]
        known = self._sessions.knows(session, self._token())
        if not known or not matches(given, self._sessions.csrf(session)):
            return PlainTextResponse("this form is too old; open the page again\n", 403)
        wanted = [int(one) for one in form.get("file", []) if one.isdecimal()][:MANY]
        if "all" in form:
            wanted = [file.id for file in failed_now(self._desk.ledger)]
        if wanted:
            self._desk.ledger.ask("retry", {"files": wanted}, self._desk.clock.now())
        back = form.get("back", ["/"])[0]
        safe = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
        return RedirectResponse(quote(safe, safe="/?=&%"), 303)

    async def login(self, request: Request) -> Response:
        """Ask for the token, and open a session for whoever has it."""
        token = self._token()
        if not token:
            return RedirectResponse("/", 303)
        if request.method == "GET":
            return self._render("login.html", wrong=False)
        form = await self._form(request)
        if matches(form.get("token", [""])[0], token):
            return with_session(RedirectResponse("/", 303), self._sessions.opened(token))
        await asyncio.sleep(WRONG_TOKEN)
        return self._render("login.html", 401, wrong=True)

    def logout(self, request: Request) -> Response:
        """End the session; needs no CSRF token, since nothing is lost by it."""
        self._sessions.close(session_of(request.headers))
        return RedirectResponse("/", 303)


def _content(opened: IO[bytes], output: Output) -> Response:
    name = PurePosixPath(output.target).name
    suffix = PurePosixPath(name).suffix.lower()
    kind = KINDS.get(suffix, "application/octet-stream")
    headers = {
        "content-length": str(os.fstat(opened.fileno()).st_size),
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if suffix not in views.PICTURES:
        quoted = quote(os.fsencode(name), safe="")
        headers["content-disposition"] = f"attachment; filename*=UTF-8''{quoted}"
    return StreamingResponse(_chunks(opened), media_type=kind, headers=headers)


def _chunks(opened: IO[bytes]) -> Iterator[bytes]:
    with opened:
        while chunk := opened.read(CHUNK):
            yield chunk

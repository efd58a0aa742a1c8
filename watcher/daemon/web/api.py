"""What programs ask: health, readiness, metrics, files.

Imports Starlette, core and the daemon's health and metrics. Invariant: answers are ASCII JSON (a
name that is not UTF-8 has no other way through) or the Prometheus text format.
"""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from watcher.core.model import FileState
from watcher.core.shown import described
from watcher.daemon.health import sick, unready
from watcher.daemon.metrics import Figures, exposition
from watcher.daemon.web.desk import Desk

LIMIT, LIMIT_MOST = 100, 1000  # files that ``/api/files`` tells of at once
LONGEST = 200  # characters of a search


class Api:
    """See the module."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> list[Route]:
        """Its paths."""
        return [
            Route("/healthz", self.healthz),
            Route("/readyz", self.readyz),
            Route("/metrics", self.metrics),
            Route("/api/files", self.files),
        ]

    def healthz(self, _: Request) -> Response:
        """Whether the daemon turns; when not, only a restart helps."""
        return _verdict(sick(self._desk.health()))

    def readyz(self, _: Request) -> Response:
        """Whether work flows everywhere, and where not."""
        return _verdict(unready(self._desk.settings(), self._desk.health(), self._desk.ledger))

    def metrics(self, _: Request) -> Response:
        """One scrape."""
        now = self._desk.clock.now()
        figures = Figures(
            health=self._desk.health(),
            counts=self._desk.ledger.counts(),
            oldest={name: max(0.0, now - at) for name, at in self._desk.oldest().items()},
        )
        text = exposition(figures, self._desk.meters)
        return Response(text, media_type="text/plain; version=0.0.4")

    def files(self, request: Request) -> Response:
        """Files, newest first."""
        asked = request.query_params
        try:
            state = FileState(asked["state"]) if asked.get("state") else None
            limit = int(asked.get("limit", LIMIT))
            offset = int(asked.get("offset", 0))
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        if not 1 <= limit <= LIMIT_MOST or not 0 <= offset < 1 << 62:
            return _json({"error": f"limit is 1 to {LIMIT_MOST}, offset not negative"}, 400)
        works = self._desk.ledger.files(
            folder=asked.get("folder", ""), state=state, q=asked.get("q", "")[:LONGEST],
            limit=limit, offset=offset,
        )  # fmt: skip
        settings = self._desk.settings()
        return _json([described(settings, work) for work in works])


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status, media_type="application/json")


def _verdict(reasons: list[str]) -> Response:
    return _json({"ok": not reasons, "reasons": reasons}, 503 if reasons else 200)

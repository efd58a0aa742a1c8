"""The OpenAPI document of the server, and the page that shows it.

Pure: imports the standard library and the embedded ``documents`` and ``options``. Invariant: the
document is true; every reply of the server conforms to it, which a test proves from the document
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from watcher.embedded.documents import API_VERSION
from watcher.embedded.options import QUEUES

Schema = dict[str, Any]
UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
STATES = ("SENT", "PENDING", "STARTED", "RUNNING", "RETRY", "SUCCESS", "FAILURE", "REVOKED")
_CLOSED = {"additionalProperties": False}
_TEXT = {"type": ["string", "null"]}
_WHY = {
    400: "The request cannot be served as it is",
    401: "The token is missing or wrong",
    403: "Not for this caller, or the server runs no scripts",
    404: "There is nothing of that name",
    408: "The body came too slowly",
    425: "Not ready yet: ask again",
    503: "The server cannot do it now: ask again later",
    507: "The disk of the server is full",
}


def document(version: str, *, secured: bool) -> Schema:
    """The whole document. ``secured``: whether this server asks for a token."""
    found: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "watcher serve",
            "version": version,
            "description": f"The API of a Pixyz Scheduler {API_VERSION}, on open converters.",
        },
        "paths": _paths(),
        "components": {"schemas": _schemas()},
    }
    if secured:
        scheme = {"type": "apiKey", "in": "header", "name": "x-api-key"}
        found["components"]["securitySchemes"] = {"token": scheme}
    for path, item in found["paths"].items():
        for operation in item.values():
            if isinstance(operation, dict) and path.startswith("/jobs") and secured:
                operation["security"] = [{"token": []}]
                operation["responses"]["401"] = _error(401, "Plain")
    return found


def _paths() -> Schema:
    return {
        "/": {"get": _operation("root", "Is somebody there?", {"200": _text("A welcome")})},
        "/processes": {
            "get": _operation("processes", "The names of the processes", _ok("Processes"))
        },
        "/processes/{name}": {
            "get": _operation(
                "process",
                "What a process says of itself",
                _ok("Documentation", 400),
                [_parameter("name", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"})],
            )
        },
        "/metrics": {"get": _operation("metrics", "For Prometheus", {"200": _text("Samples")})},
        "/jobs": {
            "get": _guarded("jobs", "All jobs, newest first", _ok("Jobs", 503)),
            "post": _post(),
        },
        "/jobs/{uuid}": {
            "get": _job("status", "State and progress of a job", _ok("Job", 400, 503)),
            "delete": _job("delete", _DELETE, _deleted()),
        },
        "/jobs/{uuid}/details": {
            "get": _job("details", "Times, steps and result of a job", _ok("Details", 400, 503))
        },
        "/jobs/{uuid}/outputs": {
            "get": _job("outputs", "Files and folders at the top", _ok("Outputs", 400, 503))
        },
        "/jobs/{uuid}/outputs/archive": {
            "get": _job("archive", _ARCHIVE, _file("application/octet-stream", 404, 425))
        },
        "/jobs/{uuid}/outputs/{path}": {
            "get": _job(
                "download",
                "One output; its name may hold slashes",
                _file("application/octet-stream", 404),
                _parameter("path", {"type": "string", "minLength": 1}),
            )
        },
    }


_DELETE = "Stop a job that has not ended (202), or remove one that has (204); again is harmless"
_ARCHIVE = "All outputs as a zip; 425 until it is packed"
_RUN = {
    "process": "`custom` (a script of the caller), or a name from `/processes`",
    "params": "JSON for the script; empty is {}",
    "name": "a label",
    "config": (
        "a JSON object: entrypoint (main), queue (" + ", ".join(QUEUES) + "), time_limit (3600 s), "
        "root_file (the main file of an archive), priority (higher first), countdown and expires "
        "(seconds), retries, compute_only, raw, task_id (a UUID of the caller's choice: the same "
        "one again is the same job); the script also sees other keys"
    ),
}


def _post() -> Schema:
    fields: Schema = {name: {"type": "string", "description": text} for name, text in _RUN.items()}
    files = {
        "script": {"type": "string", "format": "binary", "description": "Python, for `custom`"},
        "file": {
            "type": "string",
            "format": "binary",
            "description": "the input; .zip and .tar.gz are unpacked for the job",
        },
    }
    form = {"type": "object", "properties": fields | files}
    plain = {"type": "object", "properties": fields}
    responses = _ok("Job", 400, 403, 408, 503, 507)
    responses["400"]["content"]["application/json"]["schema"] = _either("Error", "Plain")
    responses["403"]["content"]["application/json"]["schema"] = _either("Error", "Plain")
    found = _guarded("submit", "Submit a job", responses)
    found["requestBody"] = {
        "content": {
            "multipart/form-data": {"schema": form},
            "application/x-www-form-urlencoded": {"schema": plain},
        }
    }
    key = {"type": "string", "pattern": UUID}
    found["parameters"] = [
        _parameter("Idempotency-Key", key, place="header", required=False)
        | {"description": "the id of the job: the same key again is the same job"}
    ]
    return found


def _operation(
    name: str, summary: str, responses: Schema, parameters: Iterable[Schema] = ()
) -> Schema:
    found = {"operationId": name, "summary": summary, "responses": responses}
    return found | ({"parameters": list(parameters)} if parameters else {})


def _guarded(
    name: str, summary: str, responses: Schema, parameters: Iterable[Schema] = ()
) -> Schema:
    return _operation(name, summary, {"403": _error(403, "Plain")} | responses, parameters)


def _job(name: str, summary: str, responses: Schema, *more: Schema) -> Schema:
    uuid = _parameter("uuid", {"type": "string", "pattern": UUID})
    return _guarded(name, summary, responses, [uuid, *more])


def _parameter(name: str, schema: Schema, *, place: str = "path", required: bool = True) -> Schema:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _ok(name: str, *errors: int) -> Schema:
    good = {"description": name, "content": _json(_ref(name))}
    return {"200": good} | {str(code): _error(code) for code in errors}


def _error(code: int, name: str = "") -> Schema:
    name = name or ("Plain" if code in (403, 408, 503) else "Error")
    return {"description": _WHY[code], "content": _json(_ref(name))}


def _deleted() -> Schema:
    stopping = {"description": "It is being stopped", "content": _json(_ref("Job"))}
    gone = {"description": "It is gone"}
    return {"202": stopping, "204": gone, "400": _error(400), "503": _error(503)}


def _file(kind: str, *errors: int) -> Schema:
    binary = {kind: {"schema": {"type": "string", "format": "binary"}}}
    ranges = binary | {"multipart/byteranges": {"schema": {"type": "string"}}}
    bad = _json(_ref("Error")) | {"text/plain": {"schema": {"type": "string"}}}
    return {
        "200": {"description": "The file", "content": binary},
        "206": {"description": "The ranges asked for", "content": ranges},
        "400": {"description": "A name that leads out, or a malformed Range", "content": bad},
        "416": {"description": "Beyond the end", "content": {"text/plain": {"schema": {}}}},
        "503": _error(503),
        "507": _error(507),
    } | {str(code): _error(code) for code in errors}


def _text(what: str) -> Schema:
    return {"description": what, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _either(*names: str) -> Schema:
    return {"anyOf": [_ref(name) for name in names]}


def _object(properties: Mapping[str, Any], *, optional: Iterable[str] = ()) -> Schema:
    required = [name for name in properties if name not in set(optional)]
    return {"type": "object", "properties": dict(properties), "required": required} | _CLOSED


def _names(key: str) -> Schema:
    return _object({key: {"type": "array", "items": {"type": "string"}}})


def _schemas() -> Schema:
    short = {
        "uuid": {"type": "string", "pattern": UUID},
        "name": _TEXT,
        "status": {"type": "string", "enum": list(STATES)},
        "progress": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
        "error": _TEXT,
    }
    step = _object({"duration": {"type": "number"}, "info": {"type": "string"}})
    detail = _object(
        {"code": {"type": "integer"}, "message": {"type": "string"}, "details": {"type": "string"}}
    )
    more = {
        "time_info": _object({"request": _TEXT, "started": _TEXT, "stopped": _TEXT}),
        "steps": {"type": ["array", "null"], "items": step},
        "retry": {"type": "integer"},
        "result": {"description": "whatever the script returned: any JSON value"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "permanent": {"const": True, "description": "running it again cannot help"},
    }
    return {
        "Job": _object(short),
        "Details": _object(short | more, optional=["warnings", "permanent"]),
        "Jobs": _object({"jobs": {"type": "array", "items": _ref("Job")}}),
        "Outputs": _names("outputs"),
        "Processes": _names("processes"),
        "Documentation": _object({"doc": {"type": "string"}}),
        "Error": _object({"detail": detail}),
        "Plain": _object({"detail": {"type": "string"}}),
    }


STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;"
    "max-width:60rem;padding:0 1rem}section{border-top:1px solid;padding:.5rem 0}"
    "h2{font:bold 1rem ui-monospace,monospace}code{font-family:ui-monospace,monospace}"
    "dt{font-family:ui-monospace,monospace}"
)


def page(found: Schema) -> str:
    """The document for people: plain HTML, nothing fetched from elsewhere."""
    sections = (
        _section(path, method, operation)
        for path, item in found["paths"].items()
        for method, operation in item.items()
    )
    info = found["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])} As a document for programs: "
        f'<a href="/openapi.json">openapi.json</a>.</p>{"".join(sections)}</main></body></html>'
    )


def _section(path: str, method: str, operation: Schema) -> str:
    fields: Schema = {}
    body = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data")
    if body:
        fields = body["schema"]["properties"]
    rows = [(name, field.get("description", "")) for name, field in fields.items()]
    rows += [(code, reply["description"]) for code, reply in sorted(operation["responses"].items())]
    listed = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in rows)
    return (
        f"<section><h2>{method.upper()} {escape(path)}</h2>"
        f"<p>{escape(operation['summary'])}</p><dl>{listed}</dl></section>"
    )

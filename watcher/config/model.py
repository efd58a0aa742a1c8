"""The configuration file's keys: name, type, default, meaning. The one table of options.

Imports pydantic and ``kinds``. Invariant: what this table does not know is refused; the check, the
JSON Schema and the sample file are all made from it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from watcher.config.kinds import (
    Count,
    Duration,
    Flag,
    Natural,
    Period,
    Size,
    Text,
    Texts,
    Token,
    Whole,
    Words,
    Workers,
    bundled,
    conditions,
    listed,
    unless_off,
    with_hours,
)


def told(default: Any, meaning: str, shown: str = "") -> Any:
    """A key with its default and meaning; ``shown`` is what the sample file writes for it."""
    extra: dict[str, Any] = {"shown": shown} if shown else {}
    return Field(default, description=meaning, repr=False, json_schema_extra=extra or None)


Chain = Annotated[list["ChainKeys"], BeforeValidator(listed)]


class _Keys(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class WhenKeys(_Keys):
    """The windows in which jobs may be sent."""

    hours: Texts = Field(description="windows such as Mon-Fri 19:00-07:00")
    zone: Text | None = told(None, "the time zone (this machine's)", "Europe/Berlin")


When = Annotated[WhenKeys, BeforeValidator(with_hours)]


class BundleKeys(_Keys):
    """Files that are one unit: a folder, a sequence, or a main file and what belongs to it."""

    kind: Literal["folder", "sequence"] | None = told(None, "folder | sequence", "folder")
    main: Texts | None = told(
        None, "patterns of the main file; `####` stands for a frame number", '"*.CATProduct"'
    )
    with_: Texts | None = Field(
        None,
        alias="with",
        description="patterns of what belongs to it, beside and below",
        json_schema_extra={"shown": '["*.CATPart"]'},
    )
    first: Natural | None = told(None, "the frame that a sequence must begin with", "1")
    last: Natural | None = told(None, "the frame that it must end with", "100")


Bundle = Annotated[BundleKeys, BeforeValidator(bundled)]


class DefaultsKeys(_Keys):
    """What folders and rules share unless they say otherwise."""

    folder: dict[str, Any] | None = told(None, "keys of folders", "{settle: 2s}")
    rule: dict[str, Any] | None = told(None, "keys of rules", "{receipt: true, retries: 5}")


class MatchKeys(_Keys):
    """Conditions on a file; all that are given must hold."""

    glob: Texts | None = told(None, "one pattern or several, of which one must match", '"*.step"')
    regex: Text | None = told(
        None, "a regular expression to be found in the path below the input", '"v[0-9]+"'
    )
    path: Texts | None = told(
        None, "patterns for the whole path below the input", '"incoming/**/*.step"'
    )
    min_size: Size | None = told(None, "the least size of the file", "1k")
    max_size: Size | None = told(None, "the greatest size of the file", "2GB")
    min_age: Duration | None = told(None, "least time since the last change", "10m")
    max_age: Duration | None = told(None, "longest time since the last change", "7d")
    content: Texts | None = told(
        None,
        "what the file begins with: a kind (zip, png, exr, step ...), 0x and hex, or text",
        "zip",
    )
    not_: Match | None = Field(
        None,
        alias="not",
        description="conditions under which the file is not taken",
        json_schema_extra={"shown": '"*_draft.*"'},
    )


Match = Annotated[
    MatchKeys,
    BeforeValidator(conditions),
]


class StepKeys(_Keys):
    """What runs, where, with which parameters."""

    process: Text | None = told(
        None, "a process of the scheduler; `pass` delivers the file unchanged", "convert_file"
    )
    script: Text | None = told(None, "a process script of your own", "./my_process.py")
    command: Words | None = told(
        None,
        "a program of this machine, without a shell",
        '[ffmpeg, -i, "{input}", "{outputs}/x.mp4"]',
    )
    entrypoint: Text | None = told(None, "the function to call (main)", "main")
    params: dict[str, Any] | None = told(None, "handed to the process", "{extension: glb}")
    scheduler: Text | None = told(None, "the name of a scheduler (default)", "default")
    queue: Text | None = told(None, "the scheduler's queue; sent only when set", "gpu")
    time_limit: Period | None = told(None, "the longest run; sent only when set", "30m")
    keep: Flag = told(default=True, meaning="deliver the outputs; false only feeds `then`")


class ChainKeys(StepKeys):
    """A job that is about the outputs of the one before it."""

    take: Text | None = told(None, "which of the outputs is the main one", '"*.glb"')


class JobKeys(StepKeys):
    """One job, and those that its outputs go on to."""

    then: Chain | None = told(
        None, "jobs about the outputs, one after another", "[{process: generate_thumbnails}]"
    )


class RuleKeys(JobKeys):
    """What to do with the files that match."""

    name: Text | None = told(None, "unique in its folder (made from the process)", "step-to-glb")
    match: Match = Field(
        description="a pattern, a list of patterns, or a mapping of conditions",
        json_schema_extra={"shown": '"*.{step,stp}"'},
    )
    jobs: list[JobKeys] | None = told(
        None, "several jobs for one file", "[{process: convert_file}, {process: generate_metadata}]"
    )
    priority: Whole = told(0, "higher goes first")
    max_in_flight: Count | None = told(None, "jobs of this rule under way at once", "4")
    retries: Natural = told(2, "how often a failed job is tried again")
    retry_after: Duration = told(30.0, "the wait before the first retry; it grows", "30s")
    receipt: Flag = told(default=False, meaning="write <output>.json beside each output")
    deliver: Text | None = told(
        None, "a path template below the output folder", '"{parent}/{stem}.{ext}"'
    )
    on_conflict: Literal["own", "replace", "rename", "skip", "fail"] = told(
        "own",
        "when something else stands under the final name: own | replace | rename | skip | fail",
    )
    on_repeat: Literal["again", "skip", "version"] = told(
        "again", "when an unchanged file comes again: again | skip | version"
    )
    dedupe: Flag = told(
        default=False, meaning="convert no content that was delivered before under any name"
    )
    wait_for_parts: Duration = told(60.0, "how long to wait for referenced files", "60s")
    missing: Literal["fail", "warn"] = told(
        "fail", "when referenced files do not come: fail | warn"
    )
    bundle: Bundle | None = told(
        None,
        "what one job is about: folder | sequence | {main, with}",
        '{main: "*.CATProduct", with: ["*.CATPart"]}',
    )
    root_file: Text | None = told(
        None, "a pattern: the main file inside an archive or folder", '"*.gltf"'
    )
    done_file: Text | None = told(
        None, "the marker that says that a file is complete", '"{name}.done"'
    )
    allow: dict[str, Any] | None = told(
        None,
        "what a sidecar <file>.watch.yaml may set: choices, a range, or any",
        "{extension: [glb, gltf], width: 64..4096}",
    )
    when: When | None = told(
        None, "when jobs may be sent: days, hours, zone", '"Mon-Fri 19:00-07:00 Europe/Berlin"'
    )


class FolderKeys(_Keys):
    """One watched folder."""

    name: Text | None = told(None, "unique (the input's last component)", "cad")
    input: Text = told(..., "where files are dropped", "./drop/cad")
    output: Text = told(..., "where outputs appear", "./ready/cad")
    done: Text = told("keep", "where delivered sources go: a folder, `keep` or `delete`")
    failed: Text | None = told(
        None, "where failed sources go (<input>/../failed/<name>)", "./failed/cad"
    )
    watch: Literal["auto", "native", "polling"] = told(
        "auto", "how changes are noticed: auto | native | polling"
    )
    scan_every: Period = told(60.0, "the safety net under the watch", "60s")
    settle: Duration = told(1.0, "quiet time before a file counts as complete", "1s")
    recursive: Flag = told(default=True, meaning="look into sub-folders")
    ignore: Texts = told([], "patterns to leave alone, besides the built-in ones", '["*.bak"]')
    max_in_flight: Count | None = told(None, "jobs of this folder under way at once", "16")
    status_file: Flag = told(
        default=False, meaning="keep a watcher-status.txt in the input, for those who drop files"
    )
    rules: list[RuleKeys] = Field(
        min_length=1, description="in order; the first that matches takes the file"
    )


class SchedulerKeys(_Keys):
    """Where jobs run."""

    url: Text = told("embedded", "`embedded`, or the http(s) address of a Pixyz Scheduler")
    token: Token | None = told(None, "the scheduler's access token", "${PIXYZ_TOKEN:-}")
    token_file: Text | None = told(None, "a file that holds the token", "./token")
    max_in_flight: Count = told(32, "jobs submitted and not finished")
    poll_every: Period = told(1.0, "the fastest poll; long jobs are asked less often", "1s")
    timeout: Period = told(30.0, "of one request", "30s")
    workers: Workers = told(0, "embedded only: worker processes, auto is one a core", "auto")
    processes: Text | None = told(
        None, "embedded only: a folder of your own process scripts", "./processes"
    )


class HttpKeys(_Keys):
    """The page, health and metrics."""

    listen: Text = told("127.0.0.1:9410", "address and port")
    token_file: Text | None = told(
        None, "a file that holds the page's token; a must off loopback", "./page-token"
    )


class LogKeys(_Keys):
    """The daemon's log."""

    level: Literal["debug", "info", "warning", "error"] = told(
        "info", "debug | info | warning | error"
    )
    format: Literal["auto", "json", "console"] = told(
        "auto", "auto: coloured on a terminal, JSON lines elsewhere | json | console"
    )


class NotifyKeys(_Keys):
    """A webhook that is told when people are needed."""

    on: list[Literal["failed", "stalled", "offline", "down", "backlog", "refused", "recovered"]] = (
        told(
            ["failed", "stalled", "offline", "down", "backlog", "refused", "recovered"],
            "failed | stalled | offline | down | backlog | refused | recovered",
            "[failed, stalled, offline, down, backlog, refused, recovered]",
        )
    )
    url: Text = told(..., "where messages are posted", "${HOOK_URL}")
    secret: Token | None = told(None, "signs messages (HMAC-SHA256)", "${HOOK_SECRET:-}")
    secret_file: Text | None = told(None, "a file that holds the secret", "./hook-secret")
    wait: Duration = told(10.0, "what happens within it goes into one message", "10s")
    every: Period = told(60.0, "the least time between two messages", "1m")
    backlog_after: Period = told(1800.0, "how long a file may wait before `backlog`", "30m")
    body: Text | None = told(
        None,
        "a Jinja template of the message: text, title, events, at",
        "'{\"text\": {{ text|tojson }}}'",
    )


class FileKeys(_Keys):
    """The whole file."""

    state: Text = told("./var", "where the ledger, staging and embedded jobs live; a local disk")
    ledger: Text = told(
        "sqlite", "the record of all files; postgresql://user@host/db: shared by several watchers"
    )
    keep_history: Period = told(90 * 86400.0, "how long finished files are remembered", "90d")
    scheduler: SchedulerKeys = Field(
        default_factory=SchedulerKeys, description="where jobs run: the one named `default`"
    )
    schedulers: dict[str, SchedulerKeys] = told({}, "more schedulers, by name")
    http: Annotated[HttpKeys | None, BeforeValidator(unless_off)] = Field(
        default_factory=HttpKeys, description="page, health and metrics, or `off`"
    )
    log: LogKeys = Field(default_factory=LogKeys, description="the daemon's log")
    notify: list[NotifyKeys] = told([], "webhooks that are told when people are needed")
    defaults: DefaultsKeys | None = told(
        None, "what all folders and rules share; keys that begin with x- hold anchors", "{}"
    )
    folders: list[FolderKeys] = Field(min_length=1, description="the watched folders")

"""The configuration after loading: frozen, durations in seconds, sizes in bytes, paths absolute.

Imports the standard library only. Invariant: no default is guessed by a reader; every field is
filled by ``watcher.config`` (the defaults here serve tests and are the same).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any, Literal

EMBEDDED = "embedded"  # the address of the scheduler in this process
PASS = "pass"  # noqa: S105  (a process name, no password)


class Secret:
    """A string that never shows itself in a repr, a log or an error."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerSettings:
    """One scheduler by name; ``url`` is ``embedded`` or an http(s) address."""

    name: str = "default"
    url: str = EMBEDDED
    token: Secret | None = None
    max_in_flight: int = 32
    poll_every: float = 1.0
    timeout: float = 30.0
    workers: int = 0  # embedded only; 0 is auto (one a core)
    processes: Path | None = None  # embedded only: a folder of process scripts


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Conditions that must all hold; ``globs`` and ``regex`` speak of the path in NFC, caseless.

    Ages are seconds since the last change of the content; ``content`` as ``core.magic`` reads it.
    """

    globs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    regex: str = ""
    min_size: int | None = None
    max_size: int | None = None
    min_age: float | None = None
    max_age: float | None = None
    content: tuple[str, ...] = ()
    exclude: Match | None = None  # ``not:`` in the file


@dataclass(frozen=True, slots=True)
class Window:
    """Days (0 is Monday) and minutes of the day; an end not after its start is the next day's."""

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class When:
    """The windows in which jobs may be submitted, on the clock of ``zone``."""

    windows: tuple[Window, ...]
    zone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """One job of a rule. Exactly one of ``process``, ``script`` and ``command`` is set.

    ``label`` is unique within its rule; it is ``{job}`` in templates. ``after``: the index of the
    job whose outputs are this one's input (``take`` says which is the main one), instead of the
    file. ``keep`` false: its outputs only feed others and are not delivered.
    """

    label: str
    process: str = ""
    script: Path | None = None
    command: tuple[str, ...] = ()
    entrypoint: str = "main"
    params: dict[str, Any] = field(default_factory=dict)
    scheduler: str = "default"
    queue: str = ""  # sent only when set
    time_limit: float | None = None  # sent only when set
    after: int | None = None
    take: str = ""
    keep: bool = True

    @property
    def runs(self) -> str:
        """What runs, for people: a process by its name, a script or program by its own."""
        if self.command:
            return f"command: {self.command[0]}"
        return self.process or f"script: {self.script.name if self.script else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What one unit of a rule is, as ``core.bundles`` tells. ``main`` and ``members`` are patterns;
    ``first`` and ``last`` are frames that a sequence must have."""

    kind: Literal["folder", "sequence", "pattern"]
    main: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a sidecar may set one parameter to: one of the choices, a number within bounds (both
    included), or anything plain."""

    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    anything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to do with the files that match. ``deliver`` is empty for the default template."""

    name: str
    match: Match
    jobs: tuple[JobSpec, ...]
    priority: int = 0
    max_in_flight: int | None = None
    retries: int = 2
    retry_after: float = 30.0
    receipt: bool = False
    deliver: str = ""
    on_conflict: Literal["own", "replace", "rename", "skip", "fail"] = "own"
    on_repeat: Literal["again", "skip", "version"] = "again"
    dedupe: bool = False
    wait_for_parts: float = 60.0
    missing: Literal["fail", "warn"] = "fail"
    when: When | None = None
    bundle: Bundle | None = None
    root_file: str = ""
    done_file: str = ""
    allow: dict[str, Allowed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One watched folder. ``done`` is a path, or the words keep and delete."""

    name: str
    input: Path
    output: Path
    done: Path | Literal["keep", "delete"] = "keep"
    failed: Path
    watch: Literal["auto", "native", "polling"] = "auto"
    scan_every: float = 60.0
    settle: float = 1.0
    recursive: bool = True
    ignore: tuple[str, ...] = ()
    max_in_flight: int | None = None
    status_file: bool = False
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """Where the page, health and metrics are served. ``token``: asked of every caller."""

    host: str = "127.0.0.1"
    port: int = 9410
    token: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """A webhook. ``url`` is a secret too: chat services put their token into it. ``body`` is a
    template, empty for JSON; times are seconds."""

    on: frozenset[str]
    url: Secret
    secret: Secret | None = None
    wait: float = 10.0
    every: float = 60.0
    backlog_after: float = 1800.0
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration."""

    source: Path  # the file it was read from
    state: Path
    ledger: str = field(default="sqlite", repr=False)  # an address may hold a password
    keep_history: float = 90 * 86400.0
    schedulers: dict[str, SchedulerSettings] = field(default_factory=dict)
    http: Http | None = field(default_factory=Http)  # None: off
    log_level: str = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    notify: tuple[Notify, ...] = ()
    folders: tuple[Folder, ...] = ()


def stands_alone(rule: Rule, index: int) -> bool:
    """Whether a job stages the one file itself, which needs no folder of its own: nothing lies
    beside it, and no other job is about it."""
    fed = any(spec.after == index for spec in rule.jobs)
    return rule.jobs[index].process == PASS and rule.bundle is None and not fed

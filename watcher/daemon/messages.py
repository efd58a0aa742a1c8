"""What a webhook is told: events in groups, their text, the signature.

Imports core and Jinja2. Invariant: pure: no clock, no network; names are made printable, and a
message names ``NAMED`` subjects a kind at most, however many there are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from watcher.core.delivery import stamp
from watcher.core.model import printable
from watcher.core.settings import Secret

NAMED = 10
WORDS = {
    "failed": ("file failed", "files failed"),
    "stalled": ("job is stalled", "jobs are stalled"),
    "offline": ("folder is offline", "folders are offline"),
    "down": ("scheduler is down", "schedulers are down"),
    "backlog": ("folder's backlog is old", "folders' backlogs are old"),
    "refused": ("configuration was refused", "configurations were refused"),
    "recovered": ("trouble is over", "troubles are over"),
}
SIGNATURE = "X-Watcher-Signature"


@dataclass(slots=True)
class Group:
    """Events of one kind: how many, and the first of them as (subject, reason)."""

    count: int = 0
    named: list[tuple[str, str]] = field(default_factory=list)

    def add(self, subject: str, reason: str) -> None:
        """One more."""
        self.count += 1
        if len(self.named) < NAMED:
            self.named.append((printable(subject), printable(reason)))


def values(groups: Mapping[str, Group], at: float) -> dict[str, Any]:
    """What a template may use: ``title``, ``text``, ``events``, ``at``."""
    title = "watcher: " + ", ".join(_counted(kind, group) for kind, group in groups.items())
    lines = [title]
    for group in groups.values():
        lines += [f"- {name}: {why}" if why else f"- {name}" for name, why in group.named]
        if group.count > len(group.named):
            lines.append(f"- and {group.count - len(group.named)} more")
    events = [
        {"kind": kind, "count": group.count,
         "named": [{"subject": name, "reason": why} for name, why in group.named]}
        for kind, group in groups.items()
    ]  # fmt: skip
    return {"title": title, "text": "\n".join(lines), "events": events, "at": stamp(at)}


def _counted(kind: str, group: Group) -> str:
    return f"{group.count} {WORDS[kind][group.count > 1]}"


def body(template: str, told: Mapping[str, Any]) -> bytes:
    """The message: the template filled in, or JSON without one."""
    if not template:
        return json.dumps(dict(told)).encode()
    # taken into memory by those alone who have a template
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    made = ImmutableSandboxedEnvironment(autoescape=False).from_string(template)
    return made.render(told).encode("utf-8", "backslashreplace")


def headers(message: bytes, secret: Secret | None, at: float) -> dict[str, str]:
    """The request's headers. The signature is the HMAC-SHA256 of ``<t>.<body>``, in hex."""
    kind = "application/json" if message[:1] in b"{[" else "text/plain; charset=utf-8"
    made = {"Content-Type": kind, "User-Agent": "watcher"}
    if secret is not None:
        seconds = str(int(at))
        signed = hmac.new(
            secret.reveal().encode(), seconds.encode() + b"." + message, hashlib.sha256
        )
        made[SIGNATURE] = f"t={seconds},v1={signed.hexdigest()}"
    return made

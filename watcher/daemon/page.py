"""The page: one screen of HTML that works without JavaScript.

Imports core only. Invariant: every word that comes from outside is made printable and escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from watcher.core.delivery import stamp
from watcher.core.model import FileState, Work, printable
from watcher.core.settings import Settings
from watcher.daemon.health import Health

STYLE = (
    ":root{color-scheme:light dark}body{font:1rem system-ui,sans-serif;margin:2rem}"
    "table{border-collapse:collapse;width:100%;margin-bottom:2rem}"
    "caption{text-align:left;font-weight:bold;padding:.5rem 0}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid;overflow-wrap:anywhere}"
)
WAITING = (FileState.ACCEPTED, FileState.WORKING, FileState.HELD)


def page(
    settings: Settings,
    health: Health,
    counts: Mapping[tuple[str, FileState], int],
    works: Mapping[str, Sequence[Work]],
) -> str:
    """The whole page. ``works``: the files shown under each caption, newest first."""
    tables = [
        _table("Folders", ("Folder", "Health", "Backlog"), _folders(settings, health, counts))
    ]
    for caption, some in works.items():
        tables.append(_table(caption, ("Folder", "File", "State", "Since", "More"), _files(some)))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="5">'
        '<meta name="viewport" content="width=device-width"><title>watcher</title>'
        f"<style>{STYLE}</style></head><body><main><h1>watcher</h1>{''.join(tables)}"
        "</main></body></html>"
    )


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    cells = (
        "<tr>" + "".join(f"<td>{escape(printable(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    body = "".join(cells) or f'<tr><td colspan="{len(heads)}">none</td></tr>'
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _folders(
    settings: Settings, health: Health, counts: Mapping[tuple[str, FileState], int]
) -> Iterable[Sequence[str]]:
    for folder in settings.folders:
        root = health.roots.get(folder.name)
        word = "online" if root is not None and root.online else "offline"
        if root is not None and root.reason:
            word = f"{word}: {root.reason}"
        backlog = sum(counts.get((folder.name, state), 0) for state in WAITING)
        yield folder.name, word, str(backlog)


def _files(works: Sequence[Work]) -> Iterable[Sequence[str]]:
    for work in works:
        jobs = (
            f"{job.label}: {job.state}" + (f" {job.progress}%" if job.progress else "")
            for job in work.jobs
        )
        file = work.file
        more = file.reason or ", ".join(jobs)
        yield file.folder, file.path, file.state, str(stamp(file.changed_at)), more

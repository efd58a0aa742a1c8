"""The checks of ``doctor`` on folders, disks, watches and the clock.

Imports core, the observe adapter and findings. Invariant: every probe is made under a hidden name
of its own and removed again, whatever happens; nothing else is touched.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from watcher.adapters.observe.mounts import (
    WATCHES,
    file_system,
    is_remote,
    watch_limit,
)
from watcher.adapters.observe.tree import count_folders
from watcher.cli.findings import Finding, mend, note, ok
from watcher.core.settings import Folder, Settings

SPACE_LEAST = 64 << 20  # bytes free below which nothing is begun
SPACE_LOW = 2 << 30
SKEW = 2.0  # seconds between our clock and a file server's that do no harm
BORN = 1_767_225_600  # 2026-01-01; no clock is right before
FOLDERS_MOST = 2_000_000


def folders(settings: Settings) -> Iterator[Finding]:
    """Each root of each folder: really written, renamed and linked in."""
    yield from written(settings.state, "state", needed=False)
    for folder in settings.folders:
        yield from _input(folder)
        for name, path in (
            ("output", folder.output), ("failed", folder.failed), ("done", folder.done),
        ):  # fmt: skip
            if isinstance(path, Path):
                yield from written(path, f"{folder.name}: {name}", needed=False)


def _input(folder: Folder) -> Iterator[Finding]:
    what = f"{folder.name}: input"
    if not folder.input.is_dir():
        fix = "make it, mount it, or mend `input:`"
        yield mend(what, f"{folder.input} is not there", fix)
        return
    try:
        next(os.scandir(folder.input), None)
    except OSError as error:
        yield mend(what, f"{folder.input} cannot be listed: {error.strerror}", rights(folder.input))
        return
    yield from written(folder.input, what, needed=True)
    kind = file_system(folder.input)
    if is_remote(kind):
        yield note(what, f"{folder.input} is on {kind}: other machines' writes raise no events, so "
                   f"it is scanned every {folder.scan_every:g} s")  # fmt: skip


def written(path: Path, what: str, *, needed: bool) -> Iterator[Finding]:
    """Write, rename and link below a root. One that is not there yet is made at the start, if its
    nearest parent may be written."""
    where = path
    while not needed and not where.exists() and where != where.parent:
        where = where.parent
    probe = where / f".watcher-doctor-{os.getpid()}"
    try:
        skew = _probed(probe)
    except OSError as error:
        yield mend(what, f"{where} cannot be written: {error.strerror}", rights(where))
        return
    finally:
        for name in ("", ".renamed", ".linked"):
            with suppress(OSError):
                Path(f"{probe}{name}").unlink()
    made = "" if where == path else ", will be made"
    if _links(where):
        yield ok(what, f"{path} can be written{made}")
    else:
        yield note(what, f"{path} can be written{made}, but knows no hard links: copied instead")
    if abs(skew) > SKEW:
        text = f"the clock of its file server differs from ours by {skew:+.1f} s"
        yield note(what, text, "let both machines follow one time server")


def _probed(probe: Path) -> float:
    """Write and rename; how far the file's time is from ours."""
    before = time.time()
    with probe.open("x") as file:
        file.write("watcher doctor was here\n")
        file.flush()
        os.fsync(file.fileno())
    after = time.time()
    changed = probe.stat().st_mtime
    probe.rename(f"{probe}.renamed")
    Path(f"{probe}.renamed").rename(probe)
    return min(0.0, changed - before) or max(0.0, changed - after)


def _links(where: Path) -> bool:
    """Whether hard links can be made here."""
    probe = where / f".watcher-doctor-{os.getpid()}"
    linked = Path(f"{probe}.linked")
    try:
        probe.touch()
        linked.hardlink_to(probe)
    except OSError:
        return False
    finally:
        for path in (linked, probe):
            with suppress(OSError):
                path.unlink()
    return True


def rights(path: Path) -> str:
    """Who may do what at a path, and who we are."""
    with suppress(OSError):
        facts = path.stat()
        return (
            f"it belongs to uid {facts.st_uid}, gid {facts.st_gid}, mode "
            f"{facts.st_mode & 0o7777:o}; we are uid {os.geteuid()}, gid {os.getegid()}: "
            "chown, chmod or setfacl it, and run doctor as the service's user"
        )
    return "chown, chmod or setfacl it, and run doctor as the service's user"


def disks(settings: Settings) -> Iterator[Finding]:
    """Space on each disk that is written to."""
    seen: set[int] = set()
    for path in (settings.state, *(folder.output for folder in settings.folders)):
        where = next((one for one in (path, *path.parents) if one.exists()), path)
        with suppress(OSError):
            device = where.stat().st_dev
            if device in seen:
                continue
            seen.add(device)
            free = shutil.disk_usage(where).free
            text = f"{free / 1e9:.1f} GB free at {where}"
            if free < SPACE_LEAST:
                yield mend("disk", text, "make room: nothing is begun or delivered on a full disk")
            else:
                yield note("disk", text) if free < SPACE_LOW else ok("disk", text)


def watches(settings: Settings, limits: Sequence[Path] = WATCHES) -> Iterator[Finding]:
    """Folders to watch against the kernel's limit, which stands in these files."""
    limit = watch_limit(limits)
    roots = [
        folder.input
        for folder in settings.folders
        if folder.watch != "polling" and not is_remote(file_system(folder.input))
    ]
    count = sum(count_folders(root, enough=FOLDERS_MOST) for root in roots if root.is_dir())
    if limit is None:
        yield note("watches", f"{count} folders; the limit of inotify cannot be read")
    elif count > limit:
        more = max(2 * count, 524_288)
        yield mend(
            "watches", f"{count} folders to watch, {limit} allowed: large roots would be polled",
            f"echo fs.inotify.max_user_watches={more} > /etc/sysctl.d/60-watcher.conf; "
            "sysctl --system",
        )  # fmt: skip
    else:
        yield ok("watches", f"{count} folders to watch, {limit} allowed")


def clock(now: float) -> Iterator[Finding]:
    """Whether the clock can be right."""
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < BORN:
        yield mend("clock", f"it says {shown}", "set it: timedatectl set-ntp true")
    else:
        yield ok("clock", f"it says {shown}")

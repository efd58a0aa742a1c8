"""``watcher demo``: the whole product in one command, on models of our own, below ./watcher-demo.

Imports click, rich, the samples, ``config`` and the service. Invariant: it writes nowhere else, and
succeeds only when every output is there and opens.
"""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.tree import Tree

from watcher.cli.app import ExitCode
from watcher.config.load import load
from watcher.core.model import FileRecord, FileState, JobRecord, JobState
from watcher.core.ports import Change, NewFile, SaveFile, SaveJob
from watcher.errors import UsageError

FOLDER = Path("watcher-demo")
CONFIG = """\
# Made by `watcher demo`. Drop files of your own into drop/, then: watcher run -c watcher.yaml
state: ./state
http: off
folders:
  - name: demo
    input: ./drop
    output: ./ready
    done: ./archive
    failed: ./failed
    settle: 300ms
    rules:
      - name: models
        match: "*.{step,stp,obj,stl,gltf,glb,ply}"
        deliver: "{stem}/{output}"
        jobs:
          - {process: convert_file, params: {filename: model, extension: glb}}
          - {process: generate_thumbnails, params: {width: 384, height: 384}}
          - {process: generate_metadata}
"""
NEEDS = ("trimesh", "numpy", "PIL", "cascadio")
MADE = ("model.glb", "iso.png", "x.png", "y.png", "z.png", "preview.glb", "metadata.json")
STAGES = (JobState.SUBMITTED, JobState.FETCHING, JobState.STAGED)


@dataclass(slots=True)
class Progress:
    """What was recorded of each file and job, with the wall time of each state."""

    files: dict[int, FileRecord] = field(default_factory=dict)
    jobs: dict[int, JobRecord] = field(default_factory=dict)
    times: dict[tuple[int, str], float] = field(default_factory=dict)

    def take(self, changes: Sequence[Change]) -> None:
        """Note recorded changes."""
        for change in changes:
            if isinstance(change, NewFile):
                self.files[change.file.id] = change.file
                self.jobs.update((job.id, job) for job in change.jobs)
                self.times[change.file.id, change.file.state] = change.file.accepted_at
            elif isinstance(change, SaveFile):
                self.files[change.after.id] = change.after
                state = change.after.state
                self.times.setdefault((change.after.id, state), change.after.changed_at)
            elif isinstance(change, SaveJob):
                self.jobs[change.after.id] = change.after
                state_of_job = change.after.state
                self.times.setdefault((change.after.id, state_of_job), change.after.changed_at)

    def table(self) -> Table:
        """The live view."""
        shown = Table("file", "state", "jobs", box=None, pad_edge=False)
        for file in list(self.files.values()):
            jobs = [job for job in list(self.jobs.values()) if job.file_id == file.id]
            words = "  ".join(f"{job.label} [dim]{job.state}[/dim]" for job in jobs)
            shown.add_row(file.path, f"[bold]{file.state}[/bold]", words)
        return shown


@click.command()
def demo() -> int:
    """Convert sample models below ./watcher-demo: no server, no network, nothing to configure.

    Drops real models in, runs the daemon on the embedded scheduler until all is delivered, prints
    the tree and how long each stage took. Exit 0 only if every output is there and opens.
    """
    _check_converters()
    names = _prepare()
    console = Console(highlight=False)
    console.print(f"{len(names)} models dropped into {FOLDER / 'drop'}; the daemon starts")
    progress = Progress()
    began = time.monotonic()
    _run(progress, console)
    took = time.monotonic() - began
    faults = _faults(names)
    console.print(_tree(FOLDER / "ready"))
    console.print(_timings(progress))
    for fault in faults:
        console.print(f"[red]{fault}[/red]")
    if faults:
        console.print(f"see {FOLDER / 'failed'} and {FOLDER / 'demo.log'}")
        return ExitCode.FAILED
    console.print(f"[green]all {len(names)} models delivered and checked in {took:.1f} s[/green]")
    console.print(f"pictures: {FOLDER / 'ready'}; sources: {FOLDER / 'archive'}")
    console.print(
        f"next: `watcher explain -c {FOLDER / 'watcher.yaml'} flange.step`, `watcher init`"
    )
    return ExitCode.OK


def _check_converters() -> None:
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the demo needs the converters ({', '.join(missing)} missing)",
            fix="pip install 'pixyz-watcher[embedded]'",
        )


def _prepare() -> list[str]:
    """Lay out a fresh demo folder; the names of the main files."""
    from watcher.samples import files  # noqa: PLC0415  (--help stays quick)

    try:
        if FOLDER.exists():
            if not (FOLDER / "watcher.yaml").is_file():
                raise UsageError(
                    "it is there and not of the demo's making",
                    where=str(FOLDER),
                    fix="move it away",
                )
            shutil.rmtree(FOLDER)
        FOLDER.mkdir()
        (FOLDER / "watcher.yaml").write_text(CONFIG)
        for name, content in files():
            target = FOLDER / "drop" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(FOLDER)) from error
    return [name for name, _ in files() if Path(name).suffix[1:] not in ("mtl", "png", "bin")]


def _run(progress: Progress, console: Console) -> None:
    """The daemon until all is delivered; raises ``KeyboardInterrupt`` when a signal ended it."""
    from watcher.daemon import logs  # noqa: PLC0415  (--help stays quick)
    from watcher.daemon.service import Service  # noqa: PLC0415

    settings = load(FOLDER / "watcher.yaml", {}).settings
    with (FOLDER / "demo.log").open("w") as stream:
        log = logs.configure(form="json", stream=stream)
        live = Live(get_renderable=progress.table, console=console, refresh_per_second=8)

        def listen(changes: Sequence[Change]) -> None:
            progress.take(changes)
            if not console.is_terminal:
                _say_finals(changes, console)

        service = Service(settings, log, listener=listen)
        service.handle_signals()
        if console.is_terminal:
            with live:
                service.run_once(60.0)
        else:
            service.run_once(60.0)
    if service.signals:
        raise KeyboardInterrupt


def _say_finals(changes: Iterable[Change], console: Console) -> None:
    """Off a terminal, one line for each file that came to its end."""
    for change in changes:
        if isinstance(change, SaveFile) and change.after.state is not change.before.state:
            state = change.after.state
            if state in (FileState.DELIVERED, FileState.FAILED):
                console.print(f"{change.after.path}: {state} {change.after.reason}".rstrip())


# ---------------------------------------------------------------- the end
def _faults(names: list[str]) -> list[str]:
    """Every expected output that is not there or does not open."""
    found = []
    for name in names:
        for made in MADE:
            path = FOLDER / "ready" / Path(name).stem / made
            try:
                _open(path)
            except (OSError, ValueError) as error:
                found.append(f"{path}: {error}")
    return found


def _open(path: Path) -> None:
    """Open an output as its format. Raises ``OSError`` or ``ValueError`` when it does not."""
    content = path.read_bytes()
    if path.suffix == ".png":
        from PIL import Image  # noqa: PLC0415  (of the converters)

        Image.open(io.BytesIO(content)).load()
    elif path.suffix == ".glb":
        import trimesh  # noqa: PLC0415  (of the converters)

        scene = trimesh.load_scene(io.BytesIO(content), file_type="glb")
        if not scene.geometry:
            raise ValueError("it holds no geometry")
    else:
        json.loads(content)


def _tree(root: Path) -> Tree:
    tree = Tree(f"[bold]{root}[/bold]")
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        branch = tree.add(f"[bold]{folder.name}/[/bold]")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                branch.add(f"{path.relative_to(folder)}  [dim]{path.stat().st_size:,} bytes[/dim]")
    return tree


def _timings(progress: Progress) -> Table:
    """Seconds of each stage: waiting for a worker and running, fetching, the whole way."""
    heads = ("file", "job", "waited and ran", "fetched", "accepted to delivered")
    shown = Table(*heads, title="how long each stage took (s)", title_justify="left")
    for job in sorted(progress.jobs.values(), key=lambda job: (job.file_id, job.index)):
        sent, fetching, staged = (progress.times.get((job.id, state), 0.0) for state in STAGES)
        file = progress.files[job.file_id]
        ended = progress.times.get((file.id, FileState.DELIVERED), 0.0)
        whole = f"{ended - file.accepted_at:.2f}" if ended and job.index == 0 else ""
        shown.add_row(
            file.path if job.index == 0 else "",
            job.label,
            f"{fetching - sent:.2f}" if fetching else "-",
            f"{staged - fetching:.2f}" if staged else "-",
            whole,
        )
    return shown

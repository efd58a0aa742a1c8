"""The commands that finish what they start: convert, thumbnails, metadata.

Imports click, the HTTP client's types and its neighbours. Invariants: outputs appear under their
final names only when the job succeeded and all of them are whole; a companion never replaces
another file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click

from watcher.adapters.http import Details, Submission
from watcher.adapters.http.download import inside
from watcher.cli import show
from watcher.cli.fetch import gather
from watcher.cli.follow import Waiting, named, succeeded, waiting_options
from watcher.cli.inputs import config_of, input_option, params_option, run_options, with_parts
from watcher.cli.place import (
    check_folder,
    check_writable,
    is_folder,
    settle,
    staging,
    target_of,
    whole,
)
from watcher.cli.progress import Bars
from watcher.cli.remote import Remote, client_options, reached
from watcher.cli.submit import ended, send
from watcher.errors import JobFailed, OutsideRoot, TargetExists, UsageError

CONVERT, THUMBNAILS, METADATA = "convert_file", "generate_thumbnails", "generate_metadata"


@click.command(
    epilog="\b\nExamples:\n  watcher convert -i part.step -o part.glb\n"
    '  watcher convert -i file.obj -p \'{"filename": "converted_file", "extension": "gltf"}\' '
    "-o output.gltf"
)
@input_option(required=True)
@params_option
@click.option("-o", "--output", metavar="PATH", help="The result: a file or a folder [./NAME.EXT].")
@run_options
@waiting_options
@client_options
def convert(input_: Path, params: dict[str, Any], output: str | None, **rest: Any) -> None:
    """Convert a file: sends it with its textures, waits, downloads.

    The format is that of "extension" in -p, else of the end of -o. Materials, textures and buffers
    of the result go beside -o under their own names, never over another file.
    """
    named_file = output is not None and not is_folder(output)
    suffix = Path(output or "").suffix[1:].lower() if named_file else ""
    if suffix and "extension" not in params:
        params = {**params, "extension": suffix}
    stem = str(params.get("filename") or input_.stem)
    target = target_of(output, _plain(f"{stem}.{params.get('extension', '')}"))
    _check_target(target, input_)
    wanted, notes = _wanted(CONVERT, input_, params, rest)
    with _reached(wanted, rest) as remote, Bars() as bars:
        details = _done(remote, wanted, notes, _waiting(rest), bars)
        uuid = details.job.uuid
        with named(uuid), staging(target.parent) as place:
            names = gather(remote, uuid, place, bars)
            main = _main(details, names)
            if not named_file:
                target = target.with_name(stem + Path(main).suffix)
                _check_target(target, input_)
            written = _beside(place, names, main, target)
    show.files(details, written)


def _plain(name: str) -> str:
    if "/" in name or "\0" in name:
        raise UsageError("'filename' and 'extension' must be plain names", where="--params")
    return name


def _check_target(target: Path, input_: Path) -> None:
    check_writable(target)
    if target.exists() and target.samefile(input_):
        raise UsageError("the result would replace the input", where=str(target), fix="give -o")


def _main(details: Details, names: tuple[str, ...]) -> str:
    """The output that the job calls its main one, or its only one."""
    said = details.result.get("output") if isinstance(details.result, Mapping) else None
    if isinstance(said, str) and said in names:
        return said
    if said is None and len(names) == 1:
        return names[0]
    told = f"the result calls {said!r} its output" if said else "the result names no output"
    raise JobFailed(
        f"{told}, and there are {', '.join(map(repr, names)) or 'none'}",
        where=f"job {details.job.uuid}",
    )


def _beside(place: Path, names: tuple[str, ...], main: str, target: Path) -> list[Path]:
    """Give the outputs their names: the main one last, so that it never lacks its companions."""
    moves = {inside(place, name): inside(target.parent, name) for name in names if name != main}
    for path in moves.values():
        near = path.parent.resolve()
        if not near.is_relative_to(target.parent.resolve()):
            raise OutsideRoot("a link there leads out of the folder", where=str(path))
        if path == target:
            raise TargetExists(
                "a companion of the result has this name", where=str(path), fix="choose another -o"
            )
    moves[inside(place, main)] = target
    settle(moves, over=frozenset({target}))
    return [target, *(path for path in moves.values() if path != target)]


@click.command(
    epilog="\b\nExamples:\n  watcher thumbnails -i part.step -o pictures\n"
    '  watcher thumbnails -i part.step -p \'{"width": 1024, "height": 768}\' -o pictures'
)
@input_option(required=True)
@params_option
@click.option("-o", "--output", metavar="FOLDER", help="Where to [./NAME-thumbnails].")
@run_options
@waiting_options
@client_options
def thumbnails(input_: Path, params: dict[str, Any], output: str | None, **rest: Any) -> None:
    """Draw pictures and a preview of a file: sends it, waits, downloads every output."""
    folder = Path(output or f"{input_.stem}-thumbnails")
    check_folder(folder)
    wanted, notes = _wanted(THUMBNAILS, input_, params, rest)
    with _reached(wanted, rest) as remote, Bars() as bars:
        details = _done(remote, wanted, notes, _waiting(rest), bars)
        with named(details.job.uuid), staging(folder) as place:
            names = gather(remote, details.job.uuid, place, bars)
            moves = {inside(place, name): inside(folder, name) for name in names}
            for path in moves.values():
                if not path.parent.resolve().is_relative_to(folder.resolve()):
                    raise OutsideRoot("a link there leads out of the folder", where=str(path))
            settle(moves, over=frozenset(moves.values()))
    show.files(details, list(moves.values()))


@click.command(
    epilog="\b\nExamples:\n  watcher metadata -i part.step\n"
    "  watcher metadata -i part.step -o part.json"
)
@input_option(required=True)
@params_option
@click.option("-o", "--output", metavar="FILE", help="Write it there [standard output].")
@run_options
@waiting_options
@client_options
def metadata(input_: Path, params: dict[str, Any], output: str | None, **rest: Any) -> None:
    """Measure a file: sends it, waits, prints the metadata as JSON."""
    target = target_of(output, f"{input_.stem}.json") if output else None
    if target is not None:
        _check_target(target, input_)
    wanted, notes = _wanted(METADATA, input_, params, rest)
    with _reached(wanted, rest) as remote, Bars() as bars:
        details = _done(remote, wanted, notes, _waiting(rest), bars)
        with named(details.job.uuid):
            if not isinstance(details.result, dict):
                raise JobFailed("the result is no object", where=f"job {details.job.uuid}")
            if target is not None:
                with whole(target) as part:
                    part.write_text(json.dumps(details.result, indent=4) + "\n")
    if target is None:
        show.document(details.result)
    else:
        show.files(details, [target])


def _wanted(
    process: str, input_: Path, params: dict[str, Any], rest: Mapping[str, Any]
) -> tuple[Submission, tuple[str, ...]]:
    """The job, with the parts of its input; and what is to be said of these."""
    sources, notes = with_parts(input_)
    config = config_of(rest["queue"], rest["limit"])
    if len(sources) > 1:
        config["root_file"] = input_.name
    wanted = Submission(
        process=process, name=rest["alias"], params=params, config=config, sources=sources
    )
    return wanted, notes


def _reached(wanted: Submission, rest: Mapping[str, Any]) -> AbstractContextManager[Remote]:
    size = sum(each.size for each in wanted.sources)
    return reached(timeout=rest["timeout"], upload=size)


def _waiting(rest: Mapping[str, Any]) -> Waiting:
    return Waiting(rest["timeout"], rest["patience"])


def _done(
    remote: Remote, wanted: Submission, notes: tuple[str, ...], waiting: Waiting, bars: Bars
) -> Details:
    """The job, sent and followed to its success."""
    for note in notes:
        bars.note(note)
    job = send(remote, wanted, bars)
    with named(job.uuid):
        details = succeeded(ended(remote, job, waiting, bars))
    for told in details.document.get("warnings") or ():  # `watcher serve` gives a list of texts
        bars.note(str(told))
    return details

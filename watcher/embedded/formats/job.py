"""What the converting processes share: their input, and how apart they must run.

Imports this package's modules. Invariant: every process meets its input through ``model``.
"""

from __future__ import annotations

from pathlib import Path

from watcher.embedded.formats.kinds import ALIASES, FORMATS, extension
from watcher.embedded.formats.read import Model, read
from watcher.embedded.script import JobFailure, ProcessContext


def model(pc: ProcessContext) -> Model:
    """The input of a job, read.

    Raises:
        JobFailure: there is no input, or it cannot be read.
    """
    path = pc.get_input_file()
    if path is None:
        raise JobFailure("this process needs an input file", fix="send one with the job")
    return read(Path(path), pc.warn)


def isolation(input_name: str) -> str:
    """``own`` for inputs read by big native libraries (CAD, assimp, unknown), else ``reuse``."""
    name = extension(input_name)
    known = FORMATS.get(ALIASES.get(name, name))
    return "reuse" if known is not None and known.engine in {"mesh", "gltf"} else "own"

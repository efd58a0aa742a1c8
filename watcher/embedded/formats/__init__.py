"""Reading, checking and writing 3D formats for the built-in processes.

Imports nothing at import time. Invariant: a converter is loaded by the first job that needs it;
``warm`` loads them ahead, for the process that workers are forked from.
"""

from __future__ import annotations

import importlib

PRELOAD = ("numpy", "PIL.Image", "lxml.etree", "networkx", "collada", "trimesh")


def warm() -> None:
    """Import the converters that nearly every job needs (0.5 to 1.5 s once, about 90 MB).

    OpenCASCADE, assimp and Mitsuba stay out: jobs that need them get a process of their own.
    """
    for name in PRELOAD:
        importlib.import_module(name)

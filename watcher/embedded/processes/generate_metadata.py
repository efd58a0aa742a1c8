"""The process ``generate_metadata``: what is in a model.

Imports the standard library and ``watcher.embedded.formats``. Invariant: the result and
``metadata.json`` are the same object.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from watcher.embedded.formats import job
from watcher.embedded.formats.facts import metadata
from watcher.embedded.formats.params import Params
from watcher.embedded.script import ProcessContext

ISOLATION = "reuse"
isolation = job.isolation


def main(pc: ProcessContext, params: dict[str, Any]) -> dict[str, Any]:
    """
    Measures the input and counts what is in it.

    Parameters: none.
    Result, and metadata.json: {"aabb": diagonal of the bounding box as a string, "bbox_min": [x, y,
    z], "bbox_max": [x, y, z], "unit": "millimeter", "meter" or "" when the file states none,
    "polygon_count": triangles counted once per placement, "mesh_vertex_count", "point_count",
    "part_count", "mesh_count", "node_count", "material_count", "texture_count", "animation_count",
    "variant_count", "format"}
    """
    Params(params, (), pc.warn)
    pc.progress_set_total(2)
    pc.progress_next("Reading the input")
    model = job.model(pc)
    pc.progress_next("Counting")
    found = metadata(model)
    text = json.dumps(found, indent=4)
    Path(pc.get_output_dir(), "metadata.json").write_text(text, encoding="utf-8")
    return found

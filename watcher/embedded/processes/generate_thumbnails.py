"""The process ``generate_thumbnails``: four pictures, a preview and the metadata.

Imports the standard library and ``watcher.embedded.formats``. Invariant: names and shape of the
result are those of the Pixyz Scheduler.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from watcher.embedded.formats import job
from watcher.embedded.formats.facts import metadata
from watcher.embedded.formats.params import Params
from watcher.embedded.formats.pictures import TRANSPARENT, draw_all, preview
from watcher.embedded.formats.write import METRES
from watcher.embedded.script import ProcessContext

ISOLATION = "own"
_LARGEST = 4096
_MOST_SAMPLES = 1024


def main(pc: ProcessContext, params: dict[str, Any]) -> dict[str, Any]:
    """
    Draws iso.png, x.png, y.png and z.png, and writes preview.glb and metadata.json.

    Parameters
    {
    "width": 512,             [optional] of the pictures in pixels, 16 to 4096 (default: 512)
    "height": 512,            [optional] of the pictures in pixels, 16 to 4096 (default: 512)
    "samples": 16,            [optional] light paths per pixel, 0 to 1024: more is smoother and
                              slower; 0 draws without Mitsuba, plainly (default: 16)
    "background": "#f3f4f6"   [optional] #rrggbb, "white", "black" or "transparent"
                              (default: "#f3f4f6")
    }
    preview.glb has at most 500000 triangles.
    Result: {"thumbs": {"iso": "iso.png", "x": "x.png", "y": "y.png", "z": "z.png"},
    "preview": {"file": "preview.glb", "size": "512x512"}, "metadata": {...},
    "process_duration": seconds}
    """
    given = Params(params, ("width", "height", "samples", "background"), pc.warn)
    size = tuple(given.whole(side, 512, (16, _LARGEST)) for side in ("width", "height"))
    samples = given.whole("samples", 16, (0, _MOST_SAMPLES))
    background = given.colour("background", "#f3f4f6", (TRANSPARENT, "white", "black"))
    started = time.monotonic()
    pc.progress_set_total(6)
    pc.progress_next("Reading the input")
    model = job.model(pc)
    folder = Path(pc.get_output_dir())
    thumbs = {}
    pc.progress_next("Drawing")
    for name, file in draw_all(
        model.scene,
        model.up,
        folder,
        size=(size[0], size[1]),
        samples=samples,
        background=background,
        warn=pc.warn,
    ):
        thumbs[name] = file
        pc.progress_next(f"Drawn {file}")
    up = model.up if model.declared else "y"
    (folder / "preview.glb").write_bytes(preview(model.scene, METRES.get(model.unit, 1.0), up))
    found = metadata(model)
    (folder / "metadata.json").write_text(json.dumps(found, indent=4), encoding="utf-8")
    return {
        "thumbs": thumbs,
        "preview": {"file": "preview.glb", "size": f"{size[0]}x{size[1]}"},
        "metadata": found,
        "process_duration": round(time.monotonic() - started, 3),
    }

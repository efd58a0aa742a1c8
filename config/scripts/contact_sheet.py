"""A process script of one's own: a contact sheet of an image sequence.

It runs on the embedded scheduler, and on any other whose workers have Pillow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image


def main(pc: Any, params: dict[str, Any]) -> dict[str, int]:
    """One picture of all frames: ``columns`` of them in a row, each ``size`` pixels."""
    columns, size = int(params.get("columns", 4)), int(params.get("size", 160))
    frames = sorted(path for path in Path(pc.get_input_dir()).iterdir() if path.is_file())
    pc.progress_set_total(len(frames))
    rows = -(-len(frames) // columns)
    sheet = Image.new("RGB", (columns * size, rows * size))
    for index, path in enumerate(frames):
        pc.progress_next(path.name)
        with Image.open(path) as frame:
            frame.thumbnail((size, size))
            sheet.paste(frame.convert("RGB"), (index % columns * size, index // columns * size))
    sheet.save(pc.get_output_dir("sheet.jpg"), quality=90)
    return {"frames": len(frames), "rows": rows}

"""The process ``convert_file``: a model in another format.

Imports ``watcher.embedded.formats``. Invariant: the result names the main output; materials and
textures of OBJ lie beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from watcher.embedded.formats import job
from watcher.embedded.formats.params import Params
from watcher.embedded.formats.write import OUTPUTS, write
from watcher.embedded.script import ProcessContext

ISOLATION = "reuse"
isolation = job.isolation


def main(pc: ProcessContext, params: dict[str, Any]) -> dict[str, Any]:
    """
    Converts the input to another format.

    Parameters
    {
    "extension": "glb",   [optional] glb, gltf, obj, stl, ply, 3mf, off, dae or xyz (default: glb)
    "filename": "output"  [optional] name of the output without extension (default: output)
    }
    Reads OBJ, STL, PLY, GLB, glTF, 3MF, OFF, DAE, XYZ, 3DXML, STEP, IGES, FBX, 3DS, X3D and IFC.
    glTF and DAE are written in metres and 3MF in millimetres when the input states its unit (CAD,
    3MF, DAE, 3DXML, IFC); all other formats keep the numbers of the input, CAD in millimetres.
    Axes stay as they are, but FBX, 3DS, X3D and IFC come y-up, and so do DAE files in glTF. GLB
    and glTF pass with their animations, variants and extensions. OBJ and DAE come with textures
    beside them; STL, PLY, OFF, XYZ and 3MF hold shape and plain colours only.
    Result: {"output": "output.glb"}
    """
    given = Params(params, ("extension", "filename"), pc.warn)
    extension = given.choice("extension", "glb", OUTPUTS)
    name = given.file_name("filename", "output", extension)
    pc.progress_set_total(2)
    pc.progress_next("Reading the input")
    model = job.model(pc)
    pc.progress_next(f"Writing {name}.{extension}")
    return {"output": write(model, Path(pc.get_output_dir()), name, extension)}

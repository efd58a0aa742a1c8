"""Small models for ``watcher demo``: every one made by this project's own code.

Imports the standard library. Invariant: together below 400 kB; ``make`` writes them anew.

===================================  ==============================================================
flange.step                          a flanged hub, STEP AP214, millimetres (``flange.py``)
vase/vase.obj, vase.mtl, vase.png    a textured vase, OBJ
gear.stl                             a spur gear of 24 teeth, binary STL
lamp/lamp.gltf, lamp.bin             a desk lamp in four materials, glTF with a separate buffer
galaxy.ply                           a spiral of 6000 coloured points, binary PLY
===================================  ==============================================================

Licence: that of the project (Apache-2.0).
"""

from __future__ import annotations

from importlib import resources

NAMES = (
    "flange.step",
    "vase.obj",
    "vase.mtl",
    "vase.png",
    "gear.stl",
    "lamp.gltf",
    "lamp.bin",
    "galaxy.ply",
)
_ASSETS = {"vase": "vase/", "lamp": "lamp/"}


def files() -> list[tuple[str, bytes]]:
    """Relative name (``/`` between folders) and content of each sample.

    What belongs together (vase, lamp) stands in a folder of its own.
    """
    folder = resources.files(__name__) / "models"
    return [
        (_ASSETS.get(name.partition(".")[0], "") + name, (folder / name).read_bytes())
        for name in NAMES
    ]

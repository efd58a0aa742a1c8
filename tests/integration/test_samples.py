"""The samples that are shipped are those that their program makes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from watcher import samples
from watcher.samples import make


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    make.main(folder)
    return folder


@pytest.mark.parametrize("name", ["flange.step", "vase.obj", "vase.mtl"])
def test_texts_are_made_to_the_letter(made, name):
    shipped = dict(samples.files())
    folder = "vase/" if name.startswith("vase") else ""
    assert (made / name).read_bytes() == shipped[folder + name]


def test_the_rest_is_alike_whatever_the_libraries_write(made, tmp_path):
    for name, body in samples.files():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(body)
    with Image.open(made / "vase.png") as fresh, Image.open(tmp_path / "vase/vase.png") as shipped:
        assert np.array_equal(np.asarray(fresh), np.asarray(shipped))
    for name in ("gear.stl", "lamp.gltf", "galaxy.ply"):
        place = tmp_path / ("lamp/" if name.startswith("lamp") else "") / name
        fresh, shipped = trimesh.load(made / name), trimesh.load(place)
        assert fresh.bounds == pytest.approx(shipped.bounds)

"""The built-in processes on real model files."""

import json
import math
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from watcher import samples
from watcher.embedded.formats import warm, zbuffer
from watcher.embedded.formats.pictures import preview
from watcher.embedded.formats.surfaces import surfaces
from watcher.embedded.formats.views import view
from watcher.embedded.processes import (
    api_test,
    convert_file,
    generate_metadata,
    generate_thumbnails,
    sleep,
)
from watcher.embedded.script import JobFailure

MODELS = Path(__file__).parent.parent / "models"
FACTS = {
    "obj_textured/fuze.obj": (1000, 0.238656),
    "binary_cube.stl": (260, 34.641017),
    "spider_ascii.stl": (1368, 10.662618),
    "octagonal_pocket.ply": (3262, 0.282207),
    "points.ply": (0, 1.414214),
    "nested.glb": (36, 3.672378),
    "pins.glb": (3408, 360.107151),
    "gltf_multi/TestScene.gltf": (1096, 14.370712),
    "box.3mf": (12, 37.416574),
    "ballA.off": (3796, 23.974027),
    "blue_cube.dae": (12, 3.464102),
    "phong_cube.fbx": (12, 1.732051),
    "featuretype.step": (None, 146.222),
    "base_interface_AP214.step": (None, 875.911),
}
X3D = """<X3D><Scene>%s<Shape><IndexedFaceSet coordIndex="0 1 2 -1">
<Coordinate point="0 0 0 1 0 0 0 1 0"/></IndexedFaceSet></Shape></Scene></X3D>"""


class Pc:
    """A ``pc`` that only remembers."""

    def __init__(self, path, folder):
        self.path, self.folder = path, folder
        self.warnings, self.steps, self.total = [], [], 0
        folder.mkdir(exist_ok=True)

    def get_input_file(self):
        return None if self.path is None else str(self.path)

    def get_output_dir(self, name=""):
        return str(self.folder / name)

    def progress_set_total(self, total):
        self.total = total

    def progress_next(self, text=""):
        self.steps.append(text)

    def warn(self, text):
        self.warnings.append(text)

    def __getitem__(self, key):
        raise KeyError(key)


@pytest.fixture
def run(tmp_path):
    def run_process(process, path, params=None):
        pc = Pc(path, tmp_path / "outputs")
        pc.result = process.main(pc, params or {})
        assert len(pc.steps) <= pc.total
        return pc

    return run_process


def triangles(path):
    scene = trimesh.load_scene(path)
    nodes = scene.graph.nodes_geometry
    return sum(len(getattr(scene.geometry[scene.graph[n][1]], "faces", ())) for n in nodes)


@pytest.mark.parametrize("name", FACTS)
def test_the_metadata_of_a_real_file_is_true(run, name):
    pc = run(generate_metadata, MODELS / name)
    count, diagonal = FACTS[name]
    assert pc.result == json.loads((pc.folder / "metadata.json").read_text())
    assert float(pc.result["aabb"]) == pytest.approx(diagonal, rel=1e-3)
    assert count is None or pc.result["polygon_count"] == count
    assert pc.result["unit"] == {"step": "millimeter", "3mf": "millimeter"}.get(
        name.rpartition(".")[2], "meter" if name.endswith(("glb", "gltf", "dae")) else ""
    )
    assert not pc.warnings


@pytest.mark.parametrize("extension", ["glb", "gltf", "obj", "stl", "ply", "3mf", "off", "dae"])
@pytest.mark.parametrize("name", ["gltf_multi/TestScene.gltf", "featuretype.step", "box.3mf"])
def test_every_output_holds_all_the_triangles(run, name, extension):
    pc = run(convert_file, MODELS / name, {"extension": extension, "filename": "part"})
    assert pc.result == {"output": f"part.{extension}"}
    made = run(generate_metadata, pc.folder / pc.result["output"]).result
    truth = run(generate_metadata, MODELS / name).result
    assert made["polygon_count"] == truth["polygon_count"]
    in_metres = extension in {"glb", "gltf", "dae"} and truth["unit"] == "millimeter"
    factor = 0.001 if in_metres else 1.0
    if extension == "3mf" and truth["unit"] == "meter":
        factor = 1000.0
    assert float(made["aabb"]) == pytest.approx(float(truth["aabb"]) * factor, rel=1e-3)


@pytest.mark.parametrize("name", FACTS)
def test_every_input_becomes_glb(run, name):
    pc = run(convert_file, MODELS / name)
    count, _ = FACTS[name]
    assert count is None or triangles(pc.folder / "output.glb") == count


def test_a_textured_obj_keeps_its_texture(run):
    pc = run(convert_file, MODELS / "obj_textured/fuze.obj", {"extension": "obj"})
    files = {path.suffix for path in pc.folder.iterdir()}
    assert files == {".obj", ".mtl", ".jpeg"}
    assert run(generate_metadata, pc.folder / "output.obj").result["texture_count"] == 1


@pytest.mark.parametrize("extension", ["glb", "ply", "obj"])
def test_points_stay_points(run, extension):
    pc = run(convert_file, MODELS / "points.ply", {"extension": extension})
    cloud = next(iter(trimesh.load_scene(pc.folder / pc.result["output"]).geometry.values()))
    assert len(cloud.vertices) == 4


def test_points_do_not_become_triangles(run):
    with pytest.raises(JobFailure, match="cloud of points"):
        run(convert_file, MODELS / "points.ply", {"extension": "stl"})


def test_glb_passes_untouched_and_gltf_keeps_animations_and_variants(run, tmp_path):
    pc = run(convert_file, MODELS / "nested.glb")
    assert (pc.folder / "output.glb").read_bytes() == (MODELS / "nested.glb").read_bytes()
    shutil.copytree(MODELS / "gltf_multi", tmp_path / "in")
    path = tmp_path / "in/TestScene.gltf"
    tree = json.loads(path.read_text())
    tree["animations"] = [{"channels": [], "samplers": []}]
    variants = {"KHR_materials_variants": {"variants": [{"name": "red"}]}}
    path.write_text(json.dumps({**tree, "extensions": variants, "images": [{"uri": "no.png"}]}))
    pc = run(convert_file, path)
    assert pc.warnings == ["the texture 'no.png' is missing beside the input"]
    made = run(generate_metadata, pc.folder / "output.glb").result
    assert (made["animation_count"], made["variant_count"]) == (1, 1)
    (tmp_path / "in/TestScene.bin").unlink()
    with pytest.raises(JobFailure, match=r"TestScene\.bin"):
        run(convert_file, path)


BROKEN = sorted(path.name for path in (MODELS / "corrupt").iterdir())


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "fuze_trunc.obj"])
def test_a_broken_file_fails_with_words_and_leaves_nothing(run, tmp_path, name):
    with pytest.raises(JobFailure, match=r"cut short|damaged|empty") as failure:
        run(convert_file, MODELS / "corrupt" / name)
    assert name in str(failure.value)
    assert not list((tmp_path / "outputs").iterdir())


def test_a_cut_obj_is_delivered_with_a_warning(run):
    pc = run(convert_file, MODELS / "corrupt/fuze_trunc.obj")
    assert pc.warnings[0].startswith("the last line is cut short")
    assert "fuze.obj.mtl" in pc.warnings[1]


def test_references_out_of_the_folder_are_not_read(run, tmp_path):
    (tmp_path / "secret.mtl").write_text("newmtl stolen\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.mtl").symlink_to(tmp_path / "secret.mtl")
    path = tmp_path / "in/a.obj"
    path.write_text("mtllib ../secret.mtl\nmtllib link.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    pc = run(convert_file, path, {"extension": "obj"})
    assert "leads outside" in pc.warnings[0]
    assert not any(b"stolen" in made.read_bytes() for made in pc.folder.iterdir())


def test_x3d_is_read_without_what_it_inlines(run, tmp_path):
    path = tmp_path / "a.x3d"
    path.write_text(X3D % '<Inline url="/etc/passwd"/>')
    pc = run(generate_metadata, path)
    assert pc.result["polygon_count"] == 1
    assert "/etc/passwd" in pc.warnings[0]


def test_bombs_are_refused_before_they_are_opened(run, tmp_path):
    path = tmp_path / "a.3mf"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", bytes(32 << 20))
    with pytest.raises(JobFailure, match="out of all proportion"):
        run(convert_file, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../evil", b"x")
    with pytest.raises(JobFailure, match="leads outside the archive"):
        run(convert_file, path)
    for name, root in (("a.dae", "COLLADA"), ("a.x3d", "X3D")):
        bomb = tmp_path / name
        bomb.write_text(f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><{root}></{root}>')
        with pytest.raises(JobFailure, match=r"entities|does not begin"):
            run(convert_file, bomb)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.obj", "# nothing\n"), ("a.stl", "solid a\nendsolid a\n"), ("a.off", "OFF\n0 0 0\n")],
)
def test_a_file_without_geometry_fails(run, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(JobFailure, match=r"no geometry|damaged"):
        run(convert_file, path)


@pytest.mark.parametrize("samples_per_pixel", [0, 4])
@pytest.mark.parametrize("name", ["obj_textured/fuze.obj", "points.ply", "pins.glb"])
def test_thumbnails_show_the_model_on_its_background(run, name, samples_per_pixel):
    params = {"width": 48, "height": 32, "samples": samples_per_pixel, "background": "#ffffff"}
    pc = run(generate_thumbnails, MODELS / name, params)
    assert pc.result["thumbs"] == {view: f"{view}.png" for view in ("iso", "x", "y", "z")}
    assert pc.result["preview"] == {"file": "preview.glb", "size": "48x32"}
    assert triangles(pc.folder / "preview.glb") == FACTS[name][0]
    for file in pc.result["thumbs"].values():
        pixels = np.asarray(Image.open(pc.folder / file).convert("RGB"), dtype=int)
        assert pixels.shape == (32, 48, 3)
        drawn = (np.abs(pixels - 255).sum(axis=2) > 30).mean()
        assert 0.005 < drawn < 0.98
        assert pixels[0, 0].min() > 150


def test_triangles_too_fine_to_be_seen_stay_facets_and_look_the_same():
    ball = trimesh.creation.icosphere(subdivisions=7)
    tube = trimesh.creation.cylinder(radius=0.5, height=3, sections=24)
    scene = trimesh.Scene([trimesh.util.concatenate([ball, tube.apply_translation([2, 0, 0])])])
    coarse, fine = surfaces(scene, "z", fine=1 / 64)
    assert (len(coarse.faces), len(fine.faces)) == (len(tube.faces), len(ball.faces))
    assert (coarse.normals is None, fine.normals is None) == (False, True)
    (smooth,) = surfaces(scene, "z")
    camera = view("iso", smooth.vertices, 1.0)
    wanted, found = (zbuffer.render(each, camera, (64, 64)) for each in ([smooth], [coarse, fine]))
    assert np.abs(wanted - found).max() < 0.1
    assert np.abs(wanted - found).mean() < 0.002


def drawn(path):
    return np.asarray(Image.open(path))[..., 3] > 100


@pytest.mark.parametrize("samples_per_pixel", [0, 2])
def test_thumbnails_hold_what_is_tiny_or_far_away(run, tmp_path, samples_per_pixel):
    params = {"width": 40, "height": 40, "samples": samples_per_pixel, "background": "transparent"}
    for size, offset in ((1e-6, 0), (1e6, 0), (1, 1e5)):
        box = trimesh.creation.box((size, size, 2 * size))
        box.apply_translation((offset, 2 * offset, -offset))
        box.export(tmp_path / "a.ply")
        shown = drawn(run(generate_thumbnails, tmp_path / "a.ply", params).folder / "iso.png")
        rows, columns = np.nonzero(shown)
        assert 2 <= rows.min() <= 6
        assert 33 <= rows.max() <= 37
        assert abs(columns.mean() - 19.5) < 2


@pytest.mark.parametrize("samples_per_pixel", [0, 8])
def test_holes_of_a_texture_are_seen_through(run, tmp_path, samples_per_pixel):
    pixels = np.full((8, 8, 4), (40, 160, 60, 255), np.uint8)
    pixels[2:6, 2:6, 3] = 0
    corners = [(-1, 0, -1), (1, 0, -1), (1, 0, 1), (-1, 0, 1)]
    mesh = trimesh.Trimesh(corners, [(0, 1, 2), (0, 2, 3)], process=False)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(pixels), alphaMode="MASK", metallicFactor=0.0
    )
    uv = [(0, 0), (1, 0), (1, 1), (0, 1)]
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    mesh.export(tmp_path / "a.glb")
    params = {"width": 40, "height": 40, "samples": samples_per_pixel, "background": "transparent"}
    shown = drawn(run(generate_thumbnails, tmp_path / "a.glb", params).folder / "z.png")
    assert not shown[20, 20]
    assert shown[8, 20]
    assert shown[20, 8]


def test_a_transparent_background_is_transparent(run):
    params = {"width": 32, "height": 32, "samples": 0, "background": "transparent"}
    pc = run(generate_thumbnails, MODELS / "binary_cube.stl", params)
    alpha = np.asarray(Image.open(pc.folder / "iso.png"))[..., 3]
    assert alpha[0, 0] == 0
    assert alpha.max() == 255


def test_a_preview_is_decimated_to_half_a_million():
    scene = trimesh.Scene(trimesh.creation.icosphere(8))
    made = trimesh.load_scene(trimesh.util.wrap_as_stream(preview(scene, 1.0)), file_type="glb")
    count = sum(len(mesh.faces) for mesh in made.geometry.values())
    assert 400_000 < count <= 500_000


def test_hello_and_sleep_need_no_input(run):
    assert run(api_test, None, {"a": 1}).result == {"output": "Hello World!", "params": {"a": 1}}
    pc = run(sleep, None, {"seconds": 0.01})
    assert pc.result == {"sleep": 0.01}
    assert run(sleep, None).result == {"sleep": 0.1}
    with pytest.raises(JobFailure, match="needs an input"):
        run(convert_file, None)


def test_isolation_follows_the_engine():
    assert convert_file.isolation("a.glb") == "reuse"
    assert convert_file.isolation("a.STP") == "own"
    assert convert_file.isolation("a.fbx") == "own"
    assert convert_file.isolation("mystery") == "own"


def test_importing_the_processes_is_cheap():
    code = (
        "import sys; from watcher.embedded.processes import convert_file, generate_thumbnails;"
        "print([n for n in ('numpy', 'trimesh', 'mitsuba', 'PIL') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    warm()


def test_the_samples_are_small_and_true(run, tmp_path):
    made = samples.files()
    assert sum(len(content) for _, content in made) < 400_000
    for name, content in made:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    sizes = {
        name: float(run(generate_metadata, tmp_path / name).result["aabb"])
        for name, _ in made
        if name.endswith((".step", ".obj", ".stl", ".gltf", ".ply"))
    }
    assert len(sizes) == 5
    assert sizes["flange.step"] == pytest.approx(math.hypot(100, 100, 40), rel=1e-3)


def test_without_mitsuba_pictures_are_drawn_plainly_and_told(tmp_path):
    """Without libatomic1 the import of mitsuba raises a NameError: played by a module that does."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "mitsuba.py").write_text("_missing_library\n")
    (tmp_path / "out").mkdir()
    program = """
import sys
from pathlib import Path
import trimesh
from watcher.embedded.formats.pictures import draw_all
told = []
drawn = list(draw_all(trimesh.creation.box().scene(), "y", Path(sys.argv[1]), size=(32, 32),
                      samples=1, background="#ffffff", warn=told.append))
print(len(drawn), *told)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'broken'}:{Path(__file__).parents[2]}"},
    )
    assert done.stdout.startswith("4 drawn plainly"), done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_without_the_converters_the_reason_names_what_to_install(tmp_path):
    """A lean installation: played by a numpy that is not there."""
    absent = "raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy')\n"
    (tmp_path / "lean").mkdir()
    (tmp_path / "lean" / "numpy.py").write_text(absent)
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    place = f"{tmp_path / 'lean'}:{Path(__file__).parents[2]}"
    done = subprocess.run(
        [sys.executable, "-m", "watcher", "-u", "embedded", "metadata", "-i", "a.obj"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": place, "WATCHER_STATE": str(tmp_path / "state")},
    )
    assert done.returncode == 1
    assert "numpy is missing); pip install 'pixyz-watcher[embedded]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1

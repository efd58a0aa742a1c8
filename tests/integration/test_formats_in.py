"""Every input format, by small models whose truth is known; looked at without our own readers."""

import base64
import os
import struct
import zipfile
from binascii import crc32
from pathlib import Path

import models
import numpy as np
import pytest
from test_processes import MODELS, Pc

from watcher.embedded.formats import cad, pixels
from watcher.embedded.processes import convert_file, generate_metadata
from watcher.embedded.script import JobFailure


@pytest.fixture
def put(tmp_path):
    def put_file(name, content):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put_file


@pytest.fixture
def convert(tmp_path):
    def run(path, extension="glb"):
        pc = Pc(Path(path), tmp_path / f"out-{extension}")
        pc.file = pc.folder / convert_file.main(pc, {"extension": extension})["output"]
        return pc

    return run


TETRA = {
    "a.3ds": models.three_ds(),
    "a.3dxml": models.three_dxml(),
    "a.fbx": models.FBX,
    "a.glb": models.glb(),
}


@pytest.mark.parametrize("name", TETRA)
def test_a_tetrahedron_of_any_format_is_four_triangles(put, convert, name):
    assert models.look(convert(put(name, TETRA[name])).file)["triangles"] == 4


OBJ = b"""# crlf, spaces, objects, negative indices\r
mtllib a b.mtl\r
o Box One\r
v 0 0 0\r
v 1 0 0 # a comment\r
v 1 1 0\r
v 0 1 0\r
vt 0 0\r
vt 1 0\r
vt 1 1\r
vt 0 1\r
vn 0 0 1\r
usemtl red mat\r
f -4/-4/-1 -3/-3/-1 \\\r
 -2/-2/-1 -1/-1/-1\r
o Two\r
v 2 0 0\r
v 3 0 0\r
v 3 1 0\r
v 2 1 0\r
usemtl plain\r
f 5/1 6/2 7\r
usemtl glass\r
f 5//1 7//1 8//1\r
l 1 2\r
"""
MTL = (
    b"newmtl red mat\r\nKd 0 0 0\r\nTr 1\r\nmap_Kd -s 1 1 1 tex dir\\red.png\r\n"
    b"newmtl plain\nKd 0.2\nNs 100\nnewmtl glass\nKd 1 x 0\nd 0.5\nPm 1\nmap_Kd red.png\n"
    b"map_d mask.png\n"
)


def test_an_obj_keeps_objects_materials_and_relative_indices(put, convert):
    path = put("a.obj", OBJ)
    put("a b.mtl", MTL)
    put("tex dir/red.png", models.png((255, 0, 0)))
    put("red.png", b"\x89PNG no picture")
    put("mask.png", models.png(128, mode="L"))
    pc = convert(path)
    assert pc.warnings == ["a texture cannot be decoded and was left out"]
    seen = models.look(pc.file)
    assert seen["triangles"] == 4
    assert (seen["low"].tolist(), seen["high"].tolist()) == ([0, 0, 0], [3, 1, 0])
    assert sorted(seen["names"]) == ["Box One", "Two glass", "Two plain"]
    assert sorted(seen["materials"]) == ["glass", "plain", "red mat"]
    assert seen["images"] == 1
    tree, _ = models.document(pc.file)
    by_name = {material["name"]: material for material in tree["materials"]}
    assert by_name["glass"]["alphaMode"] == "BLEND"
    assert "alphaMode" not in by_name["red mat"]
    assert by_name["red mat"]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 1, 1, 1]
    for extension in ("obj", "dae"):
        made = convert(path, extension)
        again = convert(made.file)
        assert again.warnings == []
        seen = models.look(again.file)
        assert seen["triangles"] == 4
        assert sorted(seen["names"]) == ["Box One", "Two glass", "Two plain"]
        assert sorted(seen["materials"]) == ["glass", "plain", "red_mat"]
        assert seen["images"] == 1


def test_an_obj_may_name_several_libraries_and_colour_its_vertices(put, convert):
    put("c.mtl", "newmtl one\nKd 1 0 0\n")
    put("d.mtl", "newmtl two\nKd 0 1 0\n")
    text = "mtllib c.mtl d.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl one\nf 1 2 3\nusemtl two\nf 3 2 1"
    pc = convert(put("a.obj", text))
    assert sorted(models.look(pc.file)["materials"]) == ["one", "two"]
    assert not pc.warnings
    pc = convert(put("b.obj", "v 0 0 0 1 0 0\rv 1 0 0 0 1 0\rv 0 1 0 0 0 1\rf 1 2 3\r"))
    assert models.look(pc.file)["coloured"]
    pc = convert(put("c.obj", "g Teil\nv 0 0 0 1\nv 1 0 0 1\nv 0 1 0\nf 1 2 3\n".encode("utf-16")))
    assert models.look(pc.file)["names"] == ["Teil"]
    pc = convert(
        put("d.obj", "o gr\xf6\xdfe\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n".encode("latin-1"))
    )
    assert models.look(pc.file)["names"] == ["gr\xf6\xdfe"]
    assert models.look(convert(put("e.obj", "v 0 0 0\nv 1 0 0 \nl 1 2\n")).file)["points"] == 2


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("colours", [False, True])
def test_a_ply_of_any_kind_and_any_mix_of_polygons(put, convert, kind, colours):
    seen = models.look(convert(put("a.ply", models.ply(kind, colours, edges=True))).file)
    assert (seen["triangles"], seen["coloured"]) == (3, colours)
    assert seen["high"].tolist() == [1, 1, 1]
    alike = models.ply(kind, colours, faces=((0, 1, 2), (0, 2, 3)))
    assert models.look(convert(put("b.ply", alike)).file)["triangles"] == 2
    cloud = models.ply(kind, colours, faces=())
    seen = models.look(convert(put("c.ply", cloud)).file)
    assert (seen["points"], seen["coloured"]) == (5, colours)


PLY_LOOKS = """ply
format ascii 1.0
comment TextureFile t.png
element vertex 3
property float x
property float y
property float z
property float s
property float t
element face 2
property list uchar int vertex_index
property uchar red
property uchar green
property uchar blue
end_header
0 0 0 0 0
1 0 0 1 0
0 1 0 0 1
3 0 1 2 255 0 0
3 2 1 0 0 255 0
"""


def test_a_ply_brings_its_texture_or_the_colours_of_its_faces(put, convert):
    path = put("a.ply", PLY_LOOKS)
    pc = convert(path)
    assert pc.warnings == ["the texture 't.png' is missing beside the input"]
    assert models.look(pc.file)["coloured"]
    put("t.png", models.png((9, 9, 9)))
    assert models.look(convert(path).file)["images"] == 1
    one = PLY_LOOKS.replace("0 255 0\n", "255 0 0\n").replace("comment TextureFile t.png\n", "")
    tree, _ = models.document(convert(put("b.ply", one)).file)
    assert tree["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 0, 0, 1]


OFF = {
    "COFF\n3 1 0\n0 0 0 1 0 0 1\n1 0 0 0 1 0 1\n0 1 0 0 0 1 1\n3 0 1 2\n": (1, 0, True),
    "OFF\n4 2\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 255 0 0\n3 0 2 3 0 255 0\n": (2, 0, True),
    "OFF 4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n": (2, 0, False),
    "OFF\n3 0 0\n0 0 0\n1 0 0\n0 1 0\n": (0, 3, False),
}


@pytest.mark.parametrize("text", OFF)
def test_an_off_with_colours_squares_or_points(put, convert, text):
    path = put("a.off", text)
    seen = models.look(convert(path).file)
    assert (seen["triangles"], seen["points"], seen["coloured"]) == OFF[text]
    if seen["triangles"]:
        made = convert(path, "off").file.read_text()
        assert made.startswith("COFF\n" if seen["coloured"] else "OFF\n")


@pytest.mark.parametrize(
    ("text", "points", "coloured"),
    [
        ("0 0 0\n1 0 0\n0 1 2", 3, False),
        ("# x y z r g b\n0 0 0 255 0 0\n1 0 0 0 255 0\n", 2, True),
        ("2\nhead line\n0,0,0\n1;0;0\n", 2, False),
        ("0 0 0 0 0 1\n1 0 0 0 0 -1\n", 2, False),
    ],
)
def test_points_as_text(put, convert, text, points, coloured):
    path = put("a.xyz", text)
    seen = models.look(convert(path).file)
    assert (seen["points"], seen["coloured"]) == (points, coloured)
    rows = convert(path, "xyz").file.read_text().splitlines()
    assert {len(row.split()) for row in rows} == {6 if coloured else 3}


def test_collada_keeps_nodes_materials_unit_and_up_axis(put, convert):
    put("wood.png", models.png((120, 80, 20)))
    path = put("a.dae", models.COLLADA)
    pc = convert(path)
    seen = models.look(pc.file)
    assert not pc.warnings
    assert (seen["triangles"], seen["materials"], seen["images"]) == (8, ["Holz"], 1)
    assert seen["names"] == ["unit", "Eins", "Zwei", "Drei"]
    # 1 x 2 x 3 cm at 10 0 0 and 10 50 0, z up, becomes metres and y up
    assert np.allclose([seen["low"], seen["high"]], [[0.1, 0, -0.52], [0.11, 0.03, 0]])
    assert generate_metadata.main(Pc(path, path.parent / "meta"), {})["unit"] == "centimeter"
    again = models.look(convert(convert(path, "dae").file).file)
    assert np.allclose([again["low"], again["high"]], [seen["low"], seen["high"]])
    odd = models.COLLADA.replace("0.01", "0.5").replace("Z_UP", "X_UP")
    seen = models.look(convert(put("b.dae", odd)).file)
    assert np.allclose(seen["high"] - seen["low"], [26, 0.5, 1.5])


def test_assimp_keeps_the_tree_of_nodes(put, convert):
    assert models.look(convert(put("a.fbx", models.FBX)).file)["names"] == [
        "scene",
        "Eltern",
        "Kind",
    ]
    seen = models.look(convert(put("a.x3d", models.X3D)).file)
    assert (seen["triangles"], seen["high"].tolist()) == (12, [6, 2, 3])
    assert not any("/" in name for name in seen["names"])
    seen = models.look(convert(models.IFC).file)
    assert np.allclose(seen["high"] - seen["low"], [5, 3, 0.2])
    assert "IfcWall_Wand_7YvctVUKr0kugbFTf53O9L" in seen["names"]


def test_cad_keeps_parts_names_colours_and_units(convert):
    seen = models.look(convert(MODELS / "assembly_inch.step").file)
    assert seen["names"] == ["Assembly", "Plate", "Pin", "Pin", "Pin"]
    assert len(seen["materials"]) == 2
    assert np.allclose(seen["high"], [0.1, 0.05, 0.06])
    made = convert(MODELS / "assembly_inch.step", "obj")
    assert (made.folder / "output.mtl").read_text().count("newmtl") == 2
    assert made.file.read_text().count("\no ") == 4
    seen = models.look(convert(MODELS / "assembly_inch.igs").file)
    assert np.allclose(seen["high"], [0.1, 0.05, 0.06])


def package(path):
    """The model of a 3MF package, as text."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.read("3D/3dmodel.model").decode()


def test_3mf_carries_colours_names_and_places(put, convert):
    made = convert(MODELS / "assembly_inch.step", "3mf")
    text = package(made.file)
    assert 'displaycolor="#FF0000FF"' in text
    assert text.count("<item ") == 4
    seen = models.look(convert(made.file).file)
    assert sorted(seen["names"]) == ["Pin", "Pin_1", "Pin_2", "Plate", "unit"]
    assert len(seen["materials"]) == 2
    assert np.allclose(seen["high"], [0.1, 0.05, 0.06])
    coloured = convert(put("a.ply", models.ply("ascii", colours=True)), "3mf")
    assert '<m:color color="#FF0009FF"/>' in package(coloured.file)
    assert models.look(convert(coloured.file).file)["materials"] == []
    put("a b.mtl", MTL)
    put("tex dir/red.png", models.png((255, 0, 0)))
    textured = package(convert(put("a.obj", OBJ), "3mf").file)
    assert '<m:color color="#FF0000FF"/>' in textured


THREE_MF = """<model unit="inch" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">
<resources><basematerials id="5"><base name="Rot" displaycolor="#FF000080"/>
<base name="?" displaycolor="red"/></basematerials>%s</resources><build>
<item objectid="1"/><item objectid="2"/><item objectid="3"/></build></model>"""
THREE_MF_OBJECT = """<object id="%d" name="%s" pid="5" pindex="%s"><mesh><vertices>
<vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="1" z="0"/></vertices>
<triangles><triangle v1="0" v2="1" v3="2"/></triangles></mesh></object>"""


def test_3mf_brings_its_colours_and_unit(put, convert):
    things = [(1, "A", "0"), (2, "B", "1"), (3, "C", "9")]
    text = THREE_MF % "".join(THREE_MF_OBJECT % thing for thing in things)
    tree, _ = models.document(convert(put("a.3mf", models.zipped({"3D/3dmodel.model": text}))).file)
    looks = {look["name"]: look for look in tree["materials"]}
    assert looks["Rot"]["alphaMode"] == "BLEND"
    assert set(looks) == {"Rot", "?"}
    assert tree["nodes"][-1]["scale"] == [0.0254] * 3


def test_a_glb_with_crooked_bytes_is_written_straight(put, convert):
    def shift(tree):
        tree["buffers"][0]["byteLength"] += 2
        for view in tree["bufferViews"]:
            view["byteOffset"] += 2

    content = models.glb(shift)
    binary = content[-72:]
    head, size = content[:-80], len(content) + 4
    content = head[:8] + struct.pack("<I", size) + head[12:] + struct.pack("<II", 76, 0x4E4942)
    tree, _ = models.document(convert(put("a.glb", content + b"\0\0" + binary + b"\0\0")).file)
    assert tree["bufferViews"][0]["byteOffset"] % 4 == 0
    seen = models.look(convert(put("b.glb", content + b"\0\0" + binary + b"\0\0")).file)
    assert (seen["low"].tolist(), seen["high"].tolist()) == ([0, 0, 0], [1, 1, 1])


def test_a_glb_without_a_scene_shows_all_of_its_nodes(put, convert):
    pc = convert(put("a.glb", models.glb(lambda tree: (tree.pop("scenes"), tree.pop("scene")))))
    assert pc.warnings == ["the file has no scene; all of its nodes are shown"]
    assert models.look(pc.file)["triangles"] == 4


def stl(count, *corners, tail=b""):
    """A binary STL file that promises ``count`` triangles."""
    triangles = b"".join(struct.pack("<12fH", 0, 0, 0, *points, 7) for points in corners)
    return b"solid of its own".ljust(80, b"\0") + struct.pack("<I", count) + triangles + tail


ONE, TWO = (0, 0, 0, 1, 0, 0, 0, 1, 0), (1, 0, 0, 1, 1, 0, -0.0, 1, 0)


@pytest.mark.parametrize("tail", [b"", b"of its writer's own"])
def test_corners_of_a_binary_stl_that_meet_are_one_vertex(put, convert, tail):
    seen = models.look(convert(put("a.stl", stl(2, ONE, TWO, tail=tail))).file)
    assert (seen["triangles"], seen["vertices"]) == (2, 4)
    assert (seen["low"].tolist(), seen["high"].tolist()) == ([0, 0, 0], [1, 1, 0])


def test_a_binary_stl_may_begin_as_one_of_text_does(put, convert):
    content = b"solid".ljust(80) + stl(1, ONE)[80:]
    assert models.look(convert(put("a.stl", content)).file)["triangles"] == 1


BROKEN = [
    ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "vertex 9, and the file has 3"),
    ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "vertex 0, and"),
    ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2/x 3\n", "corner '2/x'"),
    ("a.obj", "v 0,5 0 0\nf 1 1 1\n", "vertex '0,5 0 0' is not made of numbers"),
    ("a.obj", "v 0 0\n", "needs 3 numbers"),
    ("a.obj", "v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not all numbers"),
    ("a.obj", "v 1e300 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "absurdly large"),
    ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "vertex 7, and there are 3"),
    ("a.off", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n9 0 1 2\n", "fewer corners"),
    ("a.ply", models.ply("ascii").replace(b"\n4 0 1 2 3", b"\n9 0 1 2 3"), "is short"),
    ("a.ply", models.ply("ascii").replace(b"double x", b"double w"), "no x, y and z"),
    (
        "a.ply",
        models.ply("binary_little_endian").replace(b"\x04\0\0\0\0\1", b"\xff\0\0\0\0\1"),
        "ends",
    ),
    ("a.xyz", "hello\n", "needs 3 numbers"),
    ("a.dae", models.COLLADA.replace("<p>0 0", "<p>99 0"), "no geometry"),
    ("a.dae", models.COLLADA.replace('url="#n3"', 'url="#n1"'), None),
    ("a.stl", stl(1, (float("nan"), *ONE[1:])), "not all numbers"),
    ("a.stl", stl(1, (1e38, *ONE[1:])), "absurdly large"),
    ("a.x3d", "<X3D><Scene></X3D>", "XML is broken at line 1"),
    ("a.x3d", "<X3D><Scene/></X3D>", "no geometry"),
    ("a.3mf", models.zipped({"x.txt": b""}), "cannot be read as 3MF"),
    ("a.3dxml", models.zipped({"M.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'}), "entities"),
    ("a.gltf", '{"asset":{"version":"2.0"},', "JSON breaks off at line 1"),
    ("a.gltf", b'{"asset":\xff}', "JSON is not text"),
    ("a.gltf", '{"a":' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deeply"),
    ("a.glb", models.glb(lambda t: t.update(nodes=[{"mesh": 0, "children": [0]}])), "each other"),
    ("a.glb", models.glb(lambda t: t["nodes"][0].update(mesh=7)), "mesh 7, which does not exist"),
    ("a.glb", models.glb(lambda t: t["nodes"][0].pop("mesh")), "no geometry"),
    ("a.glb", models.glb(lambda t: t["nodes"][0].update(scale=[1, "x", 1])), "is not 3 numbers"),
    ("a.glb", models.glb(lambda t: t["nodes"][0].update(matrix=[1])), "is not 16 numbers"),
    ("a.glb", models.glb(lambda t: t["meshes"][0].update(primitives=[])), "no geometry"),
    ("a.glb", models.glb(lambda t: t["meshes"][0].update(primitives=5)), "list of primitives"),
    ("a.glb", models.glb(binary=struct.pack("<f", float("nan"))), "not all numbers"),
    ("a.glb", models.glb(lambda t: t["accessors"][0].update(count=2)), "and its mesh has 2"),
    ("a.glb", models.glb(lambda t: t["accessors"][0].update(byteOffset="1")), "cannot be read"),
    ("a.step", "ISO-10303-21;\nDATA;\nENDSEC;\nEND-ISO-10303-21;\n", "OpenCASCADE"),
    ("a.step", models.IFC.read_bytes(), "holds a IFC model"),
    ("a.ifc", "ISO-10303-21;\nFILE_SCHEMA(('IFC4'));\nEND-ISO-10303-21;\n", "read as IFC"),
]


@pytest.mark.parametrize(("name", "content", "words"), [case for case in BROKEN if case[2]])
def test_what_is_broken_fails_in_one_clear_line(put, convert, name, content, words):
    path = put(name, content)
    with pytest.raises(JobFailure, match=words) as failure:
        convert(path)
    text = str(failure.value)
    assert name in text
    assert "\n" not in text
    assert not [word for word in ("Error", "Exception", str(path.parent)) if word in text]


def test_a_crash_of_opencascade_is_the_files_fault(tmp_path):
    with pytest.raises(JobFailure, match="OpenCASCADE crashed on it"):
        cad._apart(lambda: os.kill(os.getpid(), 11), "a.step")

    def exhausted():
        raise MemoryError

    with pytest.raises(MemoryError):
        cad._apart(exhausted, "a.step")
    assert cad._apart(lambda: b"x" * 1_000_000, "a.step") == b"x" * 1_000_000


def test_parts_named_by_their_place_get_the_name_of_their_mesh():
    nodes = [{"name": "=>[0:1:1]", "children": [1]}, {"name": "=>[0:1]", "mesh": 0}, {"name": "a"}]
    tree = {"nodes": [*nodes, {"name": "=>[0:2]"}], "meshes": [{"name": "Bolt"}]}
    assert cad.name_parts(tree)
    assert [node["name"] for node in tree["nodes"]] == ["Bolt", "Bolt", "a", "part"]
    assert not cad.name_parts(tree)


def test_a_picture_too_big_to_unpack_is_left_out():
    told = []
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", crc32(chunk))
    assert pixels.picture(bomb, told.append) is None
    assert pixels.picture(models.png(1), told.append) is not None
    assert pixels.picture(None, told.append) is None
    assert len(told) == 1


def test_textures_of_a_glb_that_are_broken_or_have_no_coordinates_are_left_out(put, convert):
    def textured(content):
        def change(tree):
            text = base64.b64encode(content).decode()
            tree["images"] = [{"uri": f"data:image/png;base64,{text}"}]
            tree["textures"] = [{"source": 0}]
            tree["materials"] = [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
            tree["meshes"][0]["primitives"][0]["material"] = 0

        return models.glb(change)

    made = convert(put("a.glb", textured(models.png((1, 2, 3)))), "obj")
    assert "map_Kd" not in (made.folder / "output.mtl").read_text()
    missing = models.glb(lambda tree: tree.update(textures=[{"source": 3}]))
    with pytest.raises(JobFailure, match="image 3, which does not exist"):
        convert(put("b.glb", missing))


CORNERS = "0 0 2 1 1 0 0 0 1 1 3 0 0 0 3 1 2 0 1 1 2 0 3 1"
_PARAMS = "".join(f'<param name="{part}" type="float"/>' for part in "RG")
PAINTED = (
    models.COLLADA.replace('<input semantic="TEXCOORD"', '<input semantic="COLOR"')
    .replace('<instance_material symbol="m" target="#mat"/>', "")
    .replace('count="4" stride="2"><param', f'count="2" stride="4">{_PARAMS}<param')
)


def test_collada_without_a_material_shows_the_colours_of_its_corners(put, convert):
    binary = PAINTED.replace("0 0 2 2 1 1 0 0 1 1 3 3 0 0 3 3 2 2 1 1 2 2 3 3", CORNERS)
    seen = models.look(convert(put("a.dae", binary)).file)
    assert (seen["triangles"], seen["coloured"]) == (8, True)
    seen = models.look(convert(put("b.dae", PAINTED)).file)
    assert (seen["triangles"], seen["coloured"]) == (8, False)
    broken = models.COLLADA.replace('target="#mat"', 'target="#none"')
    pc = convert(put("c.dae", broken))
    assert any("broken parts of the document" in text for text in pc.warnings)


def test_collada_nodes_that_contain_each_other_are_told(put, convert):
    loop = models.COLLADA.replace("<translate>0 50 0</translate>", '<instance_node url="#n3"/>')
    with pytest.raises(JobFailure, match=r"without end|no geometry|cannot be read"):
        convert(put("a.dae", loop))


@pytest.mark.parametrize("extension", ["stl", "ply", "3mf", "off", "dae", "obj", "xyz", "gltf"])
def test_mirrored_instances_keep_their_outside_out(put, convert, extension):
    path = put("a.glb", models.glb(lambda tree: tree["nodes"][0].update(scale=[-1, 1, 1])))
    made = convert(convert(path, extension).file)
    seen = models.look(made.file)
    if extension != "xyz":
        assert seen["triangles"] == 4
    size = 1000 if extension == "3mf" else 1
    assert np.allclose(seen["low"] * size, np.array([-1, 0, 0]) * size)

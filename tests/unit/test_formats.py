"""What the pure checks say of names, sizes, first and last bytes."""

import json
import struct
from pathlib import Path

import pytest

from watcher.embedded.formats import checks, companions, gltf
from watcher.embedded.formats.kinds import Sample, extension, identify
from watcher.embedded.formats.params import Params
from watcher.embedded.formats.views import NAMES, guess_up
from watcher.embedded.script import JobFailure


def of(name, content=b"", size=None):
    return Sample(name, len(content) if size is None else size, content, content[-4096:])


def binary_stl(count, triangles):
    return b"\0" * 80 + struct.pack("<I", count) + b"\0" * 50 * triangles


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.STL", "stl"), ("axle.prt.12", "prt"), ("plain", ""), ("x.tar.glb", "glb")],
)
def test_the_extension_of_a_name(name, expected):
    assert extension(name) == expected


@pytest.mark.parametrize(
    "name", ["a.pxz", "a.CATPart", "b.prt.3", "c.jt", "d.sldprt", "e.x_t", "f.asm.1"]
)
def test_what_only_pixyz_reads_is_refused_with_the_scheduler_to_use(name):
    with pytest.raises(JobFailure, match=r"Pixyz Scheduler.*scheduler\.url"):
        identify(of(name, b"whatever"))


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.stl", b"\x89PNG\r\n\x1a\n", "PNG image"),
        ("a.obj", b"ISO-10303-21;\nHEADER;", "STEP model"),
        ("a.glb", b"<!DOCTYPE html><html>", "web page"),
        ("a.ply", b"hello", "does not begin like PLY"),
        ("a.3mf", b"glTF\2\0\0\0", "GLB model"),
        ("a.fbx", b"PK\x03\x04", "ZIP archive"),
        ("a.glb", b"", "empty"),
        ("a.xyzzy", b"\xff\xd8\xff\xe0", "JPEG"),
        ("a.xyzzy", b"mystery", "not one of them"),
    ],
)
def test_a_name_that_lies_is_told(name, content, word):
    with pytest.raises(JobFailure, match=word):
        identify(of(name, content))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.igs", b"x", "iges"),
        ("a.step", b"/* by hand */\nISO-10303-21;", "step"),
        ("a.3mf", b"PK\x03\x04", "3mf"),
        ("a.bin", b"glTF\2\0\0\0", "glb"),
        ("a.dae", b'<?xml version="1.0"?>\n<COLLADA xmlns="x">', "dae"),
        ("a.off", b"# c\nOFF\n1 1 1", "off"),
    ],
)
def test_a_file_is_what_its_name_or_its_content_says(name, content, expected):
    assert identify(of(name, content)).name == expected


def test_a_binary_stl_is_84_and_50_for_each_triangle():
    checks.stl(of("a.stl", binary_stl(3, 3)))
    with pytest.raises(JobFailure, match="promises 3 triangles and holds 2"):
        checks.stl(of("a.stl", binary_stl(3, 2)))
    with pytest.raises(JobFailure, match="promises 4294967295 triangles and holds 0"):
        checks.stl(of("a.stl", binary_stl(0xFFFFFFFF, 0)))
    with pytest.raises(JobFailure, match="no triangles"):
        checks.stl(of("a.stl", binary_stl(0, 0)))
    with pytest.raises(JobFailure, match="damaged"):
        checks.stl(of("a.stl", binary_stl(1, 2)))
    with pytest.raises(JobFailure, match="84 bytes at least"):
        checks.stl(of("a.stl", b"abc"))


def test_an_ascii_stl_ends_with_endsolid():
    checks.stl(of("a.stl", b"solid a\n facet normal\nendsolid a\n"))
    with pytest.raises(JobFailure, match="endsolid"):
        checks.stl(of("a.stl", b"solid a\n facet normal 0 0 1\n"))


PLY = b"ply\nformat %s 1.0\nelement vertex %d\nproperty float x\nproperty float y\nend_header\n"


def test_ply_counts_must_fit_into_the_file():
    checks.ply(of("a.ply", PLY % (b"binary_little_endian", 2) + b"\0" * 16))
    for kind in (b"ascii", b"binary_little_endian"):
        with pytest.raises(JobFailure, match="promises 1000000000000 elements 'vertex'"):
            checks.ply(of("a.ply", PLY % (kind, 10**12)))
    with pytest.raises(JobFailure, match="end_header"):
        checks.ply(of("a.ply", b"ply\nformat ascii 1.0\n"))


def test_a_ply_header_of_nonsense_is_told():
    broken = PLY.replace(b"%d", b"many") % b"ascii"
    with pytest.raises(JobFailure, match="counts 'many'"):
        checks.ply(of("a.ply", broken))
    with pytest.raises(JobFailure, match="unknown PLY property"):
        checks.ply(of("a.ply", (PLY % (b"ascii", 1)).replace(b"float", b"quux")))


def test_rows_of_an_ascii_ply_are_counted():
    content = PLY % (b"ascii", 3) + b"0 0\n1 1\n"
    with pytest.raises(JobFailure, match="promises 3 rows and holds 2"):
        checks.rows_of_ply(of("a.ply", content), content.splitlines())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n", "promises 1 faces and holds 0"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n", "promises 3 vertices and holds 2"),
        (b"OFF 900000000000 1 0\n", "more than its"),
        (b"OFF\n", "missing"),
        (b"OFF\nx y\n", "not a number"),
    ],
)
def test_off_rows_are_counted(content, words):
    with pytest.raises(JobFailure, match=words):
        checks.rows_of_off(of("a.off", content), content.splitlines())


def test_a_whole_off_passes():
    content = b"OFF 3 1 0 # counts\n0 0 0\n1 0 0\n\n0 1 0\n3 0 1 2\n"
    checks.rows_of_off(of("a.off", content), content.splitlines())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.glb", b"glTF\2\0\0\0" + struct.pack("<I", 900) + b"\0" * 8, "promises 900 bytes"),
        ("a.glb", b"glTF\1\0\0\0" + struct.pack("<I", 20) + b"\0" * 8, "version 1"),
        ("a.glb", b"glTF", "at least 20"),
        ("a.step", b"ISO-10303-21;\nDATA;", "END-ISO-10303-21"),
        ("a.iges", b"S      1\n", "record marked T"),
        ("a.iges", b"", "empty"),
        ("a.dae", b"<COLLADA><asset>", "</COLLADA>"),
        ("a.x3d", b"<X3D><Scene>", "</X3D>"),
    ],
)
def test_a_cut_file_is_told(name, content, words):
    sample = of(name, content)
    with pytest.raises(JobFailure, match=words):
        checks.check(sample, identify(sample))


def test_an_iges_with_its_terminator_passes():
    checks.iges(of("a.igs", b"S      1G      1".ljust(72) + b"T      1\n"))


@pytest.mark.parametrize(
    ("tail", "unfinished"),
    [
        (b"v 0 0 0\nf 1 2 3\n", False),
        (b"v 0 0 0\n# End of File", False),
        (b"f 1 2 3", False),
        (b"f 1/1 2/2 3", True),
        (b"v 0.5 1", True),
        (b"f 1/1 2/2 3/", True),
        (b"", False),
        (b"x\n  ", False),
    ],
)
def test_an_obj_that_stops_amid_a_line(tail, unfinished):
    assert checks.unfinished_obj(tail) is unfinished


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("a.png", False),
        ("tex/a b.png", False),
        ("../a.png", True),
        ("tex/../../a", True),
        ("/etc/passwd", True),
        ("C:\\a.png", True),
        ("http://h/a", True),
        ("%2e%2e/a", True),
        ("..\\a", True),
    ],
)
def test_references_that_lead_outside(name, outside):
    assert companions.leads_outside(name) is outside


def glb(tree, binary=b""):
    return gltf.pack_glb(gltf.Document(tree, [binary] if binary else []))


def parse(content):
    return gltf.read_glb(content, "a.glb", companions.Companions(Path("nowhere"), print))


BASE = {"asset": {"version": "2.0"}}


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({}, "no 'asset'"),
        ({"asset": {"version": "1.0"}}, "not glTF version 2"),
        ({**BASE, "buffers": [{"byteLength": 8}]}, "has no bytes"),
        ({**BASE, "accessors": [{"count": 10**12}]}, "promises 1000000000000 elements"),
        ({**BASE, "accessors": [{"count": "x"}]}, "counts 'x'"),
        ({**BASE, "accessors": [{"count": 1, "bufferView": 4}]}, "view 4 does not exist"),
        ({**BASE, "buffers": [{"byteLength": 4, "uri": "gone.bin"}]}, r"'gone.bin' is missing"),
        ({**BASE, "buffers": [{"byteLength": 9, "uri": "data:;base64,AAAA"}]}, "has 3"),
        ({**BASE, "buffers": [{"byteLength": 9, "uri": "data:;base64,A"}]}, "damaged"),
    ],
)
def test_gltf_that_breaks_its_promises(tree, words):
    with pytest.raises(JobFailure, match=words):
        parse(glb(tree))


def test_buffer_views_and_accessors_stay_inside_their_bytes():
    tree = {**BASE, "buffers": [{"byteLength": 4}], "bufferViews": [{"buffer": 0, "byteLength": 9}]}
    with pytest.raises(JobFailure, match="behind its buffer"):
        parse(glb(tree, b"1234"))
    tree["bufferViews"] = [{"buffer": 0, "byteLength": 4}]
    tree["accessors"] = [{"bufferView": 0, "count": 2, "type": "SCALAR", "componentType": 5126}]
    with pytest.raises(JobFailure, match="promises 2 elements"):
        parse(glb(tree, b"1234"))


def test_several_buffers_become_one_at_multiples_of_four():
    views = [{"buffer": 0, "byteLength": 3}, {"buffer": 1, "byteLength": 2}]
    tree = {**BASE, "buffers": [{"byteLength": 3}, {"byteLength": 2}], "bufferViews": views}
    packed = json.loads(gltf.pack_gltf(gltf.Document(tree, [b"abc", b"de"])))
    assert packed["buffers"][0]["uri"].endswith("YWJjAGRlAAA=")
    assert [view["byteOffset"] for view in packed["bufferViews"]] == [0, 4]


def given(params, *valid):
    return Params(params, valid, print)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: given([]), "must be an object"),
        (lambda: given({"e": 3}, "e").choice("e", "a", ("a",)), "one of a"),
        (lambda: given({"e": "q"}, "e").choice("e", "a", ("a", "b")), "valid: a, b"),
        (lambda: given({"e": "pyl"}, "e").choice("e", "a", ("ply",)), "did you mean 'ply'"),
        (lambda: given({"w": True}, "w").whole("w", 1, (1, 2)), "whole number"),
        (lambda: given({"w": 9}, "w").whole("w", 1, (1, 2)), "from 1 to 2"),
        (lambda: given({"w": 1.5}, "w").whole("w", 1, (1, 2)), "from 1 to 2"),
        (lambda: given({"d": float("nan")}, "d").number("d", 1, 2), "number from 0"),
        (lambda: given({"f": "../x"}, "f").file_name("f", "o", "glb"), "without folders"),
        (lambda: given({"f": ["x"] * 99}, "f").file_name("f", "o", "glb"), r"\.\.\.$"),
        (lambda: given({"f": {1}}, "f").file_name("f", "o", "glb"), r"\{1\}"),
        (lambda: given({"b": "red"}, "b").colour("b", "#000000", ("t",)), "#rrggbb"),
    ],
)
def test_wrong_params_name_what_is_right(ask, words):
    with pytest.raises(JobFailure, match=words):
        ask()


def test_an_unknown_parameter_is_a_warning_with_a_hint():
    told = []
    assert Params({"extention": 1}, ("extension",), told.append).choice("extension", "a", ("a",))
    assert len(told) == 1
    assert told[0].startswith('the parameter "extention" is not known and was ignored')
    assert "did you mean 'extension'? valid: extension" in told[0]


def test_right_params_are_taken_as_meant():
    assert given({"e": ".GLB"}, "e").choice("e", "x", ("glb",)) == "glb"
    assert given(None).file_name("f", "output", "glb") == "output"
    assert given({"f": "a.GLB"}, "f").file_name("f", "output", "glb") == "a"
    assert given({"w": 2.0}, "w").whole("w", 1, (1, 2)) == 2
    assert given({"b": "#aBcdef"}, "b").colour("b", "t", ("t",)) == "#aBcdef"
    assert given({"b": "#abc"}, "b").colour("b", "t", ("t",)) == "#abc"


def test_a_model_that_stands_on_z_is_z_up():
    assert guess_up((-1, -1, 0), (1, 1, 5)) == "z"
    assert guess_up((-1, 0, -1), (1, 5, 1)) == "y"
    assert NAMES == ("iso", "x", "y", "z")

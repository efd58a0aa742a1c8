import io
import json
import struct

import pytest

from watcher.core import assets
from watcher.core.assets import Closure, Findings, Kind, Limits, Reference, closure, references


def names(name, content):
    return [r.name for r in references(name, io.BytesIO(content)).references]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"mtllib a.mtl", ["a.mtl"]),
        (b"  mtllib\ta.mtl  \r", ["a.mtl"]),
        (b"mtllib a.mtl b.mtl", ["a.mtl", "b.mtl"]),
        (b"mtllib my file.mtl", ["my file.mtl"]),
        (b"mtllib one.mtl my file.MTL", ["one.mtl", "my file.MTL"]),
        (b'mtllib "my file.mtl" b.mtl', ["my file.mtl", "b.mtl"]),
        (b"mtllib ./fuze.obj.mtl", ["fuze.obj.mtl"]),
        (b"mtllib .\\mat\\a.mtl", ["mat/a.mtl"]),
        (b"mtllib a.mtl \\\r\n b.mtl", ["a.mtl", "b.mtl"]),
        (b"mtllib materials", ["materials"]),
        (b"mtllib caf\xe9.mtl", ["caf\udce9.mtl"]),
        (b"# mtllib a.mtl", []),
        (b"usemtl mtllib", []),
        (b"mtllib", []),
        (b"mtllib .", []),
    ],
)
def test_obj_names_its_libraries(line, expected):
    assert names("a.obj", b"v 1 2 3\n" + line + b"\nf 1 2 3\n") == expected


def test_an_obj_library_is_found_across_chunks_and_after_endless_lines():
    content = b"# " + b"x" * 500 + b" mtllib no.mtl\nv 1 2 3\nmtllib a.mtl\\\n b.mtl\nv 1 2 3\n"
    found = references("a.obj", io.BytesIO(content), Limits(chunk=7, longest_line=64))
    assert [one.name for one in found.references] == ["a.mtl", "b.mtl"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"map_Kd fuze uv.jpg", ["fuze uv.jpg"]),
        (b"\tmap_Kd -s 1 1 1 -o 0 0.5 tex/a.png", ["tex/a.png"]),
        (b"map_bump -bm 0.3 -mm 0 1 b.png", ["b.png"]),
        (b"bump -imfchan r -clamp on c.png", ["c.png"]),
        (b"disp -texres 512 -blendu off -blendv on d.png", ["d.png"]),
        (b"refl -type sphere e.png", ["e.png"]),
        (b"norm n.png", ["n.png"]),
        (b"decal -t 1 d.png", ["d.png"]),
        (
            b"map_Pr r.png\nmap_Pm m.png\nmap_Ns s.png\nmap_d a.png",
            ["r.png", "m.png", "s.png", "a.png"],
        ),
        (b"map_Kd -odd.png", ["-odd.png"]),
        (b"map_Kd 'a.png", ["'a.png"]),
        (b'map_Kd "a b.png"', ["a b.png"]),
        (b"map_Kd -o 1 2", ["2"]),
        (b"map_Kd -clamp on", []),
        (b"Kd 1 1 1", []),
        (b"map_Kd a.png\nmap_Ka a.png", ["a.png"]),
    ],
)
def test_mtl_names_its_textures(line, expected):
    assert names("a.mtl", b"newmtl x\n" + line + b"\n") == expected


@pytest.mark.parametrize("name", [b"/etc/passwd", b"C:\\tex\\a.png", b"http://x/a.png", b"a\0.png"])
def test_a_name_that_leads_out_is_told_and_never_followed(name):
    found = references("a.mtl", io.BytesIO(b"map_Kd " + name + b"\n"))
    assert found.references == ()
    assert "not followed" in found.warnings[0]


GLTF = {
    "buffers": [{"uri": "a%20b.bin"}, {"uri": "data:;base64,AA=="}, {}, 7],
    "images": [{"uri": "tex/c.png"}, {"uri": "https://x/d.png"}, {"uri": 3}, {"bufferView": 0}],
}
GLTF_NAMES = (Reference("a b.bin", Kind.BUFFER), Reference("tex/c.png", Kind.TEXTURE))


def test_gltf_names_buffers_and_images():
    found = references("a.gltf", io.BytesIO(json.dumps(GLTF).encode()))
    assert found.references == GLTF_NAMES
    assert len(found.warnings) == 1


def test_glb_names_external_files_in_its_json():
    body = json.dumps(GLTF).encode()
    head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(body), len(body), b"JSON")
    assert references("a.GLB", io.BytesIO(head + body + b"rest")).references == GLTF_NAMES


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 200_000])
@pytest.mark.parametrize("name", ["a.gltf", "a.glb"])
def test_broken_gltf_is_a_warning(name, content):
    found = references(name, io.BytesIO(content))
    assert (found.references, len(found.warnings)) == ((), 1)


@pytest.mark.parametrize("content", [b"[]", b"3", b'{"buffers": null}'])
def test_odd_gltf_has_no_references(content):
    assert references("a.gltf", io.BytesIO(content)) == Findings()


def test_a_huge_gltf_is_not_held_in_memory():
    found = references("a.gltf", io.BytesIO(b" " * 11), Limits(largest_json=10))
    assert "too large" in found.warnings[0]


def test_other_files_have_no_references():
    assert not assets.has_references("a.step")
    assert references("a.step", io.BytesIO(b"mtllib a.mtl")) == Findings()


@pytest.mark.parametrize(
    ("tail", "cut"),
    [
        (b"f 1 2 3\nf 33", True),
        (b"v 1.0 2.0", True),
        (b"f 1/2/3 4/5/6 7/8/", True),
        (b"v 1 2 -", True),
        (b"v 1 2 3", False),
        (b"f 33\n", False),
        (b"# the end", False),
        (b"   ", False),
        (b"", False),
    ],
)
def test_an_obj_that_ends_within_a_record_looks_cut_short(tail, cut):
    assert assets.looks_cut_short(tail) is cut
    warned = references("a.obj", io.BytesIO(b"v 1 2 3\n" + tail)).warnings
    assert bool(warned) is cut


def follow(tree, main="in/a.obj"):
    def read(path):
        return references(path, io.BytesIO(tree[path]))

    def find(directory, name):
        path = f"{directory}/{name}"
        return path if path in tree else None

    return closure(main, read, find)


def test_the_closure_follows_materials_to_textures_in_their_folder():
    tree = {
        "in/a.obj": b"mtllib mat/a.mtl gone.mtl\n",
        "in/mat/a.mtl": b"map_Kd t.png\nmap_Ka no.png\nbump ../b.png\nmap_Ks t.png\n",
        "in/mat/t.png": b"",
        "in/b.png": b"",
    }
    assert follow(tree) == Closure(
        {"mat/a.mtl": "in/mat/a.mtl", "mat/t.png": "in/mat/t.png", "b.png": "in/b.png"},
        ("gone.mtl", "mat/no.png"),
    )


def test_the_closure_never_leaves_the_main_files_folder():
    found = follow({"in/a.obj": b"mtllib ../a.mtl\n", "in/../a.mtl": b""})
    assert found.found == {}
    assert "../a.mtl" in found.warnings[0]


def test_a_file_that_names_itself_is_no_part():
    assert follow({"in/a.obj": b"mtllib a.obj\n"}) == Closure()


def test_a_part_named_twice_is_one_part():
    tree = {
        "in/a.obj": b"mtllib one.mtl two.mtl\n",
        "in/one.mtl": b"map_Kd t.png\n",
        "in/two.mtl": b"map_Kd t.png\n",
        "in/t.png": b"",
    }
    assert sorted(follow(tree).found) == ["one.mtl", "t.png", "two.mtl"]

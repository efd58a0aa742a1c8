import io
import json
import struct
from pathlib import Path

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


# ------------------------------------------------------------------ COLLADA, FBX, 3DXML
def test_dae_names_its_images_and_nothing_else():
    text = b"""<COLLADA><asset/><library_images>
      <image id="a"><init_from>tex/a%20b.png</init_from></image>
      <image id="b"><init_from><ref>b&amp;c.jpg</ref></init_from></image>
      <image id="c"><init_from>file:///C:/work/wood.png</init_from></image>
      <image id="d"><init_from>data:image/png;base64,AAAA</init_from></image>
      <image id="e"><init_from>http://host/x.png</init_from></image>
    </library_images><library_effects><newparam><surface><init_from>a</init_from></surface>
    </newparam></library_effects></COLLADA>"""
    assert names("x.dae", text) == ["tex/a b.png", "b&c.jpg", "wood.png"]
    found = references("x.DAE", io.BytesIO(text)).references
    assert [one.guessed for one in found] == [False, False, True]
    # a list across many reads, and one that never ends
    filler = b"<!-- " + b"x" * (3 << 20) + b" -->"
    assert names("x.dae", filler + text) == ["tex/a b.png", "b&c.jpg", "wood.png"]
    assert names("x.dae", b"<library_images><image><init_from>a.png</init_from>") == ["a.png"]
    assert names("x.dae", b"<COLLADA/>") == []
    endless = b"<library_images>" + b" " * (70 << 20) + b"<init_from>late.png</init_from>"
    assert names("x.dae", endless) == []


def record(name: bytes, properties: list[bytes], children: bytes, at: int, *, wide: bool) -> bytes:
    form = "<QQQB" if wide else "<IIIB"
    body = b"".join(properties)
    size = struct.calcsize(form) + len(name) + len(body) + len(children)
    head = struct.pack(form, at + size, len(properties), len(body), len(name))
    return head + name + body + children


def string(text: bytes) -> bytes:
    return b"S" + struct.pack("<I", len(text)) + text


def fbx_file(version: int, *videos: tuple[bytes, bytes]) -> bytes:
    """A binary FBX file with one Video for each (name, content)."""
    wide = version >= 7500
    head = b"Kaydara FBX Binary  \x00\x1a\x00" + struct.pack("<I", version)
    start = len(head)
    top = struct.calcsize("<QQQB" if wide else "<IIIB") + len(b"Objects")
    objects, at = b"", start + top
    for name, content in videos:
        inner_at = at + struct.calcsize("<QQQB" if wide else "<IIIB") + len(b"Video")
        first = record(b"RelativeFilename", [string(name)], b"", inner_at, wide=wide)
        odd = b"RelativeFilename" if name == b"odd" else b"Other"
        first += record(odd, [b"I\0\0\0\0"], b"", inner_at + len(first), wide=wide)
        held = [b"R" + struct.pack("<I", len(content)) + content]
        second = record(b"Content", held, b"", inner_at + len(first), wide=wide)
        one = record(b"Video", [], first + second, at, wide=wide)
        objects += one
        at += len(one)
    return head + record(b"Objects", [], objects, start, wide=wide) + bytes(25)


@pytest.mark.parametrize("version", [7400, 7700])
def test_binary_fbx_names_images_that_it_does_not_hold(version):
    content = fbx_file(
        version,
        (b"odd", b""),
        (b"tex\\a.png", b""),
        (b"held.png", b"PNG..."),
        (b"..\\..\\src\\wood.png", b""),
    )
    assert names("x.fbx", content) == ["tex/a.png", "wood.png"]
    for cut in range(27, len(content), 7):
        names("x.fbx", content[:cut])  # never fails, never loops


def test_text_fbx_names_images_that_it_does_not_hold():
    text = b"""; FBX 7.3.0 project file
Objects:  {
    Video: 1, "Video::a", "Clip" {
        RelativeFilename: "tex\\a.png"
        Content: ,
    }
    Video: 2, "Video::b", "Clip" {
        RelativeFilename: "held.png"
        Content: ,
            "iVBORw0KGgo="
    }
    Texture: 3, "Texture::b", "" {
        RelativeFilename: "held.png"
    }
}
"""
    assert names("x.fbx", text) == ["tex/a.png"]
    assert names("x.fbx", text.replace(b"Content: ,\n            ", b"Content: ")) == ["tex/a.png"]


def test_real_models_name_what_they_name():
    models = Path(__file__).parents[1] / "models"
    for model in ("phong_cube.fbx", "blue_cube.dae"):
        assert names(model, (models / model).read_bytes()) == []


def test_plain_3dxml_names_its_representations():
    text = b'<Model><Rep associatedFile="urn:3DXML:Part1.3DRep"/><R associatedFile="#x"/></Model>'
    assert names("x.3dxml", text) == ["Part1.3DRep"]
    assert names("x.3dxml", b"PK\x03\x04 associatedFile='a'") == []


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("a%20b.png", "a b.png"),
        ("a%20b.png", "a%20b.png"),
        ("t\udcfcr.png", "t\u00fcr.png"),
        ("a%00.png", None),
    ],
)
def test_names_are_found_as_exporters_spell_them(written, there):
    def read(path):
        return Findings((Reference(written, Kind.TEXTURE),)) if path == "m.mtl" else Findings()

    closed = closure("m.mtl", read, lambda _, name: name if name == there else None)
    assert closed.found == ({written: there} if there else {})
    assert closed.missing == (() if there else (written,))


def test_a_guess_that_is_not_there_lacks_nothing():
    def read(_):
        return Findings((Reference("wood.png", Kind.TEXTURE, guessed=True),))

    assert closure("a.fbx", read, lambda *_: None).missing == ()


def test_options_of_a_material_are_no_files():
    assert names("a.mtl", b"map_aat on\nmap_Pr -s 1 1 1 rough ness.png\n") == ["rough ness.png"]

"""Small models written by hand, and an independent look into what the converters made of them."""

import base64
import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

TETRA = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
FACES = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]


def png(colour, size=(4, 4), mode="RGB"):
    stream = io.BytesIO()
    Image.new(mode, size, colour).save(stream, "PNG")
    return stream.getvalue()


def document(path):
    """The JSON and the buffer of a GLB or glTF file, by nothing but the standard library."""
    content = Path(path).read_bytes()
    if content[:4] == b"glTF":
        size = struct.unpack_from("<I", content, 12)[0]
        return json.loads(content[20 : 20 + size]), content[28 + size :]
    tree = json.loads(content)
    return tree, base64.b64decode(tree["buffers"][0]["uri"].partition(",")[2])


def look(path):
    """What a GLB or glTF shows: triangles, vertices, points, box, names of nodes and materials."""
    tree, buffer = document(path)
    found = {"triangles": 0, "points": 0, "names": [], "coloured": False}
    corners = []
    scene = tree["scenes"][tree.get("scene", 0)]
    waiting = [(node, np.eye(4)) for node in reversed(scene["nodes"])]
    while waiting:
        index, above = waiting.pop()
        node = tree["nodes"][index]
        matrix = above @ _matrix(node)
        found["names"].append(node.get("name"))
        waiting += [(child, matrix) for child in reversed(node.get("children", []))]
        for primitive in tree["meshes"][node["mesh"]]["primitives"] if "mesh" in node else ():
            points = _values(tree, buffer, primitive["attributes"]["POSITION"])
            corners.append(points @ matrix[:3, :3].T + matrix[:3, 3])
            found["coloured"] |= "COLOR_0" in primitive["attributes"]
            if primitive.get("mode", 4) == 4:
                used = tree["accessors"][primitive["indices"]]["count"]
                found["triangles"] += used // 3
            else:
                found["points"] += len(points)
    everything = np.concatenate(corners)
    found["vertices"] = len(everything)
    found["low"], found["high"] = everything.min(axis=0), everything.max(axis=0)
    found["materials"] = [material.get("name") for material in tree.get("materials", [])]
    found["images"] = len(tree.get("images", []))
    return found


def _matrix(node):
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    found = np.eye(4)
    found[:3, :3] = np.array(turn) * np.array(node.get("scale", (1, 1, 1)))
    found[:3, 3] = node.get("translation", (0, 0, 0))
    return found


def _values(tree, buffer, index):
    accessor = tree["accessors"][index]
    view = tree["bufferViews"][accessor["bufferView"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    return np.frombuffer(buffer, "<f4", accessor["count"] * 3, start).reshape(-1, 3).astype(float)


def glb(change=lambda _: None, binary=b""):
    """A tetrahedron as GLB, its JSON changed by ``change``; ``binary`` replaces its first bytes."""
    points = np.array(TETRA, "<f4").tobytes()
    faces = np.array(FACES, "<u2").tobytes()
    buffer = binary + (points + faces)[len(binary) :]
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "tetra", "mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 4,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 1, 1],
            },
            {"bufferView": 1, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24},
        ],
        "buffers": [{"byteLength": len(buffer)}],
    }
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    size = 28 + len(text) + len(buffer)
    head = struct.pack("<4sIIII", b"glTF", 2, size, len(text), 0x4E4F534A)
    return head + text + struct.pack("<II", len(buffer), 0x4E4942) + buffer


def ply(kind, colours=False, faces=((0, 1, 2, 3), (0, 1, 4)), edges=False):
    """A square and a triangle as PLY of any kind."""
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0.5, 0.5, 1)]
    lines = ["ply", f"format {kind} 1.0", f"element vertex {len(points)}"]
    lines += [f"property double {axis}" for axis in "xyz"]
    lines += [f"property uchar {part}" for part in ("red", "green", "blue") if colours]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
    lines += ["element edge 1", "property int a", "property int b"] if edges else []
    head = "\n".join([*lines, "end_header", ""]).encode()
    paint = (255, 0, 9) if colours else ()
    if kind == "ascii":
        rows = [" ".join(map(str, (*point, *paint))) for point in points]
        rows += [" ".join(map(str, (len(face), *face))) for face in faces]
        return head + "\n".join([*rows, *(["0 1"] if edges else []), ""]).encode()
    order = ">" if "big" in kind else "<"
    body = b"".join(struct.pack(order + "3d", *point) + bytes(paint) for point in points)
    body += b"".join(struct.pack(f"{order}B{len(f)}i", len(f), *f) for f in faces)
    return head + body + (struct.pack(order + "2i", 0, 1) if edges else b"")


def three_ds():
    def chunk(kind, content):
        return struct.pack("<HI", kind, 6 + len(content)) + content

    points = struct.pack("<H", 4) + b"".join(struct.pack("<3f", *point) for point in TETRA)
    faces = struct.pack("<H", 4) + b"".join(struct.pack("<4H", *face, 7) for face in FACES)
    look_of = chunk(0xAFFF, chunk(0xA000, b"Rot\0") + chunk(0xA020, chunk(0x0011, b"\xff\0\0")))
    use = chunk(0x4130, b"Rot\0" + struct.pack("<H", 4) + struct.pack("<4H", 0, 1, 2, 3))
    mesh = chunk(0x4100, chunk(0x4110, points) + chunk(0x4120, faces + use))
    return chunk(0x4D4D, chunk(0x3D3D, look_of + chunk(0x4000, b"Tetra\0" + mesh)))


def three_dxml():
    space = (
        'xmlns="http://www.3ds.com/xsd/3DXML" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    )
    shape = (
        f'<XMLRepresentation {space}><Root xsi:type="BagRepType"><Rep xsi:type="PolygonalRepType">'
        '<Faces><Face triangles="0 2 1 0 1 3 0 3 2 1 2 3"/></Faces><VertexBuffer>'
        "<Positions>0 0 0,1 0 0,0 1 0,0 0 1</Positions><Normals>0 0 1,0 0 1,0 0 1,0 0 1</Normals>"
        "</VertexBuffer></Rep></Root>"
        "</XMLRepresentation>"
    )
    tree = (
        f'<Model_3dxml {space}><ProductStructure root="1"><Reference3D id="1" name="Asm"/>'
        '<Instance3D id="2" name="I1"><IsAggregatedBy>1</IsAggregatedBy><IsInstanceOf>4'
        "</IsInstanceOf><RelativeMatrix>1 0 0 0 1 0 0 0 1 10 0 0</RelativeMatrix></Instance3D>"
        '<Reference3D id="4" name="Part"/><ReferenceRep id="5" name="r" format="TESSELLATED" '
        'associatedFile="urn:3DXML:part.3DRep"/><InstanceRep id="6" name="ir"><IsAggregatedBy>4'
        "</IsAggregatedBy><IsInstanceOf>5</IsInstanceOf></InstanceRep></ProductStructure>"
        "</Model_3dxml>"
    )
    manifest = "<Manifest><Root>prod.3dxml</Root></Manifest>"
    return zipped({"Manifest.xml": manifest, "prod.3dxml": tree, "part.3DRep": shape})


def zipped(entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


COLLADA = """<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset>
<unit meter="0.01"/><up_axis>Z_UP</up_axis></asset>
<library_images><image id="img"><init_from>wood.png</init_from></image></library_images>
<library_effects><effect id="fx"><profile_COMMON><newparam sid="sf"><surface type="2D">
<init_from>img</init_from></surface></newparam><newparam sid="sm"><sampler2D><source>sf</source>
</sampler2D></newparam><technique sid="c"><phong><diffuse><texture texture="sm" texcoord="UV"/>
</diffuse></phong></technique></profile_COMMON></effect></library_effects>
<library_materials><material id="mat" name="Holz"><instance_effect url="#fx"/></material>
</library_materials><library_geometries><geometry id="g" name="Brett"><mesh>
<source id="p"><float_array id="pa" count="12">0 0 0 1 0 0 0 2 0 0 0 3</float_array>
<technique_common><accessor source="#pa" count="4" stride="3"><param name="X" type="float"/>
<param name="Y" type="float"/><param name="Z" type="float"/></accessor></technique_common></source>
<source id="t"><float_array id="ta" count="8">0 0 1 0 0 1 1 1</float_array><technique_common>
<accessor source="#ta" count="4" stride="2"><param name="S" type="float"/>
<param name="T" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices><triangles material="m"
count="4"><input semantic="VERTEX" source="#v" offset="0"/><input semantic="TEXCOORD" source="#t"
offset="1"/><p>0 0 2 2 1 1 0 0 1 1 3 3 0 0 3 3 2 2 1 1 2 2 3 3</p></triangles></mesh></geometry>
</library_geometries><library_visual_scenes><visual_scene id="s"><node id="n1" name="Eins"><matrix>
1 0 0 10 0 1 0 0 0 0 1 0 0 0 0 1</matrix><node id="n2" name="Zwei"><instance_geometry url="#g">
<bind_material><technique_common><instance_material symbol="m" target="#mat"/></technique_common>
</bind_material></instance_geometry></node><instance_node url="#n3"/></node></visual_scene>
</library_visual_scenes><library_nodes><node id="n3" name="Drei"><translate>0 50 0</translate>
<instance_geometry url="#g"/></node></library_nodes>
<scene><instance_visual_scene url="#s"/></scene></COLLADA>"""
FBX = """; FBX 7.3.0 project file
FBXHeaderExtension:  {
	FBXHeaderVersion: 1003
	FBXVersion: 7300
}
Objects:  {
	Geometry: 1001, "Geometry::Tet", "Mesh" {
		Vertices: *12 {
			a: 0,0,0,10,0,0,0,20,0,0,0,30
		}
		PolygonVertexIndex: *12 {
			a: 0,2,-2,0,1,-4,0,3,-3,1,2,-4
		}
		GeometryVersion: 124
	}
	Model: 1002, "Model::Eltern", "Null" {
		Version: 232
	}
	Model: 1003, "Model::Kind", "Mesh" {
		Version: 232
	}
}
Connections:  {
	C: "OO",1002,0
	C: "OO",1003,1002
	C: "OO",1001,1003
}
"""
X3D = """<X3D><Scene><Transform DEF="T" translation="5 0 0"><Shape><Appearance>
<Material diffuseColor="1 0 0"/></Appearance><Box size="2 4 6"/></Shape></Transform></Scene>
</X3D>"""
IFC = Path(__file__).parent.parent / "models" / "wall.ifc"

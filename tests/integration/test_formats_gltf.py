"""glTF accessors in their rarer forms: what is measured and drawn is what they really hold."""

import base64
import json

import numpy as np
import pytest
from test_processes import Pc

from watcher.embedded.processes import convert_file, generate_metadata
from watcher.embedded.script import JobFailure

CORNERS = np.array([(0, 0, 0), (2, 0, 0), (0, 3, 0), (0, 0, 5)])
FACES = np.array([0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3], "<u2").tobytes()
PLAIN = {"componentType": 5126, "count": 4, "type": "VEC3", "min": [0, 0, 0], "max": [2, 3, 5]}


def document(accessor, *contents, node=None):
    """A .gltf of one tetrahedron; view 0 holds its indices, the others the contents."""
    views, joined = [], b""
    for content in (FACES, *contents):
        views.append({"buffer": 0, "byteOffset": len(joined), "byteLength": len(content)})
        joined += content + b"\0" * (-len(content) % 4)
    uri = "data:application/octet-stream;base64," + base64.b64encode(joined).decode()
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0} | (node or {})],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 1}, "indices": 0}]}],
        "buffers": [{"byteLength": len(joined), "uri": uri}],
        "bufferViews": views,
        "accessors": [
            {"bufferView": 0, "componentType": 5123, "count": 12, "type": "SCALAR"},
            accessor,
        ],
    }


def sparse(places, corners, base=None):
    kept = {"count": len(places), "indices": {"bufferView": 1, "componentType": 5121}}
    accessor = PLAIN | {"sparse": kept | {"values": {"bufferView": 2}}}
    contents = [np.array(places, "u1").tobytes(), np.array(corners, "<f4").tobytes()]
    if base is None:
        return document(accessor, *contents)
    return document(accessor | {"bufferView": 3}, *contents, np.array(base, "<f4").tobytes())


def quantized():
    whole = np.zeros((4, 4), "<i2")
    whole[:, :3] = np.round(CORNERS / 5 * 32767)
    accessor = PLAIN | {"componentType": 5122, "normalized": True, "bufferView": 1}
    accessor |= {"min": [0, 0, 0], "max": whole[:, :3].max(axis=0).tolist()}
    tree = document(accessor, whole.tobytes(), node={"scale": [5, 5, 5]})
    tree["bufferViews"][1]["byteStride"] = 8
    return tree | {
        "extensionsUsed": ["KHR_mesh_quantization"],
        "extensionsRequired": ["KHR_mesh_quantization"],
    }


@pytest.fixture
def pc(tmp_path):
    def put(tree):
        path = tmp_path / "a.gltf"
        path.write_text(json.dumps(tree))
        return Pc(path, tmp_path / "out")

    return put


@pytest.mark.parametrize(
    "tree",
    [
        sparse([0, 1, 2, 3], CORNERS),
        sparse([1, 3], CORNERS[[1, 3]], base=CORNERS * [0, 1, 0]),
        quantized(),
    ],
    ids=["sparse alone", "sparse over others", "normalized integers"],
)
def test_sparse_and_quantized_corners_stand_where_they_belong(pc, tree):
    job = pc(tree)
    facts = generate_metadata.main(job, {})
    assert facts["bbox_min"] == pytest.approx([0, 0, 0])
    assert facts["bbox_max"] == pytest.approx([2, 3, 5], abs=1e-4)
    convert_file.main(job, {"extension": "xyz"})
    points = np.loadtxt(job.folder / "output.xyz")[:, :3]
    assert points.max(axis=0) == pytest.approx([2, 3, 5], abs=1e-3)


@pytest.mark.parametrize(
    "change", [{"bufferView": 9}, {"bufferView": 1, "byteOffset": 999}], ids=["none", "outside"]
)
def test_sparse_values_outside_their_bytes_are_told(pc, change):
    tree = sparse([0], CORNERS[:1])
    tree["accessors"][1]["sparse"]["values"] = change
    with pytest.raises(JobFailure, match="cut short or damaged"):
        generate_metadata.main(pc(tree), {})

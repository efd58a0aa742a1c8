"""Assets of many files on a scheduler behind HTTP: packed, the main file named; scripts too."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import zipfile

import pytest
import requests

from tests.e2e.test_bundles import LIST, MODELS, below, fill, listed
from tests.e2e.test_studio_rules import studio, watcher

__all__ = ["studio"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A scheduler of our own behind HTTP; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = tmp_path_factory.mktemp("serve")
    words = ["serve", "--port", str(port), "--state", str(state)]
    process = subprocess.Popen([sys.executable, "-m", "watcher", *words], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        try:
            requests.get(f"{url}/processes", timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.1)
    yield url
    process.terminate()
    process.wait(60)


def test_assets_and_scripts_on_a_server(studio, server):
    place = studio(
        '      - {name: z, match: "*.zip", root_file: "*.obj", script: ./list.py}\n'
        '      - {name: f, match: "*", bundle: folder, script: ./list.py, params: {n: "{name}"}}\n'
        '      - {name: s, match: "*.exr", bundle: sequence, script: ./list.py}\n'
        '      - {name: o, match: "*.obj", process: convert_file, params: {extension: glb},'
        " then: {process: generate_metadata}}\n"
        '      - {name: c, match: "*.txt", command: [cp, "{input}", "{outputs}/x"]}\n'
    )
    config = place / "watcher.yaml"
    config.write_text(config.read_text() + f"scheduler: {{url: '{server}', poll_every: 200ms}}\n")
    (place / "list.py").write_text(LIST)
    fill(place, "set/deep/scene.gltf", "set/tex.png", "r.01.exr", "r.02.exr", "n.txt")
    for model in (MODELS / "obj_textured").iterdir():
        shutil.copy(model, place / "in" / model.name)
    with zipfile.ZipFile(place / "in" / "pack.zip", "w") as archive:
        archive.writestr("a/one.gltf", "{}")
        archive.writestr("b/two.obj", "v 0 0 0")
    ended = watcher("run", "--once", cwd=place)
    assert ended.returncode == 0, ended.stdout
    told = listed(place, "set.json")
    assert (told["main"], told["names"]) == (
        "deep/scene.gltf", ["deep/scene.gltf", "tex.png"],
    )  # fmt: skip
    assert told["params"] == {"n": "set"}
    assert listed(place, "pack.json")["main"] == "b/two.obj"
    assert listed(place, "r.json")["names"] == ["r.01.exr", "r.02.exr"]
    assert b"image/" in (place / "out" / "fuze.obj" / "output.glb").read_bytes()[:20000]
    assert (place / "out" / "fuze.obj" / "metadata.json").exists()
    assert (place / "out" / "n").read_text() == "n.txt"
    assert "set/tex.png" in below(place / "archive")

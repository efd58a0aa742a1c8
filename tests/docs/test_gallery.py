"""The sample configurations do what they say: each runs once on real files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "tests" / "models"


@pytest.fixture
def gallery(tmp_path):
    """Copies a sample with its scripts, and runs it once; gives what was delivered."""
    shutil.copytree(ROOT / "config" / "scripts", tmp_path / "scripts")

    def make(name: str) -> Path:
        shutil.copy(ROOT / "config" / name, tmp_path / "watcher.yaml")
        return tmp_path

    return make


def watcher(*words, cwd, **environ):
    return subprocess.run(
        [sys.executable, "-m", "watcher", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
    )


def once(place: Path, code: int = 0, **environ) -> None:
    checked = watcher("check", cwd=place, **environ)
    assert checked.returncode == 0, checked.stdout
    done = watcher("run", "--once", cwd=place, **environ)
    assert done.returncode == code, done.stdout[-3000:]


def drop(source: Path | str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(source, str):
        target.write_text(source)
    else:
        shutil.copy(source, target)


def below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_cad_to_web(gallery):
    place = gallery("cad-to-web.yaml")
    drop(MODELS / "featuretype.step", place / "drop" / "cad" / "a.step")
    drop(MODELS / "binary_cube.stl", place / "drop" / "cad" / "sub" / "b.stl")
    once(place)
    assert below(place / "ready" / "web") == ["a.glb", "a.glb.json", "sub/b.glb", "sub/b.glb.json"]


def test_review_thumbnails(gallery):
    place = gallery("review-thumbnails.yaml")
    drop(MODELS / "binary_cube.stl", place / "drop" / "review" / "cube.stl")
    drop("x", place / "drop" / "review" / "a_draft.stl")
    once(place, PIXYZ_SCHEDULER_URL="embedded")
    assert "cube.stl/metadata.json" in below(place / "ready" / "review")
    assert below(place / "drop" / "review") == ["a_draft.stl", "cube.stl"]


def test_textures_and_sequences(gallery):
    place = gallery("textures-and-sequences.yaml")
    top = place / "drop" / "assets"
    for model in (MODELS / "obj_textured").iterdir():
        drop(model, top / "fuze" / model.name)
        drop(model, top / model.name)
    (top / "shots").mkdir()
    for number in range(1001, 1012):
        Image.new("RGB", (64, 36), (number % 256, 90, 30)).save(top / "shots" / f"sh.{number}.png")
    with zipfile.ZipFile(top / "scene.zip", "w") as archive:
        for part in (MODELS / "gltf_multi").iterdir():
            archive.write(part, f"deep/{part.name}")
    drop("extension: gltf", top / "fuze.watch.yaml")
    once(place)
    assert below(place / "ready" / "assets") == [
        "fuze.glb", "fuze.gltf", "scene.glb", "shots/sh_1001-1011.jpg",
    ]  # fmt: skip
    with Image.open(place / "ready" / "assets" / "shots" / "sh_1001-1011.jpg") as sheet:
        assert sheet.size == (8 * 160, 2 * 160)
    assert not below(top)


def test_overnight_batch(gallery):
    place = gallery("overnight-batch.yaml")
    drop(MODELS / "binary_cube.stl", place / "drop" / "batch" / "small.stl")
    big = place / "drop" / "batch" / "big.obj"
    big.write_bytes(b"# filler\n" * 120_000 + b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    once(place, 1, NIGHT="Mon 00:00-00:01; Fri 00:00-00:01 Pacific/Kiritimati")
    assert below(place / "ready" / "batch") == ["small.glb"]
    once(place, NIGHT="00:00-24:00")
    delivered = below(place / "ready" / "batch")
    assert any(name.endswith("_v001/output.glb") for name in delivered)
    assert any(name.endswith("_v001/metadata.json") for name in delivered)


def test_two_schedulers(gallery):
    place = gallery("two-schedulers.yaml")
    drop(MODELS / "featuretype.step", place / "drop" / "models" / "a.step")
    drop(MODELS / "binary_cube.stl", place / "drop" / "models" / "b.stl")
    drop("film", place / "drop" / "inbox" / "abc_sh010_v03.mov")
    (place / "drop" / "inbox" / "data").write_bytes(b"PK\x03\x04")
    drop("text", place / "drop" / "inbox" / "sub" / "notes.txt")
    once(place, FARM_URL="embedded")
    assert below(place / "ready" / "models") == ["a.glb", "b.glb"]
    assert below(place / "sorted") == [
        "abc/sh010/abc_sh010_v03.mov", "archives/data", "other/sub/notes.txt",
    ]  # fmt: skip
    assert not below(place / "drop" / "inbox")


def test_video_ffmpeg_is_told_of_where_it_lacks(gallery, tmp_path):
    place = gallery("video-ffmpeg.yaml")
    checked = watcher("check", cwd=place, PATH=str(tmp_path))
    assert checked.returncode == 0
    assert "no 'ffmpeg' in PATH" in checked.stdout


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed here")
def test_video_ffmpeg(gallery):
    place = gallery("video-ffmpeg.yaml")
    top = place / "drop" / "renders"
    top.mkdir(parents=True)
    for number in range(1, 11):
        Image.new("RGB", (64, 36), (number * 20, 90, 30)).save(top / f"shot.{number:04d}.png")
    drop("", top / "shot.done")
    once(place)
    assert (place / "ready" / "videos" / "shot.mp4").stat().st_size > 500

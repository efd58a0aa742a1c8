"""Who may import whom: the map of ``watcher/__init__.py``, read from the sources themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "watcher"
# a layer and what it may import of ours, itself aside
MAY = {
    "errors": set(),
    "content": set(),
    "cores": set(),
    "core": {"errors"},
    "config": {"core", "errors"},
    "adapters": {"core", "content", "errors"},
    "embedded": {"core", "content", "cores", "errors"},
    "samples": set(),
    "daemon": {"adapters", "core", "content", "embedded", "errors"},
    "cli": {"", "adapters", "config", "core", "cores", "daemon", "embedded", "errors", "samples"},
    "": {"cli"},
}
# may name an adapter
PICKS = {
    "daemon/service.py",
    "daemon/schedulers.py",
    "daemon/intake.py",
    "daemon/scan.py",
}
DATA_TYPES = """
    __future__ collections dataclasses datetime difflib enum functools json operator pathlib
    posixpath re shlex string struct types typing unicodedata urllib zlib
"""
FILES = sorted(ROOT.rglob("*.py"))


def layer_of(module: str) -> str:
    words = module.split(".")
    return words[1] if len(words) > 1 and not words[1].startswith("__") else ""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at whatever depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.Name):
            assert node.id != "TYPE_CHECKING", f"{path}: a way round the layers"
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    own = path.relative_to(ROOT).parts[0].removesuffix(".py").replace("__init__", "")
    own = own.replace("__main__", "")
    used = {layer_of(name) for name in imports(path) if name.split(".")[0] == "watcher"}
    assert used - {own} <= MAY[own]


def test_the_core_imports_data_types_only():
    used = {name.split(".")[0] for path in (ROOT / "core").rglob("*.py") for name in imports(path)}
    assert used - {"watcher"} <= set(DATA_TYPES.split())


def test_adapters_do_not_import_one_another():
    for path in (ROOT / "adapters").rglob("*.py"):
        own = path.relative_to(ROOT / "adapters").parts[0].removesuffix(".py")
        for name in imports(path):
            words = name.split(".")
            if words[:2] == ["watcher", "adapters"] and len(words) > 2:
                assert words[2] == own, f"{path} imports {name}"


def test_only_the_wiring_names_adapters_and_the_embedded_scheduler():
    named = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "daemon").glob("*.py")
        if any(layer_of(name) in {"adapters", "embedded"} for name in imports(path))
    }
    assert named <= PICKS

"""Which processes there are, what their documentation says, and whether a script can be run.

Imports the standard library and ``watcher.errors``. Invariant: nothing is imported or run; source
text is read and parsed only.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from watcher.errors import Refused


@dataclass(frozen=True, slots=True)
class Process:
    """A process by name: its file, and for a built-in one its module."""

    name: str
    path: Path
    module: str = ""


class Catalog:
    """The built-in processes and those of the user's folder, which win.

    Args:
        own: the folder of the user's process scripts, or None.
        package: the package of the built-in ones.
    """

    def __init__(self, own: Path | None, package: str) -> None:
        self._own = own
        self._package = package

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._all()))

    def find(self, name: str) -> Process:
        """The process of this name.

        Raises:
            Refused: there is none.
        """
        found = self._all().get(name)
        if found is None:
            known = ", ".join(self.names()) or "none"
            raise Refused(f"Invalid process {name!r}", fix=f"there are: {known}")
        return found

    def document(self, name: str) -> str:
        """The docstring of a process's ``main``; empty when it has none. Raises ``Refused``."""
        path = self.find(name).path
        function = _function(_parse(path.read_bytes(), path.name), "main")
        return (ast.get_docstring(function) or "") if function else ""

    def _all(self) -> dict[str, Process]:
        return _builtin(self._package) | (_scripts(self._own, "") if self._own else {})


@lru_cache(maxsize=4)
def _builtin(package: str) -> dict[str, Process]:
    """The processes of a package, which does not change while it is in use."""
    spec = importlib.util.find_spec(package)
    found: dict[str, Process] = {}
    for folder in (spec and spec.submodule_search_locations) or ():
        found |= _scripts(Path(folder), package + ".")
    return found


def _scripts(folder: Path, package: str) -> dict[str, Process]:
    try:
        paths = list(folder.glob("*.py"))
    except OSError:  # an unreadable folder holds none
        return {}
    plain = [path for path in paths if not path.name.startswith(("_", "."))]
    return {path.stem: Process(path.stem, path, package and package + path.stem) for path in plain}


@lru_cache(maxsize=64)  # a rule sends one script with all of its files
def _asked(source: bytes, name: str, entrypoint: str) -> Mapping[str, Any]:
    function = _function(_parse(source, name), entrypoint)
    if function is None:
        raise Refused(f"The script file does not have the function {entrypoint}", where=name)
    return _schedule(function)


def check(source: bytes, name: str, entrypoint: str) -> dict[str, Any]:
    """Prove that a script parses and has its entry point; what its decorator asks for.

    Returns:
        The literal keywords of ``@pixyz_schedule(...)`` on the entry point, if any.

    Raises:
        Refused: no Python, or no such function.
    """
    return dict(_asked(source, name, entrypoint))


def _parse(source: bytes, name: str) -> ast.Module:
    try:
        return ast.parse(source, name)
    except SyntaxError as error:
        place = f", line {error.lineno}" if error.lineno else ""
        raise Refused(f"the script is not valid Python{place}: {error.msg}", where=name) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise Refused(f"the script is not valid Python: {error}", where=name) from error


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | None:
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return found[-1] if found else None


def _schedule(function: ast.FunctionDef) -> dict[str, Any]:
    calls = [node for node in function.decorator_list if isinstance(node, ast.Call)]
    return {
        keyword.arg: keyword.value.value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "pixyz_schedule"
        for keyword in call.keywords
        if keyword.arg and isinstance(keyword.value, ast.Constant)
    }


def chosen(config: Mapping[str, Any], asked: Mapping[str, Any], key: str, default: Any) -> Any:
    """One option: the caller's, else the script's own, else the default. None counts as unset."""
    for source in (config, asked):
        if source.get(key) is not None:
            return source[key]
    return default

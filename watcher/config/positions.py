"""YAML with places: every value knows the line and column that it came from.

Imports PyYAML. Invariant: reading never raises for what a file may hold; each fault is a
``Problem`` at its place, and what remains is a tree without the faulty values.

Scalars follow YAML 1.2 but for the booleans (``yes``, ``no``, ``on``, ``off`` stay booleans):
``12:30`` and ``2026-01-02`` are text, ``010`` is ten, ``1e3`` is a number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

PREFIX = "tag:yaml.org,2002:"
LONGEST = 16 << 20  # characters of all values, aliases filled in
LARGEST = 50_000  # values; aliases of aliases multiply beyond all bounds otherwise
Path = tuple[str | int, ...]
Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A fault and where it is."""

    place: Place
    message: str


@dataclass(slots=True)
class Tree:
    """A value with its place. ``lost`` are the steps of faulty children that were taken out.

    ``raw`` is a scalar as written and ``keys`` the places of a mapping's keys.
    """

    place: Place
    value: Scalar | dict[str, Tree] | list[Tree]
    raw: str = ""
    plain: bool = False
    lost: set[str | int] = field(default_factory=set)
    keys: dict[str, Place] = field(default_factory=dict)

    def bare(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.bare() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.bare() for child in self.value]
        return self.value

    def child(self, step: str | int) -> Tree | None:
        """One step down, or None."""
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and step < len(self.value):
            return self.value[step]
        return None

    def follow(self, path: Path) -> list[Tree]:
        """This tree and those along a path; steps that the file did not spell out are skipped."""
        way = [self]
        for step in path:
            found = way[-1].child(step)
            if found is not None:
                way.append(found)
        return way

    def at(self, path: Path) -> Place:
        """The place of what stands at a path, or of the nearest thing above it."""
        return self.follow(path)[-1].place


_TYPES: tuple[tuple[str, re.Pattern[str], list[str]], ...] = (
    ("bool", re.compile(r"(?i:true|false|yes|no|on|off)\Z"), list("tTfFyYnNoO")),
    ("int", re.compile(r"(?:[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+)\Z"), list("-+0123456789")),
    (
        "float",
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"),
        list("-+.0123456789"),
    ),
    ("null", re.compile(r"(?:~|(?i:null)|)\Z"), ["~", "n", "N", ""]),
    ("merge", re.compile(r"<<\Z"), ["<"]),
)


class _Loader(yaml.SafeLoader):
    """Composes nodes with the scalars' types of the module's docstring."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (so that PyYAML finds it)
        first: [(PREFIX + tag, pattern) for tag, pattern, firsts in _TYPES if first in firsts]
        for first in sorted({one for _, _, firsts in _TYPES for one in firsts})
    }


_SCALARS: dict[str, Callable[[str], Scalar]] = {
    "str": str,
    "bool": lambda text: text.lower() in {"true", "yes", "on"},
    "int": lambda text: int(text, 0 if text[:2] in {"0x", "0o"} else 10),
    "float": float,
    "null": lambda _: None,
}


def scalar(text: str) -> Scalar:
    """A plain scalar's value, as the file's own would be read. Raises ``ValueError``."""
    tag = next((tag for tag, pattern, _ in _TYPES if pattern.match(text)), "str")
    return _SCALARS.get(tag, str)(text)


def read(text: str) -> tuple[Tree | None, list[Problem]]:
    """The file as a tree, and its faults; no tree when it is no YAML mapping at all."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = f"{error.context}, {error.problem}" if error.context else str(error.problem)
        return None, [Problem(_place(mark), f"not valid YAML: {_plainly(words)}")]
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return None, [Problem(Place(line, 1), "not valid YAML: a control character")]
    except RecursionError:
        return None, [Problem(Place(1, 1), "nested too deeply")]
    if root is None:
        return None, [Problem(Place(1, 1), "the file is empty; `watcher init` writes a sample")]
    if not isinstance(root, yaml.MappingNode):
        return None, [Problem(_place(root.start_mark), "the file must be a mapping (key: value)")]
    reader = _Reader()
    return reader.tree(root), reader.problems


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)


def _plainly(words: str) -> str:
    if "cannot start any token" in words and "\\t" in words:
        return "a tab; indent with spaces"
    return words.replace("\n", " ")


class _Reader:
    """Walks the nodes of one file once and gathers the faults."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._count = 0
        self._length = 0
        self._full = False

    def _say(self, node: yaml.Node, message: str) -> None:
        self.problems.append(Problem(_place(node.start_mark), message))

    def tree(self, node: yaml.Node) -> Tree | None:
        self._count += 1
        if id(node) in self._open:
            self._say(node, "an alias that holds itself")
            return None
        self._length += len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if self._count > LARGEST or self._length > LONGEST:
            if not self._full:
                self._say(node, f"more than {LARGEST} values, or too long (aliases of aliases?)")
            self._full = True
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.ScalarNode):
                return self._scalar(node)
            if isinstance(node, yaml.SequenceNode):
                return self._sequence(node)
            return self._mapping(node)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: yaml.ScalarNode) -> Tree | None:
        make = _SCALARS.get(node.tag.removeprefix(PREFIX))
        if make is None:
            self._say(node, f"the tag {node.tag} is not known here")
            return None
        try:
            value = make(node.value)
        except ValueError:
            self._say(node, f"{node.value!r} is not {node.tag.removeprefix(PREFIX)}")
            return None
        return Tree(_place(node.start_mark), value, str(node.value), plain=node.style is None)

    def _sequence(self, node: yaml.SequenceNode) -> Tree:
        tree = Tree(_place(node.start_mark), [])
        children = [self.tree(child) for child in node.value]
        tree.value = [child for child in children if child is not None]
        tree.lost = {number for number, child in enumerate(children) if child is None}
        return tree

    def _mapping(self, node: yaml.Node) -> Tree:
        tree = Tree(_place(node.start_mark), {})
        merged: list[Tree] = []
        for key, value in node.value:
            if key.tag == PREFIX + "merge":
                merged += self._sources(value)
            elif self._good_key(tree, key):
                self._put(tree, key, value)
        for source in merged:
            self._merge(tree, source)
        return tree

    def _good_key(self, tree: Tree, key: yaml.Node) -> bool:
        # YAML 1.1 takes ``on`` for a boolean; as a key it is the word
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (PREFIX + "str", PREFIX + "bool"):
            shown = f" {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
            self._say(key, f"the key{shown} must be text; put it in quotes")
            return False
        if key.value in tree.keys:
            self._say(
                key, f"the key '{key.value}' is there twice (line {tree.keys[key.value].line})"
            )
            return False
        return True

    def _put(self, tree: Tree, key: yaml.Node, value: yaml.Node) -> None:
        name = str(key.value)
        tree.keys[name] = _place(key.start_mark)
        child = self.tree(value)
        if child is None:
            tree.lost.add(name)
        elif isinstance(tree.value, dict):
            tree.value[name] = child

    def _sources(self, value: yaml.Node) -> list[Tree]:
        """The mappings that ``<<`` names, the ones that win first."""
        nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
        found = []
        for node in nodes:
            tree = self.tree(node) if isinstance(node, yaml.MappingNode) else None
            if tree is None:
                self._say(node, "`<<` takes a mapping, or a list of them")
            else:
                found.append(tree)
        return found

    @staticmethod
    def _merge(tree: Tree, source: Tree) -> None:
        if isinstance(tree.value, dict) and isinstance(source.value, dict):
            for key, child in source.value.items():
                tree.value.setdefault(key, child)
                tree.keys.setdefault(key, source.keys.get(key, child.place))

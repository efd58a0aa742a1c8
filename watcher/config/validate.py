"""From the tree to the checked table of keys: variables filled in, every fault at its place.

Imports pydantic, ``positions``, ``values``, ``model``. Invariant: a faulty value is told once and
taken out, so that what is right can still be checked further.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from watcher.config import model, values
from watcher.config.positions import Path, Place, Problem, Tree, scalar

_WORDS = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "list_type": "must be a list",
    "missing": "is missing",
}


_ROOTS = frozenset({"input", "output"})
_STUB_RULE = {"match": "*", "process": "pass"}
_STUBS: dict[str | int, Any] = {
    "match": "*",
    "input": "missing",
    "output": "missing",
    "rules": [_STUB_RULE],
    "folders": [{"input": "missing", "output": "missing", "rules": [_STUB_RULE]}],
}


def fill(tree: Tree, environ: Mapping[str, str], *, params: bool = False) -> list[Problem]:
    """Fill in the environment's variables in place; keys without a value are faults.

    Below ``params`` a bare ``${NAME}`` is read as the file would read its value, so that
    ``width: ${WIDTH:-512}`` is a number; elsewhere the key's own type decides.
    """
    problems: list[Problem] = []
    for step, child in _children(tree):
        fault = None
        if isinstance(child.value, dict | list):
            problems += fill(child, environ, params=params or step == "params")
        elif isinstance(child.value, str):
            fault = _fill_one(child, environ, params=params)
        elif child.value is None and not params:
            fault = f"{_called(step)} has no value"
        if fault:
            problems.append(Problem(child.place, fault))
            take_out(tree, (step,))
    return problems


def _children(tree: Tree) -> list[tuple[str | int, Tree]]:
    if isinstance(tree.value, dict):
        return list(tree.value.items())
    if isinstance(tree.value, list):
        return list(reversed(list(enumerate(tree.value))))  # taking out keeps the rest in place
    return []


def _fill_one(tree: Tree, environ: Mapping[str, str], *, params: bool) -> str:
    try:
        text = values.expanded(tree.raw, environ)
        bare = params and tree.plain and values.one_variable(tree.raw)
        tree.value = scalar(text) if bare else text
    except ValueError as error:
        return str(error)
    return ""


def take_out(tree: Tree, path: Path) -> None:
    """Remove what stands at a path (or nearest above it), and mark its holder."""
    way = tree.follow(path)
    if len(way) == 1:
        return
    holder, child = way[-2], way[-1]
    children = dict(_children(holder))
    holder.lost |= {step for step, one in children.items() if one is child}
    if isinstance(holder.value, dict):
        holder.value = {key: one for key, one in holder.value.items() if one is not child}
    elif isinstance(holder.value, list):
        holder.value = [one for one in holder.value if one is not child]


def table(tree: Tree) -> tuple[model.FileKeys | None, list[Problem]]:
    """The table of keys, without what is faulty, and the faults; none when nothing is left."""
    problems: list[Problem] = []
    while True:
        try:
            return model.FileKeys.model_validate(tree.bare()), problems
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            if not _prune(tree, found, problems):
                return None, problems


def _prune(tree: Tree, found: list[Any], problems: list[Problem]) -> bool:
    """Tell each fault and take it out; False when the whole file cannot be used."""
    # what a typing error in a key leaves missing is told once, by the typing error
    meant = {(*e["loc"][:-1], _near(e["loc"])) for e in found if e["type"] == "extra_forbidden"}
    problems += [
        Problem(_place(tree, fault), _message(fault))
        for fault in found
        if not (fault["loc"] in meant or _follows(tree, fault))
    ]
    # later entries of a list first, so that the numbers of the others hold
    for fault in found:
        if _can_be_planted(fault):
            _plant(tree, fault["loc"])
    rest = (fault for fault in found if not _can_be_planted(fault))
    doomed = sorted({_doomed(fault) for fault in rest}, key=_order, reverse=True)
    for path in doomed:
        take_out(tree, path)
    return () not in doomed


def _can_be_planted(fault: Any) -> bool:
    return fault["type"] in {"missing", "too_short"} and fault["loc"][-1] in _STUBS


def _plant(tree: Tree, path: Path) -> None:
    """Put something harmless where a needed value is missing, so that its neighbours are checked
    as well. ``lost`` tells that it is none of the file's."""
    holder = tree.follow(path[:-1])[-1]
    step = str(path[-1])
    if isinstance(holder.value, dict):
        holder.value[step] = _stub(_STUBS[step], holder.place)
        if step in _ROOTS:
            holder.lost.add(step)


def _stub(value: Any, place: Place) -> Tree:
    if isinstance(value, dict):
        children = {key: _stub(one, place) for key, one in value.items()}
        return Tree(place, children, lost=set(_ROOTS & children.keys()))
    if isinstance(value, list):
        return Tree(place, [_stub(one, place) for one in value])
    return Tree(place, value, str(value))


def _order(path: Path) -> list[str]:
    return [str(step).zfill(9) for step in path]


def _follows(tree: Tree, fault: Any) -> bool:
    """Whether a lack only follows from a fault that was told before."""
    if fault["type"] == "missing":
        return bool(tree.follow(fault["loc"][:-1])[-1].lost)
    return fault["type"] == "too_short" and bool(tree.follow(fault["loc"])[-1].lost)


def _doomed(fault: Any) -> Path:
    """What is taken out for a fault: the value, or the mapping that lacks one."""
    path: Path = fault["loc"]
    return path[:-1] if fault["type"] in {"missing", "too_short"} else path


def _place(tree: Tree, fault: Any) -> Place:
    path: Path = fault["loc"]
    way = tree.follow(path[:-1])
    if fault["type"] == "extra_forbidden":
        return way[-1].keys.get(str(path[-1]), way[-1].place)
    return tree.at(path)


def _message(fault: Any) -> str:
    path: Path = fault["loc"]
    kind = fault["type"]
    if kind == "extra_forbidden":
        return _unknown(path)
    if kind == "value_error":
        words = str(fault["ctx"]["error"])
    elif kind == "literal_error":
        words = f"must be {fault['ctx']['expected'].replace(chr(39), '')}"
    elif kind == "too_short":
        words = "needs at least one entry"
    elif kind == "greater_than_equal":
        words = f"must be {fault['ctx']['ge']} or more"
    elif kind == "less_than_equal":
        words = f"must be {fault['ctx']['le']} or less"
    else:
        words = _WORDS.get(kind, fault["msg"])
    colon = ":" if " is not a " in words or words[:1] == "'" else ""
    return f"{_called(path[-1]) if path else 'the file'}{colon} {words}"


def _called(step: str | int) -> str:
    return f"entry {step + 1}" if isinstance(step, int) else str(step)


def _unknown(path: Path) -> str:
    key = str(path[-1])
    near = _near(path)
    hint = f"did you mean '{near}'?" if near else f"known here: {', '.join(_known(path))}"
    return f"unknown key '{key}'; {hint}"


def _near(path: Path) -> str:
    known = _known(path)
    return next(iter(difflib.get_close_matches(str(path[-1]), known, n=1)), "")


def _known(path: Path) -> list[str]:
    """The keys of the mapping that a path's last step stands in."""
    keys: type[BaseModel] = model.FileKeys
    steps: dict[str, type[BaseModel]] = {
        "folders": model.FolderKeys,
        "rules": model.RuleKeys,
        "jobs": model.JobKeys,
        "then": model.ChainKeys,
        "match": model.MatchKeys,
        "not": model.MatchKeys,
        "scheduler": model.SchedulerKeys,
        "schedulers": model.SchedulerKeys,
        "http": model.HttpKeys,
        "log": model.LogKeys,
        "notify": model.NotifyKeys,
        "when": model.WhenKeys,
        "bundle": model.BundleKeys,
        "defaults": model.DefaultsKeys,
    }
    for step in path[:-1]:
        keys = steps.get(str(step), keys)
    return [field.alias or name for name, field in keys.model_fields.items()]

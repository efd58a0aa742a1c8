"""``defaults:`` and ``x-...:``: what folders and rules share is written once.

Imports ``positions``. Invariant: a key that a folder or rule has itself always wins, whole; what is
shared keeps its own place, so that a fault in it is told there.
"""

from __future__ import annotations

from collections.abc import Iterator

from watcher.config.positions import Path, Problem, Tree

OWN = {
    "folder": frozenset({"name", "input", "output", "rules"}),
    "rule": frozenset({"name", "match", "process", "script", "command", "jobs", "then"}),
}
_OF_ONE_JOB = frozenset({"params", "entrypoint"})


def spread(tree: Tree) -> list[Problem]:
    """Give every folder and rule what ``defaults`` holds for it, and drop ``x-`` keys; in place."""
    if isinstance(tree.value, dict):
        tree.value = {key: one for key, one in tree.value.items() if not key.startswith("x-")}
    for rule in _rules(tree):
        _main_is_match(rule)
    shared = tree.child("defaults")
    if shared is None:
        return []
    problems = []
    for kind, targets in (("folder", list(_folders(tree))), ("rule", list(_rules(tree)))):
        source = shared.child(kind)
        if source is None or not isinstance(source.value, dict):
            continue
        for key in OWN[kind] & source.value.keys():
            text = f"'{key}' is each {kind}'s own and has no default"
            problems.append(Problem(source.keys.get(key, source.place), text))
        for target in targets:
            _give(target, source, OWN[kind])
    return problems


def _main_is_match(rule: Tree) -> None:
    """A rule whose bundle names its main file needs no ``match`` beside it."""
    bundle = rule.child("bundle")
    main = bundle.child("main") if bundle is not None else None
    if main is not None and isinstance(rule.value, dict) and "match" not in rule.value:
        rule.value["match"] = main
        rule.keys["match"] = main.place


def _give(target: Tree, source: Tree, own: frozenset[str]) -> None:
    if not isinstance(target.value, dict) or not isinstance(source.value, dict):
        return
    unfit = own | (_OF_ONE_JOB if "jobs" in target.value else frozenset())
    for key, child in source.value.items():
        if key not in unfit and key not in target.value:
            target.value[key] = child
            target.keys[key] = source.keys.get(key, child.place)


def _folders(tree: Tree) -> Iterator[Tree]:
    yield from _entries(tree, ("folders",))


def _rules(tree: Tree) -> Iterator[Tree]:
    for folder in _folders(tree):
        yield from _entries(folder, ("rules",))


def _entries(tree: Tree, path: Path) -> list[Tree]:
    holder = tree.child(path[0])
    return list(holder.value) if holder is not None and isinstance(holder.value, list) else []

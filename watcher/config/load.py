"""Finding and loading the configuration file: the whole way from a path to settings.

Imports the rest of ``config``, ``core.rules`` and ``errors``. Invariant: settings are only returned
for a file without a single problem; otherwise all of them are raised at once, in order of place.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from watcher.config import build, checks, conditions, defaults, positions, trees, validate
from watcher.config.positions import Place, Problem, Tree
from watcher.core.model import printable
from watcher.core.rules import takes_all
from watcher.core.settings import Settings
from watcher.errors import ConfigError, UsageError

SYSTEM = Path("/etc/watcher/watcher.yaml")
BUILT_IN = Path(__file__).parent.parent / "embedded" / "processes"
_PASSWORD = re.compile(r"\w+://[^/@:]*:(?!\$\{)[^/@]+@")  # user:password@, not from a variable
LARGEST = 4 << 20  # bytes; nobody writes more by hand


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and ``warnings``: printed lines on what works and is hardly meant."""

    settings: Settings
    warnings: tuple[str, ...] = ()


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration file: ``-c``, ``$WATCHER_CONFIG``, ``./watcher.yaml``, the system's.

    Raises:
        UsageError: there is none.
    """
    if explicit is not None:
        return explicit
    if environ.get("WATCHER_CONFIG"):
        return Path(environ["WATCHER_CONFIG"])
    for path in (Path("watcher.yaml"), SYSTEM):
        if path.exists():
            return path
    raise UsageError(
        f"no configuration: neither ./watcher.yaml nor {SYSTEM} is there",
        fix="give one with -c or $WATCHER_CONFIG, or make one with `watcher init`",
    )


def load(
    path: Path, environ: Mapping[str, str], *, built_in: Path = BUILT_IN, usable: bool = True
) -> Loaded:
    """Read and check a configuration file.

    ``built_in`` is the folder of the embedded scheduler's own processes, whose names are checked.
    ``usable`` False leaves out whether the folders can be used now: who only asks the ledger wants
    an answer most when they cannot.

    Raises:
        ConfigError: with every problem as ``file:line:column: message``.
    """
    tree, problems = positions.read(_text(path))
    checked = _checked(tree, path, environ, built_in, problems) if tree else None
    if checked is not None:
        trees.check_trees(checked, usable=usable)
        made = build.settings(checked, path.absolute())
        problems += checked.problems
        if not problems:
            return Loaded(made, _lines(path, [*checked.warnings, *_unreached(checked, made)]))
    raise ConfigError(_lines(path, problems), where=str(path))


def state_of(path: Path) -> Path:
    """The state folder that a configuration names although it is not valid, or the default one."""
    try:
        tree, _ = positions.read(_text(path))
    except ConfigError:
        tree = None
    found = tree.child("state") if tree is not None else None
    text = found.raw if found is not None and found.raw and "$" not in found.raw else "./var"
    return Path(os.path.normpath(path.absolute().parent / text))


def _checked(
    tree: Tree, path: Path, environ: Mapping[str, str], built_in: Path, problems: list[Problem]
) -> checks.Checking | None:
    """Run every check that the file's state allows; its problems are in the result."""
    literal = _literal_tokens(tree)
    problems += defaults.spread(tree)
    problems += validate.fill(tree, environ)
    keys, faults = validate.table(tree)
    problems += faults
    if keys is None:
        return None

    def located(text: str) -> Path:
        if (text == "~" or text.startswith("~/")) and environ.get("HOME"):
            text = environ["HOME"] + text[1:]
        elif text.startswith("~"):
            text = os.path.expanduser(text)  # noqa: PTH111  (one that is unknown stays as it is)
        return Path(os.path.normpath(path.absolute().parent / text))

    check = checks.Checking(keys, tree, located, built_in)
    checks.general(check)
    checks.naming(check)
    conditions.check_rules(check)
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        check.warnings += [
            Problem(place, "a token in a file that others can read; use token_file or ${VAR}")
            for place in literal
        ]
    return check


def _text(path: Path) -> str:
    """The file's text. Raises ``ConfigError`` in one line for what is no readable text."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) <= LARGEST:
            return content.decode("utf-8-sig")
        fault = f"is larger than {LARGEST >> 20} MiB"
    except IsADirectoryError:
        fault = "is a folder, not a configuration file"
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            (f"{path}:{line}:1: not UTF-8 text",),
            where=str(path),
        ) from None
    raise ConfigError((f"{path}:1:1: {fault}",), where=str(path))


def _literal_tokens(tree: Tree) -> list[Place]:
    """Where a token, a webhook's secret or the ledger's password is written out in the file."""
    farms, hooks, ledger = (tree.child(name) for name in ("schedulers", "notify", "ledger"))
    holders = [(tree.child("scheduler"), "token")]
    if farms is not None and isinstance(farms.value, dict):
        holders += [(farm, "token") for farm in farms.value.values()]
    if hooks is not None and isinstance(hooks.value, list):
        holders += [(hook, "secret") for hook in hooks.value]
    held = [holder.child(key) for holder, key in holders if holder]
    found = [one.place for one in held if one is not None and one.raw and "${" not in one.raw]
    if ledger is not None and ledger.raw and _PASSWORD.match(ledger.raw):
        found.append(ledger.place)
    return found


def _unreached(check: checks.Checking, made: Settings) -> list[Problem]:
    """Rules that stand after one that takes every file."""
    found = []
    for number, folder in enumerate(made.folders):
        taken = [
            index
            for index, rule in enumerate(folder.rules)
            if takes_all(rule.match) and rule.bundle is None
        ]
        for index in range(taken[0] + 1, len(folder.rules)) if taken else ():
            place = check.tree.at(("folders", number, "rules", index))
            first = folder.rules[taken[0]].name
            found.append(
                Problem(place, f"this rule gets nothing: {first!r} before it takes all files")
            )
    return found


def _lines(path: Path, problems: list[Problem]) -> tuple[str, ...]:
    """Problems as printed lines, in order of place, each once."""
    return tuple(
        printable(f"{path}:{one.place.line}:{one.place.column}: {one.message}")
        for one in sorted(set(problems))
    )

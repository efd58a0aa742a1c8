"""Assets by pattern: one folder, one image sequence, or a main file with what belongs to it.

Imports ``frames``, ``globs``, ``rules``, ``settings``. Invariant: a pure function of the rules and
the names that lie there, so that the intake, ``plan`` and the templates say the same of a file.

- ``folder``: every file below one folder at the top of the input is one unit.
- ``sequence``: files whose names differ in the frame number alone are one unit.
- ``pattern``: a file that matches ``main`` takes along what matches ``with``, beside and below it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from watcher.core import frames, globs
from watcher.core.rules import NoRule, Seen, first, refusal
from watcher.core.settings import Folder, Rule

# The likeliest main file of a folder or archive: a scene before its parts, a rich format before a
# plain one.
MAINS = tuple(
    """
    .gltf .glb .catproduct .sldasm .iam .asm .stp .step .igs .iges .fbx .3dxml .dae .3mf .obj .x3d
    .3ds .ifc .blend .ply .off .stl .xyz .jt .prt .sldprt .catpart .cgr .ipt .model .dwg .dxf .rvt
    .skp .usd .usda .usdc .usdz .x_t .x_b .sat .e57 .pts .ptx .pxz .vrml .wrl .abc .las .laz .pvz
    """.split()  # noqa: SIM905  (reads better)
)


@dataclass(frozen=True, slots=True)
class Unit:
    """What a file belongs to. ``anchor`` names it: the main file's path, the folder, or the
    sequence with ``#`` for its number; ``rule`` is the one that takes it.

    ``lone``: a file that belongs to a main file which is still to come.
    """

    rule: Rule
    anchor: str
    lone: bool = False

    @property
    def kind(self) -> str:
        """folder, sequence, pattern, or file."""
        return kind(self.rule)


def kind(rule: Rule) -> str:
    """What one unit of a rule is: a folder, a sequence, a file with others by pattern, a file."""
    return rule.bundle.kind if rule.bundle is not None else "file"


def gathers(folder: Folder) -> bool:
    """Whether a rule of this folder makes a unit of each folder at its top."""
    return any(kind(rule) == "folder" for rule in folder.rules)


def top(path: str) -> str:
    """The folder at the top of the input that a path lies in; empty for files at the top."""
    head, slash, _ = path.partition("/")
    return head if slash else ""


def unit(folder: Folder, path: str, seen: Seen | int) -> Unit | NoRule:
    """What a file belongs to, going by its own name; members of a folder's unit are told by
    ``shares``, which knows all that lies in it."""
    reasons: list[tuple[str, str]] = []
    for rule in folder.rules:
        reason = refused(rule, path, seen)
        if reason is None:
            return Unit(rule, anchor(rule, path))
        if is_member(rule, path):
            return Unit(rule, path, lone=True)
        reasons.append((rule.name, reason))
    return NoRule(tuple(reasons))


def unit_rule(folder: Folder, path: str, seen: Seen | int) -> Rule | NoRule:
    """The rule of ``unit``."""
    found = unit(folder, path, seen)
    return found.rule if isinstance(found, Unit) else found


def taker(folder: Folder, path: str, seen: Seen | int) -> Unit | NoRule:
    """``unit``, but what lies in a folder at the top belongs to that folder as soon as no rule
    before the one that gathers folders takes it; whether that one does, ``shares`` tells."""
    found = unit(folder, path, seen)
    gatherer = next((one for one in folder.rules if kind(one) == "folder"), None)
    if gatherer is None or not top(path):
        return found
    order = folder.rules.index
    if isinstance(found, Unit) and order(found.rule) < order(gatherer):
        return found
    return Unit(gatherer, top(path))


def wanted(folder: Folder, path: str, size: int) -> bool:
    """Whether a file of this name may matter to any rule."""
    if gathers(folder) and top(path):
        return True
    return isinstance(unit(folder, path, size), Unit)


def refused(rule: Rule, path: str, seen: Seen | int) -> str | None:
    """Why a rule does not take a file as a main file of one of its units; None if it does."""
    bundle = rule.bundle
    if bundle is None:
        return refusal(rule.match, path, seen)
    if bundle.kind == "folder":
        if not top(path):
            return "bundle: folder takes folders, and this file lies in none"
        of_folder = refusal(rule.match, top(path), seen)
        return of_folder and refusal(rule.match, path, seen)
    if bundle.kind == "sequence" and frames.number(path) is None:
        return "bundle: sequence takes numbered files, and this name has no number"
    if bundle.main and not any(globs.matches(one, path) for one in bundle.main):
        return f"is not the main file {' or '.join(map(repr, bundle.main))} of the bundle"
    return refusal(rule.match, path, seen)


def is_member(rule: Rule, path: str) -> bool:
    """Whether a file belongs to main files of a rule by its name."""
    members = rule.bundle.members if rule.bundle is not None else ()
    return any(globs.matches(one, path) for one in members)


def matches(pattern: str, path: str) -> bool:
    """Whether a path matches a pattern of a bundle."""
    return globs.matches(pattern, path)


def lone(rule: Rule, path: str) -> bool:
    """Whether a file that a rule takes is a member, and not a main file."""
    mains = rule.bundle.main if rule.bundle is not None else ()
    return is_member(rule, path) and not any(globs.matches(one, path) for one in mains)


def anchor(rule: Rule, path: str) -> str:
    """The name of the unit of a rule that a file belongs to."""
    if kind(rule) == "folder":
        return top(path)
    return frames.anchor(path) if kind(rule) == "sequence" else path


def shares(folder: Folder, files: Mapping[str, Seen]) -> dict[str, Rule | NoRule]:
    """Who takes each file of one folder at the top: rules in order, each file to the first; a rule
    with ``bundle: folder`` takes all that is left, if it takes the folder or any file in it."""
    taken: dict[str, Rule | NoRule] = {}
    left = dict(files)
    for rule in folder.rules:
        fits = {path for path, seen in left.items() if refused(rule, path, seen) is None}
        if kind(rule) == "folder" and fits:
            fits = set(left)
        fits |= {path for path in left if is_member(rule, path)}
        taken |= dict.fromkeys(fits, rule)
        left = {path: seen for path, seen in left.items() if path not in fits}
    return taken | {path: _none(folder, path, seen) for path, seen in left.items()}


def _none(folder: Folder, path: str, seen: Seen) -> NoRule:
    told = ((rule.name, refused(rule, path, seen) or "") for rule in folder.rules)
    return NoRule(tuple(told))


def after(folder: Folder, rule: Rule, path: str, seen: Seen | int) -> Rule | NoRule:
    """Who takes a file that turned out not to belong to a unit of ``rule``."""
    rules = folder.rules[folder.rules.index(rule) + 1 :]
    return first((one for one in rules if one.bundle is None), path, seen)


def main_of(rule: Rule, paths: Iterable[str]) -> str:
    """The main file among those of a folder's unit: by ``root_file`` or ``main``, else by the
    rule's patterns, else the likeliest by its extension; the shallowest first."""
    left = sorted(paths, key=lambda path: (path.count("/"), path))
    bundle = rule.bundle
    patterns = (rule.root_file,) if rule.root_file else bundle.main if bundle is not None else ()
    for wanted in (patterns, rule.match.globs):
        fits = [path for path in left if any(_fits(one, path) for one in wanted)]
        if fits and (wanted is patterns or len(fits) < len(left)):
            return fits[0]
    return min(left, key=lambda path: (likely(path) or len(MAINS) + 1, path.count("/"), path))


def lacks_main(rule: Rule, paths: Iterable[str]) -> str:
    """The pattern that no file of a folder's unit matches; empty when the main file is there."""
    wanted = rule.root_file or (rule.bundle.main[0] if rule.bundle and rule.bundle.main else "")
    more = rule.bundle.main if rule.bundle and not rule.root_file else ()
    patterns = (wanted, *more) if wanted else ()
    return "" if not patterns or any(_fits(p, q) for p in patterns for q in paths) else wanted


def _fits(pattern: str, path: str) -> bool:
    """A pattern with ``/`` speaks of the path inside the folder."""
    inside = path.partition("/")[2] or path
    return globs.matches(pattern, inside)


def likely(path: str) -> int:
    """1 for the likeliest extension of a main file, 0 for an unknown one."""
    suffix = posixpath.splitext(path)[1].lower()
    return MAINS.index(suffix) + 1 if suffix in MAINS else 0


# ---------------------------------------------------------------- of an accepted file
def base(rule: Rule, path: str) -> str:
    """The folder that the names of a unit's files are relative to, given its main file."""
    return top(path) if kind(rule) == "folder" else posixpath.dirname(path)


def within(rule: Rule, main: str, path: str) -> str:
    """A file's name as the job gets it: relative to the unit."""
    return posixpath.relpath(path, base(rule, main) or ".")


def title(rule: Rule, path: str) -> str:
    """What templates speak of as the source: the folder, the sequence without its number, or the
    file itself."""
    if kind(rule) == "folder":
        return top(path)
    return frames.title(path) if kind(rule) == "sequence" else path

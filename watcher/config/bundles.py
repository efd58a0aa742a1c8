"""``bundle:`` as the file writes it, and as the core reads it: ``####`` becomes digits.

Imports ``core.settings`` and the table. Invariant: a frame number has as many digits as there are
``#``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from watcher.config.model import RuleKeys
from watcher.core.settings import Bundle, Match

_FRAME = re.compile(r"#+")


def bundle_of(keys: RuleKeys) -> Bundle | None:
    """What one unit of a rule is; a main pattern with a frame number makes a sequence."""
    if keys.bundle is None:
        return None
    main = tuple(keys.bundle.main or ())
    counted = any(_FRAME.search(pattern) for pattern in main)
    return Bundle(
        kind=keys.bundle.kind or ("sequence" if counted else "pattern"),
        main=tuple(map(_digits, main)),
        members=tuple(keys.bundle.with_ or ()),
        first=keys.bundle.first,
        last=keys.bundle.last,
    )


def _digits(pattern: str) -> str:
    return _FRAME.sub(lambda found: "[0-9]" * len(found[0]), pattern)


def of_frames(match: Match, bundle: Bundle | None) -> Match:
    """The conditions of a sequence's rule may say ``####`` as well."""
    if bundle is None or bundle.kind != "sequence":
        return match
    digits = tuple(map(_digits, match.globs))
    return replace(match, globs=digits, paths=tuple(map(_digits, match.paths)))

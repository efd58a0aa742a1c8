"""MTL material files (Wavefront, and the PBR additions that exporters agree on).

Imports ``companions`` and ``pixels``; trimesh on first use. Invariant: every material keeps its
name; a picture that cannot be had leaves the plain colour.
"""

from __future__ import annotations

import math
import re
from typing import Any

from watcher.embedded.formats import pixels
from watcher.embedded.formats.companions import Companions

_MAP = re.compile(r"map_\w+|bump|disp|norm|refl", re.IGNORECASE)
_OPTION = re.compile(r"^-\w+(?:\s+(?:[-+.\d][-+.\deE]*|on|off|[rgbmlz]))+\s+")
_USUAL = (0.8, 0.8, 0.8)
_OPAQUE = 0.999


def read(text: bytes, companions: Companions) -> dict[str, Any]:
    """The materials of an MTL file by name; textures are looked up beside the model."""
    return {name: _material(name, told, companions) for name, told in _blocks(text).items()}


def _blocks(text: bytes) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").replace("\r", "\n").split("\n"):
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        if key.lower() == "newmtl":
            current = found.setdefault(rest.strip(), {})
        elif rest and not key.startswith("#"):
            current[key.lower()] = rest.strip()
    return found


def after_options(statement: str) -> str:
    """The file name of a texture statement, behind options such as ``-bm 1.0`` or ``-s 1 1 1``."""
    while match := _OPTION.match(statement):
        statement = statement[match.end() :]
    return statement


def _material(name: str, told: dict[str, str], companions: Companions) -> Any:
    from trimesh.visual.material import PBRMaterial  # noqa: PLC0415 - with the first job

    pictures = {
        key: companions.read(after_options(value), "the texture")
        for key, value in told.items()
        if _MAP.fullmatch(key)
    }
    image = pixels.picture(pictures.get("map_kd"), companions.warn)
    # writers disagree on which end of these is clear, but nobody means to be invisible
    opaque = _number(told.get("d"), 1 - _number(told.get("tr"), 0.0)) or 1.0
    image = pixels.with_alpha(image, pixels.picture(pictures.get("map_d"), companions.warn))
    # a factor would tint the picture, and exporters leave whatever grey they like beside one
    colour = (1.0, 1.0, 1.0) if image is not None else _colour(told.get("kd"))
    make: Any = PBRMaterial
    return make(
        name=name,
        baseColorFactor=[*colour, opaque],
        baseColorTexture=image,
        metallicFactor=_number(told.get("pm"), 0.0),
        roughnessFactor=_number(told.get("pr"), _roughness(told)),
        alphaMode="BLEND" if opaque < _OPAQUE or pixels.has_alpha(image) else None,
    )


def _roughness(told: dict[str, str]) -> float:
    """From Phong's exponent: the width of its lobe as Beckmann's (Walter et al. 2007)."""
    return math.sqrt(2 / (2 + _number(told.get("ns"), 8.0, most=1000.0)))


def _number(word: str | None, usual: float, most: float = 1.0) -> float:
    try:
        value = float((word or "").split()[-1])
    except (ValueError, IndexError):
        return usual
    return min(max(value, 0.0), most) if math.isfinite(value) else usual


def _colour(words: str | None) -> tuple[float, ...]:
    try:
        found = tuple(min(max(float(word), 0.0), 1.0) for word in (words or "").split()[:3])
    except ValueError:
        return _USUAL
    return found if len(found) == len(_USUAL) else (found * 3 or _USUAL)

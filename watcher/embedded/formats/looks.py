"""Materials as plain numbers and picture files, for formats that are written by hand.

Imports ``pixels``; PIL on first use. Invariant: the same material object
gives the same name, the same picture the same file, and no two share one.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from watcher.embedded.formats import pixels

_BYTE = 255.0
_MAPS = (
    "baseColorTexture",
    "normalTexture",
    "emissiveTexture",
    "occlusionTexture",
    "metallicRoughnessTexture",
)


@dataclass(frozen=True)
class Look:
    """One material.

    Attributes:
        name: unique in the file, made of letters that every reader takes.
        colour: red, green, blue, alpha, 0 to 1.
        emission: red, green, blue, 0 to 1.
        metallic: 0 to 1.
        roughness: 0 to 1.
        maps: file names of pictures by use: ``colour``, ``normal``, ``emission``.
    """

    name: str
    colour: tuple[float, ...]
    emission: tuple[float, ...]
    metallic: float
    roughness: float
    maps: dict[str, str]

    @property
    def shininess(self) -> float:
        """Phong's exponent for the roughness (Walter et al. 2007), 0 to 1000."""
        return min(max(2 / max(self.roughness, 0.04) ** 2 - 2, 0.0), 1000.0)


@dataclass
class Looks:
    """The materials and pictures of one output; ``stem`` begins the names of the pictures."""

    stem: str
    files: dict[str, bytes] = field(default_factory=dict)
    made: dict[int, Look] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    _pictures: dict[int, str] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)

    def of(self, mesh: Any) -> Look | None:
        """The look of a trimesh mesh; None when it has no material."""
        material = getattr(getattr(mesh, "visual", None), "material", None)
        if material is None:
            return None
        if id(material) not in self.made:
            self._kept.append(material)  # or another could get its id
            plain = material.to_pbr() if hasattr(material, "to_pbr") else material
            self._kept.append(plain)
            self.made[id(material)] = self._look(plain, str(material.name or ""))
        return self.made[id(material)]

    def _look(self, material: Any, name: str) -> Look:
        given = material.baseColorFactor
        colour = (1.0, 1.0, 1.0, 1.0) if given is None else tuple(part / _BYTE for part in given)
        glow = material.emissiveFactor
        uses = {
            "colour": material.baseColorTexture,
            "normal": material.normalTexture,
            "emission": material.emissiveTexture,
        }
        label = self._unique(re.sub(r"[^\w.+-]+", "_", name) or "material")
        return Look(
            label,
            tuple(float(part) for part in colour),
            (0.0, 0.0, 0.0) if glow is None else tuple(float(part) for part in glow[:3]),
            _share(material.metallicFactor, 0.0),
            _share(material.roughnessFactor, 0.7),
            {use: self._picture(image, f"{label}_{use}") for use, image in uses.items() if image},
        )

    def _unique(self, name: str) -> str:
        found, number = name, 1
        while found in self._names:
            found, number = f"{name}_{number}", number + 1
        self._names.add(found)
        return found

    def _picture(self, image: Any, name: str) -> str:
        if id(image) in self._pictures:
            return self._pictures[id(image)]
        plain = image.mode in {"RGB", "L"}
        kind = "JPEG" if image.format == "JPEG" and plain else "PNG"
        file = f"{self.stem}_{name}.{kind.lower()}"
        stream = io.BytesIO()
        shown = image if plain or image.mode == "RGBA" else image.convert("RGBA")
        shown.save(stream, kind, **({"quality": 95} if kind == "JPEG" else {}))
        self.files[file] = stream.getvalue()
        self._pictures[id(image)] = file
        return file


def sound(material: Any, textured: bool, warn: Callable[[str], None]) -> Any:  # noqa: FBT001 - one fact of the mesh
    """The material as PBR, without pictures that cannot be decoded, or that have no coordinates."""
    plain = material.to_pbr() if hasattr(material, "to_pbr") else material
    plain.name = material.name
    for name in _MAPS:
        image = getattr(plain, name)
        if image is not None and not (textured and pixels.whole(image, warn)):
            setattr(plain, name, None)
    return plain


def _share(value: Any, usual: float) -> float:
    if value is None or not math.isfinite(float(value)):
        return usual
    return min(max(float(value), 0.0), 1.0)


def normals(mesh: Any) -> Any:
    """The normals that came with a mesh, n x 3; None when it brought none."""
    # asking for vertex_normals would make them up, and round every edge
    cached = mesh._cache.cache  # noqa: SLF001 - there is no public way to ask
    return mesh.vertex_normals if "vertex_normals" in cached else None


def coordinates(mesh: Any) -> Any:
    """Texture coordinates, one per vertex, or None."""
    uv = getattr(getattr(mesh, "visual", None), "uv", None)
    return uv[:, :2] if uv is not None and len(uv) == len(mesh.vertices) else None


def colours(mesh: Any) -> Any:
    """Colours per vertex as n x 4 bytes, or None; of meshes and clouds."""
    if hasattr(mesh, "faces"):
        return mesh.visual.vertex_colors if mesh.visual.kind == "vertex" else None
    found = getattr(mesh, "colors", None)
    return found if found is not None and len(found) == len(mesh.vertices) else None

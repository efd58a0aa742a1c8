"""Thumbnails by Mitsuba's path tracer, on the CPU, without any display.

Imports ``surfaces`` and ``views``; mitsuba and numpy on first use. Invariant: the studio is the
same for every model: a soft sky, and one sun over the camera's left shoulder.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from watcher.embedded.formats.surfaces import Surface
from watcher.embedded.formats.views import FIELD_OF_VIEW, View

_LAYERS = 6  # of clear surfaces that a ray may cross


@dataclass(frozen=True)
class Stage:
    """A model in the studio, for all of its views: once under the sun, once under the sky.

    Each light has a picture of its own: choosing between them at random is what makes noise. And
    each scene is made once: for a large model that takes longer than a picture.
    """

    sunny: Any
    cloudy: Any
    depth: int  # of clear surfaces, beyond what the light needs


def stage(surfaces: list[Surface]) -> Stage:
    """The model in Mitsuba's scenes.

    Raises:
        ImportError: Mitsuba, or the libatomic1 that it needs, is not installed.
    """
    mi = _mitsuba()
    shapes = {f"shape{index}": _shape(mi, surface) for index, surface in enumerate(surfaces)}
    clear = any(surface.holes or surface.opacity < 1 for surface in surfaces)
    return Stage(
        mi.load_dict({"type": "scene", "sun": _sun([0.0, 0.0, -1.0]), **shapes}),
        mi.load_dict({"type": "scene", "sky": _sky(mi), **shapes}),
        _LAYERS if clear else 0,
    )


def _mitsuba() -> Any:
    """Mitsuba, ready for use. 1.4 s and 200 MB: loaded only where pictures are made."""
    try:
        mi = importlib.import_module("mitsuba")
        mi.set_variant("scalar_rgb")
    except Exception as error:
        # without libatomic1 its own loading trips over a NameError
        raise ImportError(f"Mitsuba cannot be loaded: {error}") from error
    return mi


def render(model: Stage, camera: View, size: tuple[int, int], samples: int) -> Any:
    """One picture: height x width x 4 floats, linear colour, premultiplied alpha."""
    import mitsuba as mi  # noqa: PLC0415 - see stage
    import numpy as np  # noqa: PLC0415 - see stage

    few = max(samples // 4, 1)
    _turn_sun(mi, model, camera)
    sun = _draw(mi, model.sunny, _sensor(mi, camera, size, few), model.depth + 2)
    sky = _draw(
        mi, model.cloudy, _sensor(mi, camera, size, samples - samples // 4), model.depth + 3
    )
    return np.concatenate([sun[..., :3] + sky[..., :3], sky[..., 3:]], axis=2)


def _turn_sun(mi: Any, model: Stage, camera: View) -> None:
    values = mi.traverse(model.sunny)
    turned = mi.load_dict(_sun(_sunbeams(camera)))
    values["sun.to_world"] = mi.traverse(turned)["to_world"]
    values.update()


def _draw(mi: Any, scene: Any, sensor: dict[str, Any], depth: int) -> Any:
    import numpy as np  # noqa: PLC0415 - see stage

    path = mi.load_dict({"type": "path", "max_depth": depth, "hide_emitters": True})
    return np.array(mi.render(scene, sensor=mi.load_dict(sensor), integrator=path))


def _sensor(mi: Any, camera: View, size: tuple[int, int], samples: int) -> dict[str, Any]:
    return {
        "type": "perspective",
        "fov": FIELD_OF_VIEW,
        "fov_axis": "smaller",
        "near_clip": _distance(camera) * 1e-3,
        "far_clip": _distance(camera) * 1e3,
        "to_world": mi.ScalarTransform4f().look_at(
            origin=list(camera.origin), target=list(camera.target), up=list(camera.up)
        ),
        "sampler": {"type": "multijitter", "sample_count": samples},
        "film": {
            "type": "hdrfilm",
            "width": size[0],
            "height": size[1],
            "pixel_format": "rgba",
            "rfilter": {"type": "gaussian"},
        },
    }


def _distance(camera: View) -> float:
    pairs = zip(camera.origin, camera.target, strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs) ** 0.5)


def _sunbeams(camera: View) -> list[float]:
    """Where the light of the sun goes: it comes from the upper left."""
    import numpy as np  # noqa: PLC0415 - see stage

    away = np.array(camera.origin) - np.array(camera.target)
    away /= np.linalg.norm(away)
    right = np.cross(camera.up, away)
    right /= np.linalg.norm(right)
    above = np.cross(away, right)
    return list(-(0.55 * away - 0.8 * right + 0.9 * above))


def _sun(direction: list[float]) -> dict[str, Any]:
    return {
        "type": "directional",
        "direction": direction,
        "irradiance": {"type": "rgb", "value": [2.5, 2.4, 2.25]},
    }


def _sky(mi: Any) -> dict[str, Any]:
    """A sky, bright above and dim below."""
    import numpy as np  # noqa: PLC0415 - see stage

    rows = np.linspace(1.0, 0.0, 32)[:, None, None] ** 0.8
    sky = (0.25 + 0.75 * rows) * np.array([0.92, 0.97, 1.05]) * np.ones((1, 64, 1))
    return {
        "type": "envmap",
        "bitmap": mi.Bitmap(sky.astype("f4")),
        "scale": 0.55,
        "to_world": mi.ScalarTransform4f().rotate([1, 0, 0], 90),
    }


def _shape(mi: Any, surface: Surface) -> Any:
    import numpy as np  # noqa: PLC0415 - see stage

    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(
        _veiled(mi, surface, {"type": "twosided", "bsdf": _bsdf(mi, surface)})
    )
    coloured = np.ndim(surface.colour) == 2  # noqa: PLR2004 - one colour per vertex
    mesh = mi.Mesh(
        "model",
        len(surface.vertices),
        len(surface.faces),
        has_vertex_normals=surface.normals is not None,
        has_vertex_texcoords=surface.uv is not None,
        props=properties,
    )
    if coloured:
        mesh.add_attribute("vertex_color", 3, np.ravel(_linear(surface.colour)).astype("f4"))
    values = mi.traverse(mesh)
    values["vertex_positions"] = np.ravel(surface.vertices).astype("f4")
    values["faces"] = np.ravel(surface.faces).astype("u4")
    if surface.normals is not None:
        values["vertex_normals"] = np.ravel(surface.normals).astype("f4")
    if surface.uv is not None:
        # Mitsuba counts texture rows from the top, OBJ and trimesh from the bottom.
        values["vertex_texcoords"] = np.ravel(surface.uv * [1, -1] + [0, 1]).astype("f4")
    values.update()
    return mesh


def _veiled(mi: Any, surface: Surface, bsdf: dict[str, Any]) -> dict[str, Any]:
    """The surface with its opacity, or with the holes of its texture."""
    import numpy as np  # noqa: PLC0415 - see stage

    if surface.holes:
        alpha = np.asarray(surface.texture, dtype="f4")[..., 3:] / 255.0 * surface.opacity
        opacity: Any = {"type": "bitmap", "bitmap": mi.Bitmap(alpha), "raw": True}
    elif surface.opacity < 1:
        opacity = surface.opacity
    else:
        return bsdf
    return {"type": "mask", "opacity": opacity, "bsdf": bsdf}


def _linear(colour: Any) -> Any:
    """The sRGB transfer function (IEC 61966-2-1), undone."""
    import numpy as np  # noqa: PLC0415 - see stage

    value = np.asarray(colour, dtype=float)
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)  # noqa: PLR2004


def _bsdf(mi: Any, surface: Surface) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415 - see stage

    if surface.texture is not None:
        pixels = mi.Bitmap(np.array(surface.texture.convert("RGB"), dtype=np.uint8))
        base: Any = {"type": "bitmap", "bitmap": pixels, "raw": False}
    elif np.ndim(surface.colour) == 2:  # noqa: PLR2004 - one colour per vertex
        base = {"type": "mesh_attribute", "name": "vertex_color"}
    else:
        base = {"type": "rgb", "value": [float(part) for part in _linear(surface.colour)]}
    return {
        "type": "principled",
        "base_color": base,
        "metallic": min(surface.metallic, 0.6),
        "roughness": max(surface.roughness, 0.35),
        "specular": 0.5,
    }

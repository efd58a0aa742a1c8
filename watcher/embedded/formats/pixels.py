"""Pictures that models bring along, opened with care.

Imports the standard library; PIL on first use. Invariant: a picture that claims an absurd size or
cannot be decoded is left out with a warning, before its pixels are unpacked.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

_BROKEN = "a texture cannot be decoded and was left out"
MOST_PIXELS = 1 << 28  # 16384 x 16384


def picture(content: bytes | None, warn: Callable[[str], None]) -> Any:
    """The decoded picture, or None with a warning; None in silence when there is no content."""
    from PIL import Image  # noqa: PLC0415 - converters come with the first job

    if content is None:
        return None
    try:
        found = Image.open(io.BytesIO(content))
        if found.width * found.height > MOST_PIXELS:
            warn(f"a texture of {found.width} x {found.height} pixels is too big and was left out")
            return None
    except Exception:  # noqa: BLE001 - PIL's readers raise what they like on damaged pictures
        warn(_BROKEN)
        return None
    return found if whole(found, warn) else None


def whole(image: Any, warn: Callable[[str], None]) -> bool:
    """Whether an opened picture can be decoded; else a warning."""
    try:
        image.load()
    except Exception:  # noqa: BLE001 - PIL's decoders raise what they like on damaged pictures
        warn(_BROKEN)
        return False
    return True


def has_alpha(image: Any) -> bool:
    """Whether any pixel lets light through."""
    if image is None or ("A" not in image.getbands() and "transparency" not in image.info):
        return False
    return bool(image.convert("RGBA").getchannel("A").getextrema()[0] < 255)  # noqa: PLR2004 - opaque


def with_alpha(image: Any, mask: Any) -> Any:
    """The picture with ``mask`` (its own alpha channel, or its brightness) as transparency."""
    if image is None or mask is None:
        return image
    band = mask.getchannel("A") if has_alpha(mask) else mask.convert("L")
    joined = image.convert("RGB")
    joined.putalpha(band.resize(joined.size))
    return joined

"""What files of a kind begin with: the conditions on content.

Imports the standard library only. Invariant: 512 bytes decide; nothing is parsed.

Sources: the formats' own specifications; the offsets are those of ``file(1)``.
"""

from __future__ import annotations

HEAD = 512  # bytes that a condition may look at
KINDS: dict[str, tuple[tuple[int, bytes], ...]] = {
    "zip": ((0, b"PK\x03\x04"), (0, b"PK\x05\x06")),
    "gzip": ((0, b"\x1f\x8b"),),
    "7z": ((0, b"7z\xbc\xaf\x27\x1c"),),
    "rar": ((0, b"Rar!\x1a\x07"),),
    "tar": ((257, b"ustar"),),
    "png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "jpeg": ((0, b"\xff\xd8\xff"),),
    "gif": ((0, b"GIF8"),),
    "tiff": ((0, b"II*\0"), (0, b"MM\0*")),
    "exr": ((0, b"v/1\x01"),),
    "hdr": ((0, b"#?RADIANCE"), (0, b"#?RGBE")),
    "dpx": ((0, b"SDPX"), (0, b"XPDS")),
    "psd": ((0, b"8BPS"),),
    "webp": ((8, b"WEBP"),),
    "pdf": ((0, b"%PDF-"),),
    "mp4": ((4, b"ftyp"),),
    "matroska": ((0, b"\x1aE\xdf\xa3"),),
    "wav": ((8, b"WAVE"),),
    "xml": ((0, b"<?xml"), (0, b"\xef\xbb\xbf<?xml")),
    "glb": ((0, b"glTF"),),
    "ply": ((0, b"ply"),),
    "fbx": ((0, b"Kaydara FBX Binary"), (0, b"; FBX")),
    "step": ((0, b"ISO-10303-21"),),
    "ifc": ((0, b"ISO-10303-21"),),
    "blend": ((0, b"BLENDER"),),
    "usdc": ((0, b"PXR-USDC"),),
    "usda": ((0, b"#usda"),),
}


def signs(wanted: str) -> tuple[tuple[int, bytes], ...]:
    """What a condition looks for: a known kind, ``0x`` and hex digits, or plain text at the start.

    Raises:
        ValueError: hex digits that are none, or more bytes than are looked at.
    """
    if wanted.lower() in KINDS:
        return KINDS[wanted.lower()]
    if wanted.lower().startswith("0x"):
        found = bytes.fromhex(wanted[2:])
    else:
        found = wanted.encode("utf-8", "surrogateescape")
    if not found or len(found) > HEAD:
        raise ValueError(f"1 to {HEAD} bytes can be looked for")
    return ((0, found),)


def begins(head: bytes, wanted: str) -> bool:
    """Whether a file with this beginning is what a condition wants."""
    return any(head[at : at + len(sign)] == sign for at, sign in signs(wanted))

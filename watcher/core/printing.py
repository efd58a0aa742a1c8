"""How a name or a foreign text is shown to people.

Imports nothing; apart from ``model`` for those who need no more. Invariant: what comes out cannot
steer a terminal and can be encoded.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """A name as it may be shown: control characters and undecodable bytes as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode()

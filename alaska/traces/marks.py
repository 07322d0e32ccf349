"""The values of attributes as scripts give them: one letter for the type, and text (lua/world/tracing.lua)."""

from __future__ import annotations

from collections.abc import Iterable

MOST_OCTETS = 1024
MOST_ATTRIBUTES = 16
_MOST_DIGITS = 32
_INTEGERS = range(-(2**63), 2**63)


def attributes_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str | bool | int | float]:
    """Return names and encoded values as attributes; whatever is not valid is left out.

    A hostile process may send anything.
    """
    found = {}
    for name, octets in list(pairs)[:MOST_ATTRIBUTES]:
        value = value_of(octets)
        if value is not None and name:
            found[_text(name)] = value
    return found


def value_of(octets: bytes) -> str | bool | int | float | None:
    """Return an encoded value; None if it is not valid."""
    kind, text = octets[:1], octets[1:]
    if kind == b"s":
        return _text(text)
    if kind == b"b":
        return text == b"1"
    if kind not in (b"i", b"d") or len(text) > _MOST_DIGITS:
        return None
    try:
        number = int(text) if kind == b"i" else float(text)
    except ValueError:
        return None
    return number if kind == b"d" or number in _INTEGERS else None


def _text(octets: bytes) -> str:
    return octets[:MOST_OCTETS].decode("utf-8", "backslashreplace")

"""Names, which are any octets, as text of JSON, and back."""

from __future__ import annotations

import re

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for JSON that is malformed, is of another type, is not UTF-8, or is nested too deeply."""
_ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def to_text(name: bytes) -> str:
    r"""Return a name as text: octets that are not UTF-8 become ``\xNN``, and a backslash becomes two."""
    return name.replace(b"\\", rb"\\").decode("utf-8", "backslashreplace")


def to_name(text: str) -> bytes:
    r"""Return the name for which :func:`to_text` returned this text; a backslash that escapes nothing stays.

    Surrogates, with which Python represents octets that are not UTF-8, become these octets.
    """
    octets = text.encode("utf-8", "surrogateescape")
    return _ESCAPED.sub(_unescaped, octets) if b"\\" in octets else octets


def _unescaped(found: re.Match[bytes]) -> bytes:
    escape = found[1]
    return escape if escape == b"\\" else bytes.fromhex(escape[1:].decode())

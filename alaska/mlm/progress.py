"""How far the work on a request is: the reason of a CONFIRM 206 (docs/protocol.md, section 7)."""

from __future__ import annotations

from typing import NamedTuple

from alaska.mlm.commands import MAX_STRING_OCTETS

MAX_TEXT_OCTETS = 240
"""The maximum size of the text; the rest is cut off."""


class Progress(NamedTuple):
    """The part of the work that is done, from 0 to 1, and a text."""

    fraction: float
    text: bytes = b""


def write_progress(fraction: float, text: bytes = b"") -> bytes:
    """Return the reason for a fraction from 0 to 1 and a text, which is cut to :data:`MAX_TEXT_OCTETS`.

    :raises ValueError: the fraction is out of range.
    """
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"the progress must be a number from 0 to 1, not {fraction}")
    whole = text[:MAX_TEXT_OCTETS].decode("utf-8", "ignore").encode() if len(text) > MAX_TEXT_OCTETS else text
    return (b"%.4g %s" % (fraction, whole)).rstrip(b" ")


def read_progress(reason: bytes) -> Progress | None:
    """Return what :func:`write_progress` has written; None if the reason is something else."""
    number, _, text = reason.partition(b" ")
    try:
        fraction = float(number)
    except ValueError:
        return None
    return Progress(fraction, text) if 0.0 <= fraction <= 1.0 and len(reason) <= MAX_STRING_OCTETS else None

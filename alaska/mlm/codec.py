"""Frames to a command and back (docs/protocol.md, section 2).

Two functions, both driven by :data:`alaska.mlm.commands.LAYOUTS`. Octets behind the last field of a header are
ignored, as C does; everything else that is not as the table says is a :exc:`ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from alaska.errors import ProtocolError, ValueTooLong
from alaska.mlm.commands import LAYOUTS, MAX_STRING_OCTETS, PROTOCOL_NAME, PROTOCOL_VERSION, Command, Kind, Layout

SIGNATURE = b"\xaa\xa8"
_WIDTHS = {Kind.NUMBER_2: 2, Kind.NUMBER_4: 4, Kind.NUMBER_8: 8}
_LENGTHS = tuple(bytes((length,)) for length in range(MAX_STRING_OCTETS + 1))
_PREFIX_OCTETS = len(SIGNATURE) + 1
_GREETING = _LENGTHS[len(PROTOCOL_NAME)] + PROTOCOL_NAME + PROTOCOL_VERSION.to_bytes(2, "big")


class _Form:
    """What the codec works out once for each layout."""

    __slots__ = ("has_content", "make", "name", "prefix", "widths")

    def __init__(self, layout: Layout) -> None:
        self.name = layout.name
        self.make = cast("Callable[..., Command]", layout.type)
        self.has_content = layout.has_content
        greeting = _GREETING if Kind.PROTOCOL in layout.fields else b""
        self.prefix = SIGNATURE + bytes((layout.number,)) + greeting
        # 0 stands for a string, else the octets of a number.
        self.widths = tuple(_WIDTHS.get(kind, 0) for kind in layout.fields if kind not in (Kind.PROTOCOL, Kind.VERSION))


_BY_TYPE = {layout.type: _Form(layout) for layout in LAYOUTS}
_BY_PREFIX = {SIGNATURE + bytes((layout.number,)): _BY_TYPE[layout.type] for layout in LAYOUTS}


def encode(command: Command) -> list[bytes]:
    """Return the frames of a command: its header, then its content.

    :raises ValueTooLong: a string has more than 255 octets, or a number more than its field holds.
    """
    form = _BY_TYPE[type(command)]
    values: tuple[Any, ...] = command
    parts = [form.prefix]
    value: int | bytes = 0
    try:
        # A command with content has one value more than its header has fields.
        for width, value in zip(form.widths, values, strict=False):
            if isinstance(value, int):
                parts.append(value.to_bytes(width, "big"))
            else:
                parts.append(_LENGTHS[len(value)])
                parts.append(value)
    except (IndexError, OverflowError):
        raise ValueTooLong(_too_long(form, value)) from None
    header = b"".join(parts)
    return [header, *values[-1]] if form.has_content else [header]


def _too_long(form: _Form, value: int | bytes) -> str:
    if isinstance(value, int):
        return f"{form.name} cannot carry the number {value}"
    return f"{form.name} cannot carry a string of {len(value)} octets, {MAX_STRING_OCTETS} is the most"


def decode(frames: Sequence[bytes]) -> Command:
    """Return the command that these frames are, header first, without a routing id.

    :raises ProtocolError: they are none; nothing else is raised, whatever the frames hold.
    """
    if not frames:
        raise ProtocolError("a message without a frame")
    header = frames[0]
    form = _BY_PREFIX.get(header[:_PREFIX_OCTETS])
    if form is None:
        raise ProtocolError(_no_command(header))
    at = len(form.prefix)
    if at > _PREFIX_OCTETS and not header.startswith(form.prefix):
        raise ProtocolError(f"{form.name} with another protocol name or version than MALAMUTE 1")
    values: list[object] = []
    try:
        for width in form.widths:
            if width:
                end = at + width
                values.append(int.from_bytes(header[at:end], "big"))
            else:
                at += 1
                end = at + header[at - 1]
                values.append(header[at:end])
            at = end
    except IndexError:
        at = len(header) + 1
    if at > len(header):
        raise ProtocolError(f"{form.name} ends before its last field")
    if form.has_content:
        values.append(tuple(frames[1:]))
    elif len(frames) > 1:
        raise ProtocolError(f"{form.name} followed by {len(frames) - 1} frames, it has no content")
    return form.make(*values)


def _no_command(header: bytes) -> str:
    if header[: len(SIGNATURE)] != SIGNATURE:
        return f"a header of {len(header)} octets that does not begin with AA A8"
    if len(header) < _PREFIX_OCTETS:
        return "a header that ends before the number of its command"
    return f"a header with the unknown command {header[2]}"

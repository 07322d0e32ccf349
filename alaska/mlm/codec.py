"""Encode commands to frames and decode them, one command per message (docs/protocol.md, sections 2 and 7).

The code of an encoder and a decoder is generated for each layout in :data:`alaska.mlm.commands.LAYOUTS`, as Python
generates the methods of a named tuple. A loop over the fields would take three times as long, and the broker spends
much of its time here. Between peers that have negotiated properties, these follow the last field of a header.
From all other peers, octets after the last field are ignored, as in C. Any other deviation from the table is a
:exc:`ProtocolError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

from msgspec.structs import replace

from alaska.errors import ProtocolError, ValueTooLong
from alaska.mlm import properties
from alaska.mlm.commands import (
    LAYOUTS,
    MAX_STRING_OCTETS,
    PROTOCOL_NAME,
    PROTOCOL_VERSION,
    Command,
    ConnectionOpen,
    Kind,
    Layout,
)

SIGNATURE = b"\xaa\xa8"
_WIDTHS = {Kind.NUMBER_2: 2, Kind.NUMBER_4: 4, Kind.NUMBER_8: 8}
_PREFIX_OCTETS = len(SIGNATURE) + 1
_GREETING = bytes((len(PROTOCOL_NAME),)) + PROTOCOL_NAME + PROTOCOL_VERSION.to_bytes(2, "big")


class _Form:
    """The generated encoder and decoder of one layout.

    ``write`` returns the frames of a command, and raises Python's own error for an invalid value. ``fits`` returns
    whether each value fits its field, and raises ValueTooLong for properties that are too many or too large. ``read``
    returns the command for a header and all frames, without properties, and ``end`` the offset after its last field; if
    they are not valid, they return None or raise an IndexError.
    """

    __slots__ = (
        "end",
        "fields",
        "fits",
        "has_content",
        "has_properties",
        "name",
        "prefix",
        "read",
        "type",
        "widths",
        "write",
    )

    def __init__(self, layout: Layout) -> None:
        self.name = layout.name
        self.type = layout.type
        self.has_content = layout.has_content
        self.has_properties = layout.has_properties
        greeting = _GREETING if Kind.PROTOCOL in layout.fields else b""
        self.prefix = SIGNATURE + bytes((layout.number,)) + greeting
        # The octets of each number; 0 for a string.
        self.widths = tuple(_WIDTHS.get(kind, 0) for kind in layout.fields if kind not in (Kind.PROTOCOL, Kind.VERSION))
        self.fields = layout.type.__struct_fields__[: len(self.widths)]
        known: dict[str, object] = {"prefix": self.prefix, "new": layout.type, "number": int.from_bytes}
        known |= {"encoded": properties.encode, "check_size": properties.check_size}
        self.write = cast("Callable[[Command], list[bytes]]", _made(self._writer(), known))
        self.fits = cast("Callable[[Command], bool]", _made(self._checker(), known))
        self.read = cast("Callable[[bytes, Sequence[bytes]], Command | None]", _made(self._reader(), known))
        self.end = cast("Callable[[bytes], int]", _made(self._measure(), known))

    def _writer(self) -> str:
        form, parts = "", []
        for name, width in zip(self.fields, self.widths, strict=True):
            form += "%b" if width else "%c%b"
            value = f"command.{name}"
            parts.append(f"{value}.to_bytes({width}, 'big')" if width else f"len({value}), {value}")
        lines = [f"header = prefix + b'{form}' % ({', '.join(parts)},)" if parts else "header = prefix"]
        if self.has_properties:
            lines += ["if command.properties:", "    header += encoded(command.properties)"]
        lines.append("return [header, *command.content]" if self.has_content else "return [header]")
        return "def made(command):\n" + "".join(f"    {line}\n" for line in lines)

    def _checker(self) -> str:
        bounds = [
            f"0 <= command.{name} < {1 << 8 * width}" if width else f"len(command.{name}) <= {MAX_STRING_OCTETS}"
            for name, width in zip(self.fields, self.widths, strict=True)
        ]
        lines = []
        if self.has_properties:
            lines += ["if command.properties:", "    check_size(command.properties)"]
        lines.append(f"return {' and '.join(bounds) or True}")
        return "def made(command):\n" + "".join(f"    {line}\n" for line in lines)

    def _walk(self) -> list[str]:
        """Return the lines that read the fields of a header; ``end`` is the offset after the last one."""
        lines = [f"end = {len(self.prefix)}"]
        for name, width in zip(self.fields, self.widths, strict=True):
            if width:
                lines += ["at = end", f"end = at + {width}", f"{name} = number(header[at:end], 'big')"]
            else:
                lines += ["at = end + 1", "end = at + header[end]", f"{name} = header[at:end]"]
        return lines

    def _reader(self) -> str:
        lines = []
        if len(self.prefix) > _PREFIX_OCTETS:
            lines += ["if not header.startswith(prefix):", "    return None"]
        has_more = "" if self.has_content else " or len(frames) > 1"
        lines += [*self._walk(), f"if end > len(header){has_more}:", "    return None"]
        values = [*self.fields, "tuple(frames[1:])"] if self.has_content else self.fields
        lines.append(f"return new({', '.join(values)})")
        return "def made(header, frames):\n" + "".join(f"    {line}\n" for line in lines)

    def _measure(self) -> str:
        lines = [*self._walk(), "return end"]
        return "def made(header):\n" + "".join(f"    {line}\n" for line in lines)


def _made(source: str, known: Mapping[str, object]) -> object:
    """Return the function ``made`` of generated source code, which depends only on the table of layouts."""
    space: dict[str, object] = dict(known)
    exec(source, space)  # noqa: S102  # the source contains no external input
    return space["made"]


_BY_TYPE = {layout.type: _Form(layout) for layout in LAYOUTS}
_BY_PREFIX = {SIGNATURE + bytes((layout.number,)): _BY_TYPE[layout.type] for layout in LAYOUTS}
_WRITERS = {kind: form.write for kind, form in _BY_TYPE.items()}
_CHECKS = {kind: form.fits for kind, form in _BY_TYPE.items()}


def encode(command: Command) -> list[bytes]:
    """Return the frames of a command: its header, then its content.

    :raises ValueTooLong: a string has more than 255 octets, or a number does not fit its field.
    """
    try:
        return _WRITERS[type(command)](command)
    except OverflowError:
        raise ValueTooLong(_too_long(command)) from None


def check(command: Command) -> None:
    """Check whether a command can be encoded.

    :raises ValueTooLong: a string has more than 255 octets, a number does not fit its field, or the properties are too
        many or too large.
    """
    if not _CHECKS[type(command)](command):
        raise ValueTooLong(_too_long(command))


def without_properties(command: Command) -> Command:
    """Return a command for a peer that cannot read properties."""
    has_properties = _BY_TYPE[type(command)].has_properties and command.properties  # type: ignore[union-attr]
    return replace(command, properties={}) if has_properties else command


def _too_long(command: Command) -> str:
    form = _BY_TYPE[type(command)]
    for name, width in zip(form.fields, form.widths, strict=True):
        value: Any = getattr(command, name)
        if not width and len(value) > MAX_STRING_OCTETS:
            return f"{form.name} cannot carry a string of {len(value)} octets, {MAX_STRING_OCTETS} is the most"
        if width and not 0 <= value < 1 << 8 * width:
            return f"{form.name} cannot carry the number {value}"
    return f"{form.name} cannot carry its values"


def decode(frames: Sequence[bytes]) -> Command:
    """Return the command for its frames, header first, without a routing id; octets after the last field are ignored.

    Those of a CONNECTION-OPEN are its properties if they begin with a possible number of properties.

    :raises ProtocolError: the frames are not a valid command. No other error is raised, whatever the frames contain.
    """
    command, form = _decoded(frames)
    if form.type is ConnectionOpen and properties.may_begin(frames[0], form.end(frames[0])):
        return _with_properties(command, form, frames[0])
    return command


def decode_with_properties(frames: Sequence[bytes]) -> Command:
    """Do as :func:`decode` for a peer that may send properties.

    :raises ProtocolError: the frames, or the properties, are not valid.
    """
    command, form = _decoded(frames)
    return _with_properties(command, form, frames[0]) if form.has_properties else command


def _with_properties(command: Command, form: _Form, header: bytes) -> Command:
    end = form.end(header)
    return command if end == len(header) else replace(command, properties=properties.decode(header, end))


def _decoded(frames: Sequence[bytes]) -> tuple[Command, _Form]:
    if not frames:
        raise ProtocolError("a message without a frame")
    header = frames[0]
    form = _BY_PREFIX.get(header[:_PREFIX_OCTETS])
    if form is None:
        raise ProtocolError(_no_command(header))
    try:
        command = form.read(header, frames)
    except IndexError:
        command = None
    if command is None:
        raise ProtocolError(_unreadable(form, frames))
    return command, form


def _unreadable(form: _Form, frames: Sequence[bytes]) -> str:
    header = frames[0]
    if not header.startswith(form.prefix):
        return f"{form.name} with another protocol name or version than MALAMUTE 1"
    with suppress(IndexError):
        if form.read(header, frames[:1]) is not None:
            return f"{form.name} followed by {len(frames) - 1} frames, it has no content"
    return f"{form.name} ends before its last field"


def _no_command(header: bytes) -> str:
    if header[: len(SIGNATURE)] != SIGNATURE:
        return f"a header of {len(header)} octets that does not begin with AA A8"
    if len(header) < _PREFIX_OCTETS:
        return "a header that ends before the number of its command"
    return f"a header with the unknown command {header[2]}"

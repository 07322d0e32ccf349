"""Properties: what a command says besides its fields (docs/protocol.md, section 7).

In a header frame they follow the last field: a number-4 for their number, then for each a string for its key, a
number-4 for the length of its value, and the value in octets. In a BATCH they are a map, whose values may also be
unsigned numbers and text. In a header frame a number is written in decimal digits, and text in UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterable

from alaska.errors import ProtocolError, ValueTooLong
from alaska.mlm.commands import MAX_PROPERTIES, MAX_STRING_OCTETS, Properties

MAX_OCTETS = 64 * 1024
BROKER_PROPERTIES = 3
BROKER_OCTETS = 128
"""What a delivery has besides the properties of its message: ``lease``, ``attempt`` and ``since``."""
HEADER = "h-"
"""The properties whose keys begin with this are the sender's headers, which scripts see."""
_NUMBER_OCTETS = 4
_LONG_KEY = MAX_STRING_OCTETS // 4
_MAX_DIGITS = 20


def encode(properties: Properties) -> bytes:
    """Return properties as they follow the last field of a header.

    :raises ValueTooLong: there are too many, or they are too large.
    """
    check_size(properties)
    parts = [len(properties).to_bytes(_NUMBER_OCTETS, "big")]
    for key, value in properties.items():
        name, octets = key.encode(), to_octets(value)
        parts += [bytes((len(name),)), name, len(octets).to_bytes(_NUMBER_OCTETS, "big"), octets]
    return b"".join(parts)


def may_begin(header: bytes, start: int) -> bool:
    """Return whether the octets of a header from an offset on begin like properties."""
    count, at = _number(header, start)
    return at <= len(header) and count <= MAX_PROPERTIES


def decode(header: bytes, start: int) -> Properties:
    """Return the properties that follow the last field of a header, from an offset to its end.

    :raises ProtocolError: they are not well formed, too many or too large.
    """
    if len(header) - start > MAX_OCTETS + _NUMBER_OCTETS:
        raise ProtocolError(f"properties of {len(header) - start} octets")
    count, at = _number(header, start)
    if count > MAX_PROPERTIES:
        raise ProtocolError(f"{count} properties")
    properties: Properties = {}
    for _ in range(count):
        try:
            end = at + 1 + header[at]
            key = header[at + 1 : end].decode()
        except (IndexError, UnicodeDecodeError):
            raise ProtocolError("a key of a property that cannot be read") from None
        length, at = _number(header, end)
        properties[key] = header[at : at + length]
        at += length
    if at != len(header):
        raise ProtocolError("properties whose lengths do not match the header")
    return properties


def _number(header: bytes, start: int) -> tuple[int, int]:
    """Return the number at an offset, and the offset after it, which may be beyond the end."""
    end = start + _NUMBER_OCTETS
    return int.from_bytes(header[start:end], "big"), end


def check(properties: Properties, octets: int) -> None:
    """Check properties of a BATCH, which has this many octets.

    :raises ProtocolError: a value is of another type, or they are too large.
    """
    is_large = octets > MAX_OCTETS
    for key, value in properties.items():
        kind = type(value)
        if kind is not bytes and kind is not str and (kind is not int or value < 0):
            raise ProtocolError("a property whose value is neither octets nor text nor an unsigned number")
        if len(key) > _LONG_KEY:
            is_large = True
    # Small properties are within the limits, whatever they are.
    if is_large:
        try:
            check_size(properties)
        except ValueTooLong as error:
            raise ProtocolError(str(error)) from None


def check_size(properties: Properties) -> None:
    """Check the number and size of properties.

    :raises ValueTooLong: there are too many, or they are too large.
    """
    if len(properties) > MAX_PROPERTIES:
        raise ValueTooLong(f"a command cannot carry {len(properties)} properties, {MAX_PROPERTIES} is the most")
    for key in properties:
        name = len(key.encode())
        if name > MAX_STRING_OCTETS:
            raise ValueTooLong(f"the key of a property cannot have {name} octets, {MAX_STRING_OCTETS} is the most")
    octets = octets_of(properties)
    if octets > MAX_OCTETS:
        raise ValueTooLong(f"a command cannot carry properties of {octets} octets, {MAX_OCTETS} is the most")


def leaves_room(properties: Properties) -> bool:
    """Return whether the broker can add its own properties to those of a message."""
    return len(properties) <= MAX_PROPERTIES - BROKER_PROPERTIES and octets_of(properties) <= MAX_OCTETS - BROKER_OCTETS


def octets_of(properties: Properties) -> int:
    """Return the size of properties in a header."""
    octets = 0
    for key, value in properties.items():
        octets += len(value) if type(value) is bytes else len(to_octets(value))
        octets += 1 + _NUMBER_OCTETS + (len(key) if key.isascii() else len(key.encode()))
    return octets


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> Properties:
    """Return the properties for headers.

    :raises ValueTooLong: there are too many, or they are too large.
    """
    properties: Properties = {HEADER + name.decode("utf-8", "backslashreplace"): value for name, value in headers}
    if properties:
        check_size(properties)
    return properties


def headers_of(properties: Properties) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers among properties."""
    return tuple(
        (key[len(HEADER) :].encode(), to_octets(value)) for key, value in properties.items() if key.startswith(HEADER)
    )


def to_octets(value: object) -> bytes:
    """Return a value as it is written in a header."""
    if type(value) is bytes:
        return value
    return b"%d" % value if type(value) is int else str(value).encode()


def to_number(value: object) -> int | None:
    """Return a value as a number, however it was written; None if it is none, or not below 2^64."""
    if type(value) is int:
        return value
    octets = value if type(value) is bytes else value.encode() if type(value) is str else b""
    if not octets.isdigit() or len(octets) > _MAX_DIGITS:
        return None
    number = int(octets)
    return number if number < 2**64 else None

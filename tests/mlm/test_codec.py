"""The codec, compared to the C encoder and decoder, and with random input."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import COMMAND_INVALID, ProtocolError, ValueTooLong
from alaska.mlm.codec import check, decode, encode
from alaska.mlm.commands import (
    LAYOUTS,
    Command,
    ConnectionOpen,
    ConnectionPing,
    Credit,
    Kind,
    Layout,
    Ok,
    ServiceSend,
    StreamRecord,
    StreamReplay,
)
from tests.recorded import load, octets

BY_NAME = {layout.name: layout for layout in LAYOUTS}
VALUES = {
    Kind.STRING: st.binary(max_size=255),
    Kind.NUMBER_2: st.integers(0, 2**16 - 1),
    Kind.NUMBER_4: st.integers(0, 2**32 - 1),
    Kind.NUMBER_8: st.integers(0, 2**64 - 1),
}


def field_kinds(layout: Layout) -> list[Kind]:
    """Return the kinds of a layout's fields that are fields of the command's type."""
    return [kind for kind in layout.fields if kind in VALUES]


def commands_of(layout: Layout) -> st.SearchStrategy[Command]:
    """Return a strategy for commands of a layout."""
    values = [VALUES[kind] for kind in field_kinds(layout)]
    if layout.has_content:
        values.append(st.lists(st.binary(max_size=40), max_size=3).map(tuple))
    return st.builds(layout.type, *values)


COMMANDS = st.one_of([commands_of(layout) for layout in LAYOUTS])


def from_vector(case: dict[str, Any]) -> Command:
    """Return the command of a test vector."""
    layout = BY_NAME[case["command"]]
    fields = [name for name in layout.type.__struct_fields__ if name not in ("content", "properties")]
    values: list[Any] = [
        octets(case["fields"][name]) if kind is Kind.STRING else case["fields"][name]
        for name, kind in zip(fields, field_kinds(layout), strict=True)
    ]
    if layout.has_content:
        values.append(tuple(bytes.fromhex(frame) for frame in case["content"]))
    return layout.type(*values)


class TableTests(SynchronousTestCase):
    """The table of layouts."""

    def test_fields_are_those_of_the_types(self) -> None:
        """Each layout has as many fields as its type, without the content."""
        for layout in LAYOUTS:
            fields = [name for name in layout.type.__struct_fields__ if name not in ("content", "properties")]
            self.assertEqual(len(fields), len(field_kinds(layout)), layout.name)
            self.assertEqual("content" in layout.type.__struct_fields__, layout.has_content, layout.name)

    def test_numbers_are_one_to_twenty(self) -> None:
        """The table has the commands 1 to 20 in order."""
        self.assertEqual([layout.number for layout in LAYOUTS], list(range(1, 21)))


class CEncoderTests(SynchronousTestCase):
    """Commands that were encoded by the C encoder."""

    def test_encodes_as_c(self) -> None:
        """Every recorded command is encoded to the same octets."""
        for case in load("codec.json"):
            frames = encode(from_vector(case))
            self.assertEqual(frames[0].hex(), case["header"], case["note"])
            self.assertEqual([frame.hex() for frame in frames[1:]], case["content"])

    def test_decodes_what_c_encoded(self) -> None:
        """Every recorded header is decoded to the same fields."""
        for case in load("codec.json"):
            frames = [bytes.fromhex(frame) for frame in (case["header"], *case["content"])]
            self.assertEqual(decode(frames), from_vector(case), case["note"])


class MalformedTests(SynchronousTestCase):
    """Malformed messages, and the C decoder's verdicts."""

    def test_rejects_what_c_rejects(self) -> None:
        """A header that C rejects is a protocol error with the status of an invalid command.

        Commands 19 and 20 are extensions that C does not have.
        """
        for case in load("malformed.json"):
            ours_alone = case["header"][:6] in ("aaa813", "aaa814")
            if case["verdict"] == "reject" and not ours_alone:
                error = self.assertRaises(ProtocolError, decode, [bytes.fromhex(case["header"])])
                self.assertEqual(error.status, COMMAND_INVALID)

    def test_accepts_what_c_accepts(self) -> None:
        """A header that C accepts is decoded to the same fields, except for strings with NUL octets."""
        for case in load("malformed.json"):
            if case["verdict"] == "accept" and not case.get("nul_octet"):
                read = decode([bytes.fromhex(case["header"])])
                self.assertEqual(read, from_vector({"content": [], **case}), case["case"])

    def test_nul_octets_are_kept(self) -> None:
        """A string may contain NUL octets, which end it in C."""
        self.assertEqual(decode(encode(ConnectionOpen(b"a\0b"))), ConnectionOpen(b"a\0b"))

    def test_protocol_name_is_compared_whole(self) -> None:
        """The protocol name MALAMUTE followed by a NUL octet is rejected."""
        header = b"\xaa\xa8\x01\x09MALAMUTE\0\x00\x01\x00"
        self.assertRaises(ProtocolError, decode, [header])

    def test_no_frame(self) -> None:
        """A message without a frame is a protocol error."""
        self.assertRaises(ProtocolError, decode, [])

    def test_unexpected_content(self) -> None:
        """A frame after a command without content is a protocol error."""
        self.assertRaises(ProtocolError, decode, [*encode(ConnectionPing()), b""])

    def test_error_names_the_command(self) -> None:
        """The text of the error names the command and the fault."""
        error = self.assertRaises(ProtocolError, decode, [encode(Credit(5))[0][:-1]])
        self.assertEqual(str(error), "CREDIT ends before its last field")


class RoundTripTests(SynchronousTestCase):
    """Random commands and random octets."""

    @given(COMMANDS)
    def test_round_trip(self, command: Command) -> None:
        """An encoded command is decoded to the same command."""
        self.assertEqual(decode(encode(command)), command)

    @given(COMMANDS, st.binary(min_size=1, max_size=9))
    def test_octets_after_the_last_field(self, command: Command, extra: bytes) -> None:
        """Octets after the last field are ignored."""
        header, *content = encode(command)
        self.assertEqual(decode([header + extra, *content]), command)

    @given(COMMANDS, st.data())
    def test_cut_anywhere(self, command: Command, data: st.DataObject) -> None:
        """A truncated header is a protocol error."""
        header, *content = encode(command)
        at = data.draw(st.integers(0, len(header) - 1))
        self.assertRaises(ProtocolError, decode, [header[:at], *content])

    @given(st.lists(st.one_of(st.binary(max_size=60), st.binary(max_size=30).map(b"\xaa\xa8".__add__)), max_size=4))
    def test_any_frames(self, frames: list[bytes]) -> None:
        """Any frames are either a protocol error, or a command that can be encoded again."""
        try:
            command = decode(frames)
        except ProtocolError:
            return
        self.assertEqual(decode(encode(command)), command)

    @given(COMMANDS, st.data())
    def test_mutated(self, command: Command, data: st.DataObject) -> None:
        """A header with one changed octet is either a command or a protocol error."""
        header, *content = encode(command)
        at = data.draw(st.integers(0, len(header) - 1))
        changed = header[:at] + data.draw(st.binary(min_size=1, max_size=1)) + header[at + 1 :]
        with contextlib.suppress(ProtocolError):
            decode([changed, *content])


class LimitTests(SynchronousTestCase):
    """Values that the wire format cannot represent."""

    @given(
        st.binary(max_size=2) | st.binary(min_size=254, max_size=257),
        st.integers(-1, 1) | st.integers(2**32 - 1, 2**32),
        st.dictionaries(st.text(max_size=3) | st.just("k" * 256), st.binary(max_size=3), max_size=34),
    )
    def test_check(self, address: bytes, timeout: int, properties: dict[str, bytes]) -> None:
        """The check refuses exactly the commands that cannot be encoded."""
        command = ServiceSend(address, b"", b"", timeout, (), properties)
        try:
            encode(command)
        except ValueTooLong:
            self.assertRaises(ValueTooLong, check, command)
        else:
            check(command)

    def test_long_string(self) -> None:
        """A string of 256 octets is an error, not truncated as in C."""
        error = self.assertRaises(ValueTooLong, encode, ServiceSend(b"a" * 256, b"", b"", 0, ()))
        self.assertIn("256 octets", str(error))

    def test_large_number(self) -> None:
        """A number that is out of its field's range is an error."""
        for command in (Credit(2**16), Credit(-1), Ok(70000, b""), ServiceSend(b"", b"", b"", 2**32, ())):
            self.assertRaises(ValueTooLong, encode, command)

    def test_positions_have_64_bits(self) -> None:
        """Positions and times may have 64 bits."""
        for command in (StreamReplay(b"s", b"", 2**64 - 1), StreamRecord(2**64 - 1, 2**64 - 1, b"s", b"", b"", ())):
            self.assertEqual(decode(encode(command)), command)

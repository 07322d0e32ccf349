"""BATCH: several commands in one message."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import ProtocolError
from alaska.mlm import commands as mlm
from alaska.mlm.batch import (
    HEADER,
    MAX_COMMANDS,
    MAX_CONTENT_OCTETS,
    MAX_OCTETS,
    Outgoing,
    decode_batch,
    encode_batch,
    is_batch,
)
from alaska.mlm.codec import decode_with_properties, encode
from tests.mlm.test_codec import commands_of
from tests.mlm.test_properties import PROPERTIES

BATCHED = [layout for layout in mlm.LAYOUTS if layout.type is not mlm.ConnectionOpen]
SEND = mlm.ServiceSend(b"svc", b"job", b"t", 0, (b"x",))


def commands_by(sender: mlm.Peer) -> st.SearchStrategy[mlm.Command]:
    """Return a strategy for commands that a peer sends, some of them with properties."""
    strategies = []
    for layout in BATCHED:
        if layout.sent_by in (sender, mlm.Peer.BOTH):
            commands = commands_of(layout)
            strategies.append(commands)
            if layout.has_properties:
                strategies.append(st.builds(_with_properties, commands, PROPERTIES))
    return st.one_of(strategies)


def _with_properties(command: mlm.Command, properties: mlm.Properties) -> mlm.Command:
    return msgspec.structs.replace(command, properties=properties)


def batch_of(value: Any) -> list[bytes]:
    """Return the frames of a BATCH whose second frame is this value in MessagePack."""
    return [HEADER, msgspec.msgpack.encode(value)]


class RoundTripTests(SynchronousTestCase):
    """Decoding returns the encoded commands."""

    @given(st.lists(commands_by(mlm.Peer.CLIENT), min_size=2, max_size=20))
    def test_commands_of_a_client(self, commands: list[mlm.Command]) -> None:
        """Any commands of a client are decoded unchanged."""
        (frames,) = encode_batch(commands)
        self.assertEqual(decode_batch(frames, mlm.Peer.CLIENT), commands)

    @given(st.lists(commands_by(mlm.Peer.BROKER), min_size=2, max_size=20))
    def test_commands_of_the_broker(self, commands: list[mlm.Command]) -> None:
        """Any commands of the broker are decoded unchanged."""
        (frames,) = encode_batch(commands)
        self.assertEqual(decode_batch(frames, mlm.Peer.BROKER), commands)

    def test_layout(self) -> None:
        """A command is an array of its number, its fields in order, its content, and its properties as a map."""
        confirm = mlm.Confirm(b"t", 200, b"", {"lease": 7})
        (frames,) = encode_batch([SEND, confirm, mlm.ConnectionPing()])
        self.assertEqual(frames[0], b"\xaa\xa8\x15")
        self.assertEqual(
            msgspec.msgpack.decode(frames[1]),
            [[11, b"svc", b"job", b"t", 0, [b"x"], {}], [17, b"t", 200, b"", {"lease": 7}], [2]],
        )

    def test_properties_may_be_missing(self) -> None:
        """The map may be left out if there are no properties."""
        self.assertEqual(decode_batch(batch_of([[11, b"svc", b"job", b"t", 0, [b"x"]]]), mlm.Peer.CLIENT), [SEND])


class MalformedTests(SynchronousTestCase):
    """A BATCH that cannot be read."""

    def assert_refused(self, *frames: bytes) -> None:
        """Check that the broker does not accept these frames."""
        self.assertTrue(is_batch(frames))
        self.assertRaises(ProtocolError, decode_batch, frames, mlm.Peer.CLIENT)

    @given(st.binary(max_size=200))
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets are commands or a protocol error, and nothing else."""
        try:
            commands = decode_batch([HEADER, octets], mlm.Peer.CLIENT)
        except ProtocolError:
            return
        for command in commands:
            encode(command)

    @given(st.lists(commands_by(mlm.Peer.CLIENT), min_size=2, max_size=5), st.data())
    def test_mutations(self, commands: list[mlm.Command], data: st.DataObject) -> None:
        """A BATCH with a changed octet is decoded to commands that can be sent, or is a protocol error."""
        (frames,) = encode_batch(commands)
        octets = bytearray(frames[1])
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
        try:
            decoded = decode_batch([HEADER, bytes(octets)], mlm.Peer.CLIENT)
        except ProtocolError:
            return
        for command in decoded:
            encode(command)

    def test_frames(self) -> None:
        """It has exactly two frames, and nothing after the number of the command."""
        empty = msgspec.msgpack.encode([])
        self.assert_refused(HEADER)
        self.assert_refused(HEADER, empty, empty)
        self.assert_refused(HEADER + b"\0", empty)

    def test_one_bad_command(self) -> None:
        """One command that cannot be read makes all of them unreadable."""
        good = [11, b"svc", b"job", b"t", 0, [b"x"]]
        for bad in ([], [2, 0], [0], [22], [21, []], "x", [11, b"svc"], [*good, {}, 0], [16, 2**16], [16, -1],
                    [16, 1.5], [17, b"t" * 256, 200, b""], [17, "t", 200, b""], [*good[:5], b"x"], [*good[:5], [1]],
                    [*good, {"a": []}], [*good, {"a": -1}], [*good, {1: b""}],
                    [*good, {str(number): b"" for number in range(33)}], [*good, {"é" * 128: b""}],
                    [*good, {"a": bytes(70_000)}]):  # fmt: skip
            self.assert_refused(*batch_of([good, bad, good]))

    def test_commands_of_the_other_side(self) -> None:
        """A command that this peer may not send, and CONNECTION-OPEN, are refused."""
        self.assert_refused(*batch_of([[14, 200, b""]]))
        self.assert_refused(*batch_of([[1, b"MALAMUTE", 1, b"me"]]))
        self.assertRaises(ProtocolError, decode_batch, batch_of([[16, 1]]), mlm.Peer.BROKER)

    def test_large(self) -> None:
        """More than 1000 commands, or more than 1 MiB, are refused."""
        self.assert_refused(*batch_of([[2]] * (MAX_COMMANDS + 1)))
        self.assert_refused(HEADER, bytes(MAX_OCTETS + 1))

    def test_lengths_that_lie(self) -> None:
        """Claimed lengths beyond the end are refused."""
        for octets in (b"\xdd\xff\xff\xff\xff", b"\x91\xdd\xff\xff\xff\xff\x02", b"\x91\x92\x05\xc6\xff\xff\xff\xff",
                       b"\x91\x97\x0b\xc4\0\xc4\0\xc4\0\0\x90\xdf\xff\xff\xff\xff"):  # fmt: skip
            self.assert_refused(HEADER, octets)

    def test_nested(self) -> None:
        """Deep nesting is refused, also in properties."""
        self.assert_refused(HEADER, b"\x91" * 100_000)
        send = b"\x97\x0b\xc4\0\xc4\0\xc4\0\0\x90\x81\xa1a"
        self.assert_refused(HEADER, b"\x91" + send + b"\x91" * 100_000)


class SplitTests(SynchronousTestCase):
    """What does not fit into one BATCH."""

    def commands_in(self, messages: list[list[bytes]]) -> list[mlm.Command]:
        """Return the commands in messages, whose sizes must be within the limits."""
        found: list[mlm.Command] = []
        for frames in messages:
            if is_batch(frames):
                found += decode_batch(frames, mlm.Peer.CLIENT)
            else:
                found.append(decode_with_properties(frames))
        return found

    def test_many_commands(self) -> None:
        """More than 1000 commands are several batches, in order."""
        commands: list[mlm.Command] = [mlm.Credit(number) for number in range(2500)]
        messages = list(encode_batch(commands))
        self.assertEqual(self.commands_in(messages), commands)
        self.assertGreater(len(messages), 2)

    def test_many_octets(self) -> None:
        """More than 1 MiB is several batches, in order."""
        contents = [(bytes([number]) * 60_000,) for number in range(40)]
        commands: list[mlm.Command] = [mlm.ServiceSend(b"s", b"x", b"", 0, content) for content in contents]
        messages = list(encode_batch(commands))
        self.assertEqual(self.commands_in(messages), commands)
        self.assertTrue(all(is_batch(frames) for frames in messages))

    def test_large_content(self) -> None:
        """A command with more than 64 KiB of content is a separate message; the order is kept."""
        large = mlm.ServiceSend(b"s", b"x", b"", 0, (bytes(MAX_CONTENT_OCTETS), b"1"), {"h-a": b"1"})
        commands: list[mlm.Command] = [SEND, SEND, large, SEND, SEND]
        messages = list(encode_batch(commands))
        self.assertEqual([is_batch(frames) for frames in messages], [True, False, True])
        self.assertEqual(self.commands_in(messages), commands)

    def test_many_frames(self) -> None:
        """A command with more than 1000 frames is a separate message; in a BATCH it cannot be decoded."""
        many = mlm.ServiceSend(b"s", b"x", b"", 0, (b"",) * 1001)
        self.assertEqual(list(encode_batch([SEND, many]))[1], encode(many))
        frames = batch_of([[11, b"s", b"x", b"", 0, [b""] * 1001]])
        self.assertRaises(ProtocolError, decode_batch, frames, mlm.Peer.CLIENT)

    def test_one_command(self) -> None:
        """A single command without properties is sent as before."""
        self.assertEqual(list(encode_batch([SEND])), [encode(SEND)])

    def test_one_command_with_properties(self) -> None:
        """A single command with properties is a BATCH, unless its content is large."""
        command = mlm.ServiceSend(b"s", b"x", b"", 0, (b"1",), {"h-a": b"1"})
        (frames,) = encode_batch([command])
        self.assertEqual(decode_batch(frames, mlm.Peer.CLIENT), [command])


class OutgoingTests(SynchronousTestCase):
    """The commands of one iteration of the event loop."""

    def test_taken_once(self) -> None:
        """What was taken is not there any more."""
        outgoing = Outgoing()
        outgoing.append(SEND)
        self.assertTrue(outgoing)
        self.assertEqual(outgoing.take(), [encode(SEND)])
        self.assertFalse(outgoing)
        self.assertEqual(outgoing.take(), [])

"""Properties of commands: in header frames, and their limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import ProtocolError, ValueTooLong
from alaska.mlm import properties
from alaska.mlm.commands import Properties
from alaska.mlm.properties import MAX_OCTETS, check, decode, encode, headers_of, leaves_room, of_headers, to_number

KEYS = st.text(max_size=60)
VALUES = st.binary(max_size=200) | st.integers(0, 2**64 - 1) | st.text(max_size=200)
PROPERTIES = st.dictionaries(KEYS, VALUES, max_size=32)


class HeaderFrameTests(SynchronousTestCase):
    """Properties after the last field of a header frame."""

    @given(PROPERTIES, st.binary(max_size=20))
    def test_round_trip(self, some: Properties, header: bytes) -> None:
        """Properties are decoded as they were encoded; numbers and texts become octets."""
        expected = {key: properties.to_octets(value) for key, value in some.items()}
        self.assertEqual(decode(header + encode(some), len(header)), expected)

    @given(st.binary(max_size=100))
    def test_any_octets(self, octets: bytes) -> None:
        """Octets that are no properties are a protocol error, and nothing else."""
        try:
            some = decode(octets, 0)
        except ProtocolError:
            return
        self.assertLessEqual(sum(map(len, some.values())), len(octets))

    def test_layout(self) -> None:
        """The layout is a number-4, then for each a string and a number-4 with that many octets."""
        self.assertEqual(encode({"ab": b"xyz", "n": 7}), b"\0\0\0\2\2ab\0\0\0\3xyz\1n\0\0\0\0017")

    def test_lengths_that_do_not_match(self) -> None:
        """Each octet must belong to a property."""
        whole = encode({"ab": b"xyz"})
        for octets in (
            whole[:-1],
            whole + b"\0",
            b"",
            whole[:3],
            b"\0\0\0\1",
            b"\0\0\0\1\xffa",
            b"\0\0\0\1\1a\xff\xff\xff\xff",
        ):
            self.assertRaises(ProtocolError, decode, octets, 0)

    def test_too_many(self) -> None:
        """More than 32 properties are a protocol error, however many the number claims."""
        self.assertRaises(ProtocolError, decode, b"\0\0\0\x21" + b"\1a\0\0\0\0" * 33, 0)
        self.assertRaises(ProtocolError, decode, b"\xff\xff\xff\xff", 0)

    def test_too_large(self) -> None:
        """More than 64 KiB are a protocol error, and cannot be encoded."""
        self.assertRaises(ValueTooLong, encode, {"a": bytes(MAX_OCTETS)})
        self.assertRaises(ProtocolError, decode, b"\0\0\0\1\1a" + MAX_OCTETS.to_bytes(4, "big") + bytes(MAX_OCTETS), 0)

    def test_key_too_long(self) -> None:
        """A key has at most 255 octets, whatever the number of its characters."""
        self.assertRaises(ValueTooLong, encode, {"a" * 256: b""})
        self.assertRaises(ValueTooLong, encode, {"é" * 128: b""})


class BatchTests(SynchronousTestCase):
    """Properties in a BATCH."""

    @given(PROPERTIES)
    def test_accepted(self, some: Properties) -> None:
        """Octets, unsigned numbers and texts are accepted."""
        check(some, 1000)

    def test_other_types(self) -> None:
        """Values of other types are refused."""
        values: list[object] = [-1, True, None, 1.0, [], {}]
        for value in values:
            self.assertRaises(ProtocolError, check, {"a": value}, 10)

    def test_too_large(self) -> None:
        """Keys of more than 255 octets and more than 64 KiB are refused."""
        self.assertRaises(ProtocolError, check, {"é" * 128: b""}, 300)
        self.assertRaises(ProtocolError, check, {"a": bytes(MAX_OCTETS)}, MAX_OCTETS + 10)
        self.assertRaises(ProtocolError, check, {"a": "é" * MAX_OCTETS}, 2 * MAX_OCTETS)

    @given(PROPERTIES)
    def test_small_batch(self, some: Properties) -> None:
        """What is accepted in a BATCH can be encoded in a header frame."""
        check(some, 1000)
        encode(some)


class ValueTests(SynchronousTestCase):
    """Numbers, headers, and the room for the properties of the broker."""

    def test_numbers(self) -> None:
        """A number may be a number, or octets or text with decimal digits below 2^64."""
        for value in (12, b"12", "12", b"012"):
            self.assertEqual(to_number(value), 12)
        others: list[object] = [b"", b"x", b"-1", b"1.0", "²", b"18446744073709551616", bytes(100), None]
        for other in others:
            self.assertIsNone(to_number(other))

    def test_headers(self) -> None:
        """Headers are the properties whose keys begin with ``h-``."""
        named = of_headers([(b"a", b"1"), (b"", b"2")])
        self.assertEqual(named, {"h-a": b"1", "h-": b"2"})
        self.assertEqual(headers_of({**named, "at": 5, "h-t": "é"}), ((b"a", b"1"), (b"", b"2"), (b"t", "é".encode())))

    def test_room(self) -> None:
        """The broker can add its own to 29 properties, unless they are too large."""
        self.assertTrue(leaves_room({str(number): b"" for number in range(29)}))
        self.assertFalse(leaves_room({str(number): b"" for number in range(30)}))
        self.assertFalse(leaves_room({"a": bytes(MAX_OCTETS - 100)}))

"""Delivery of stream messages to live readers."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, ERROR_500, OK, PING, BrokerTestCase


class StreamTests(BrokerTestCase):
    """Live streams."""

    def test_to_every_reader_once(self) -> None:
        """A message is delivered once, unchanged, to each reader with a matching pattern."""
        for name in ("r1", "r2"):
            self.open(name, mlm.StreamRead(b"s", b"a"), mlm.StreamRead(b"s", b"b"), mlm.StreamRead(b"s", b"a"))
        self.open("r3", mlm.StreamRead(b"s", b"z"))
        content = (b"", b"\0\xff", b"end")
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"ab", content))
        for name in ("r1", "r2"):
            self.assertEqual(self.take(name), [mlm.StreamDeliver(b"s", b"w", b"ab", content)])
        self.assertEqual(self.take("r3"), [])

    def test_never_to_the_sender(self) -> None:
        """A client that reads and writes the same stream does not get its own messages."""
        self.open("w", mlm.StreamRead(b"s", b""), mlm.StreamWrite(b"s"))
        self.assertEqual(self.say("w", mlm.StreamSend(b"x", ())), [])

    def test_second_write_replaces_the_first(self) -> None:
        """A client writes to the stream of its last STREAM-WRITE."""
        self.open("r", mlm.StreamRead(b"one", b""), mlm.StreamRead(b"two", b""))
        self.open("w", mlm.StreamWrite(b"one"), mlm.StreamWrite(b"two"), mlm.StreamSend(b"x", ()))
        (delivery,) = self.take("r")
        assert isinstance(delivery, mlm.StreamDeliver)
        self.assertEqual(delivery.address, b"two")

    def test_cancel_one_stream(self) -> None:
        """Cancelling a stream affects no other client and no other stream."""
        for name in ("r1", "r2"):
            self.open(name, mlm.StreamRead(b"s", b"a"), mlm.StreamRead(b"s", b"x"), mlm.StreamRead(b"t", b""))
        self.assertEqual(self.say("r1", mlm.StreamCancel(b"s")), [OK])
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()), mlm.StreamWrite(b"t"), mlm.StreamSend(b"y", ()))
        self.assertEqual(self.taken("r1"), [b"y"])
        self.assertEqual(self.taken("r2"), [b"x", b"y"])

    def test_cancel_what_is_not_read(self) -> None:
        """Cancelling a stream that the client does not read is answered OK, and affects no other reader."""
        self.open("r", mlm.StreamRead(b"s", b""))
        self.open("x")
        self.assertEqual(self.say("x", mlm.StreamCancel(b"s"), CLOSE), [OK, OK])
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [b"x"])

    def test_reader_that_left(self) -> None:
        """A reader that has closed is sent nothing more."""
        self.open("r", mlm.StreamRead(b"s", b""), CLOSE)
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.take("r"), [])

    def test_send_without_write(self) -> None:
        """STREAM-SEND before STREAM-WRITE is answered with ERROR 300 and ends the session, as in C."""
        self.open("w")
        self.assertEqual(self.say("w", mlm.StreamSend(b"x", ()), PING), [mlm.Error(300, b""), ERROR_500])

    def test_new_patterns_count_for_subjects_seen_before(self) -> None:
        """Adding or removing a pattern also takes effect for subjects that have been matched before."""
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.open("r", mlm.StreamRead(b"s", b"x"))
        self.do("w", mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [b"x"])
        self.do("r", mlm.StreamCancel(b"s"))
        self.do("w", mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [])

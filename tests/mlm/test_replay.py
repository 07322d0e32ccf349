"""Replayed streams of a client that reconnects."""

from __future__ import annotations

from msgspec.structs import replace

from alaska.mlm import commands as mlm
from alaska.mlm.setups import Request
from tests.mlm.machine_case import (
    ERROR_500,
    OK,
    MachineTestCase,
)


class ReplayTests(MachineTestCase):
    """Replayed streams after a reconnect."""

    REPLAY = mlm.StreamReplay(b"news", b"a", 0)

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def record(self, position: int, stream: bytes = b"news") -> mlm.StreamRecord:
        """Return the delivery of a record."""
        return mlm.StreamRecord(position, 0, stream, b"s", b"a", ())

    def ask(self, *commands: mlm.StreamReplay, last: int = 9) -> None:
        """Request replays, and let the broker answer."""
        for command in commands:
            self.machine.request(Request(command))
            self.hear(mlm.Ok(200, b"last=%d" % last))
        self.recorder.take()

    def open_again(self) -> list[mlm.Command]:
        """Let the client reconnect; return its setup commands."""
        self.hear(ERROR_500)
        self.recorder.take()
        self.hear(OK)
        return self.recorder.take()

    def test_goes_on_where_it_was(self) -> None:
        """After any number of reconnects, a replay continues after the last delivered record."""
        self.ask(self.REPLAY)
        self.hear(self.record(1), self.record(4))
        for _ in range(2):
            self.assertEqual(self.open_again(), [replace(self.REPLAY, position=5)])
        self.hear(mlm.Ok(200, b"last=9"), self.record(7))
        self.assertEqual(self.open_again(), [replace(self.REPLAY, position=8)])

    def test_nothing_came(self) -> None:
        """A replay without deliveries is requested again unchanged."""
        self.ask(self.REPLAY, replace(self.REPLAY, stream=b"other", position=3))
        self.hear(self.record(5))
        asked = [replace(self.REPLAY, position=6), replace(self.REPLAY, stream=b"other", position=3)]
        self.assertEqual(self.open_again(), asked)

    def test_from_now_on(self) -> None:
        """A replay of new records only misses no record that is written during a reconnect."""
        self.ask(replace(self.REPLAY, position=mlm.LIVE_ONLY))
        self.assertEqual(self.open_again(), [replace(self.REPLAY, position=10)])

    def test_another_pattern_asked_for_later(self) -> None:
        """Replays of one stream with several patterns each continue at their own position."""
        self.ask(self.REPLAY)
        self.hear(self.record(8))
        self.ask(replace(self.REPLAY, pattern=b"b"))
        self.assertEqual([each.position for each in self.open_again()], [9, 0])  # type: ignore[union-attr]
        self.hear(mlm.Ok(200, b"last=9"), mlm.Ok(200, b"last=9"), self.record(2))
        self.assertEqual([each.position for each in self.open_again()], [9, 3])  # type: ignore[union-attr]

    def test_stream_began_anew(self) -> None:
        """A stream whose last position is below the next expected one is a new stream, and is read from its start."""
        self.ask(replace(self.REPLAY, position=5))
        self.hear(self.record(9))
        self.assertEqual(self.open_again(), [replace(self.REPLAY, position=10)])
        self.hear(mlm.Ok(200, b"last=3"))
        self.assertEqual(self.recorder.take(), [self.REPLAY])
        self.hear(mlm.Ok(200, b"last=3"), self.record(1))
        self.assertEqual(self.open_again(), [replace(self.REPLAY, position=2)])

    def test_position_to_come(self) -> None:
        """If the program has requested a position beyond the end of the stream, a reconnect does not change it."""
        self.ask(replace(self.REPLAY, position=50))
        self.assertEqual(self.open_again(), [replace(self.REPLAY, position=50)])

    def test_nothing_more_after_a_close(self) -> None:
        """A client that is closing does not request a replay again."""
        self.ask(self.REPLAY)
        self.hear(self.record(9))
        self.open_again()
        self.machine.close()
        self.recorder.take()
        self.hear(mlm.Ok(200, b"last=3"))
        self.assertEqual(self.recorder.take(), [])

    def test_cancelled(self) -> None:
        """A replay that is requested again after a cancel starts at the requested position."""
        self.ask(self.REPLAY)
        self.hear(self.record(5))
        self.machine.request(Request(mlm.StreamCancel(b"news")))
        self.ask(self.REPLAY)
        self.assertEqual(self.open_again(), [self.REPLAY])

"""Frames out of a pipe, however they are cut."""

from __future__ import annotations

import os
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.pool.pipes import HEADER, MOST_OCTETS, TICKET, BadFrame, Frame, Frames, Kind, encoded, write_all

FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.binary(max_size=300)))


class FramesTests(SynchronousTestCase):
    """Cutting octets into frames."""

    @given(FRAMES, st.integers(1, 400))
    def test_any_pieces(self, frames: list[tuple[Kind, int, bytes]], size: int) -> None:
        """The frames are the same, whatever the pieces are in which their octets come."""
        octets = b"".join(encoded(*each) for each in frames)
        cut = Frames()
        found: list[Frame] = []
        for start in range(0, len(octets), size):
            cut.add(octets[start : start + size])
            while (frame := cut.next()) is not None:
                found.append(frame)
        self.assertEqual(found, frames)
        self.assertFalse(cut.is_partial)

    def test_partial(self) -> None:
        """A frame that has begun to come is told from none."""
        cut = Frames()
        octets = encoded(Kind.ENDED, 1, b"payload")
        cut.add(octets + octets[:1])
        self.assertEqual(cut.next(), (Kind.ENDED, 1, b"payload"))
        self.assertIsNone(cut.next())
        self.assertTrue(cut.is_partial)

    def test_too_large(self) -> None:
        """A frame that says that it is larger than any is refused before it comes."""
        cut = Frames()
        cut.add(HEADER.pack(MOST_OCTETS + 1, Kind.ENDED, 1))
        self.assertRaises(BadFrame, cut.next)

    def test_tickets(self) -> None:
        """Pages of a pipe hold whole tickets."""
        self.assertEqual(4096 % TICKET.size, 0)


class WriteTests(SynchronousTestCase):
    """Writing more than a pipe holds."""

    def test_more_than_a_pipe_holds(self) -> None:
        """All of it is written, as it is read."""
        octets = os.urandom(300_000)
        source, sink = os.pipe()

        def write() -> None:
            write_all(sink, memoryview(octets))
            os.close(sink)

        thread = Thread(target=write)
        thread.start()
        with open(source, "rb") as file:
            self.assertEqual(file.read(), octets)
        thread.join()

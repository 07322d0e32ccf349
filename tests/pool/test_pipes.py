"""Frames of the pipe protocol."""

from __future__ import annotations

import os
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.pool.pipes import HEADER, MOST_OCTETS, TICKET, BadFrame, Frame, Frames, Kind, encoded, write_all

FRAMES = st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 2**64 - 1), st.binary(max_size=300)))


class FramesTests(SynchronousTestCase):
    """Splitting octets into frames."""

    @given(FRAMES, st.integers(1, 400))
    def test_any_pieces(self, frames: list[tuple[Kind, int, bytes]], size: int) -> None:
        """Frames are decoded correctly, in whatever pieces their octets arrive."""
        octets = b"".join(encoded(*each) for each in frames)
        decoder = Frames()
        found: list[Frame] = []
        for start in range(0, len(octets), size):
            decoder.add(octets[start : start + size])
            while (frame := decoder.next()) is not None:
                found.append(frame)
        self.assertEqual(found, frames)
        self.assertFalse(decoder.is_partial)

    def test_partial(self) -> None:
        """``is_partial`` is true if the buffer ends in the middle of a frame."""
        decoder = Frames()
        octets = encoded(Kind.ENDED, 1, b"payload")
        decoder.add(octets + octets[:1])
        self.assertEqual(decoder.next(), (Kind.ENDED, 1, b"payload"))
        self.assertIsNone(decoder.next())
        self.assertTrue(decoder.is_partial)

    def test_too_large(self) -> None:
        """A frame that is larger than the limit is refused when its header arrives."""
        decoder = Frames()
        decoder.add(HEADER.pack(MOST_OCTETS + 1, Kind.ENDED, 1))
        self.assertRaises(BadFrame, decoder.next)

    def test_tickets(self) -> None:
        """The page size is a multiple of the size of a ticket."""
        self.assertEqual(4096 % TICKET.size, 0)


class WriteTests(SynchronousTestCase):
    """Writing more than a pipe holds."""

    def test_more_than_a_pipe_holds(self) -> None:
        """All octets are written while another thread reads them."""
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

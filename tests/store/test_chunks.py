"""Large content in chunks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import DamagedRow
from alaska.store import chunks
from alaska.store.chunks import from_chunks, to_chunks
from tests import examples


class ChunksTests(SynchronousTestCase):
    """Splitting and joining content."""

    @settings(max_examples=examples(100))
    @given(st.lists(st.binary(max_size=40), min_size=1), st.integers(1, 30))
    def test_any(self, frames: list[bytes], octets: int) -> None:
        """Any frames can be split and joined with any size of chunks, and no chunk is larger than twice that size."""
        before, chunks.CHUNK_OCTETS = chunks.CHUNK_OCTETS, octets
        try:
            split = list(to_chunks(tuple(frames)))
        finally:
            chunks.CHUNK_OCTETS = before
        self.assertEqual(from_chunks(split), tuple(frames))
        self.assertLess(max(map(len, split)), 2 * octets + 4 * len(frames) + 4)

    def test_not_whole(self) -> None:
        """Missing or truncated chunks are detected as damage."""
        whole = [b"\0\0", b"\0\3a", b"bc\0\0\0\1x"]
        self.assertEqual(from_chunks(whole), (b"abc", b"x"))
        for damaged in (whole[:1], whole[:2], [*whole, b"\0"], [], [b"\xff" * 8]):
            self.assertRaises(DamagedRow, from_chunks, damaged)

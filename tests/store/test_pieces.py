"""Large content in chunks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import DamagedRow
from alaska.store import pieces
from alaska.store.pieces import from_pieces, to_pieces
from tests import examples


class PiecesTests(SynchronousTestCase):
    """Splitting and joining content."""

    @settings(max_examples=examples(100))
    @given(st.lists(st.binary(max_size=40), min_size=1), st.integers(1, 30))
    def test_any(self, frames: list[bytes], octets: int) -> None:
        """Any frames can be split and joined with any size of chunks, and no chunk is larger than twice that size."""
        before, pieces.PIECE_OCTETS = pieces.PIECE_OCTETS, octets
        try:
            cut = list(to_pieces(tuple(frames)))
        finally:
            pieces.PIECE_OCTETS = before
        self.assertEqual(from_pieces(cut), tuple(frames))
        self.assertLess(max(map(len, cut)), 2 * octets + 4 * len(frames) + 4)

    def test_not_whole(self) -> None:
        """Missing or truncated chunks are detected as damage."""
        whole = [b"\0\0", b"\0\3a", b"bc\0\0\0\1x"]
        self.assertEqual(from_pieces(whole), (b"abc", b"x"))
        for damaged in (whole[:1], whole[:2], [*whole, b"\0"], [], [b"\xff" * 8]):
            self.assertRaises(DamagedRow, from_pieces, damaged)

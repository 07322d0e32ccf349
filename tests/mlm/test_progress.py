"""The reason of a CONFIRM that tells how far a request is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.mlm.progress import MAX_TEXT_OCTETS, Progress, read_progress, write_progress

TEXTS = st.text(max_size=60).map(str.strip).map(str.encode)


class ProgressTests(SynchronousTestCase):
    """Fractions and texts."""

    @given(st.integers(0, 1000), TEXTS)
    def test_round_trip(self, thousandth: int, text: bytes) -> None:
        """What is written can be read: the fraction with four digits, and the text."""
        read = read_progress(write_progress(thousandth / 1000, text))
        self.assertEqual(read, Progress(thousandth / 1000, text))

    @given(st.binary(max_size=300))
    def test_any_octets(self, octets: bytes) -> None:
        """Of any octets, only those with a fraction from 0 to 1 in front are progress."""
        read = read_progress(octets)
        self.assertTrue(read is None or 0.0 <= read.fraction <= 1.0)

    def test_layout(self) -> None:
        """The reason is the fraction, and after a space the text, if there is one."""
        self.assertEqual(write_progress(0.25, b"a b"), b"0.25 a b")
        self.assertEqual(write_progress(1, b""), b"1")

    @given(st.text(min_size=100, max_size=400))
    def test_long_text(self, text: str) -> None:
        """A long text is cut after a whole character, so that the reason fits into a string of the wire."""
        reason = write_progress(0.123456, text.encode())
        read = read_progress(reason)
        assert read is not None
        self.assertLessEqual(len(reason), MAX_STRING_OCTETS)
        self.assertLessEqual(len(read.text), MAX_TEXT_OCTETS)
        self.assertTrue(text.startswith(read.text.decode()))

    def test_out_of_range(self) -> None:
        """A fraction that is not from 0 to 1 is an error to write, and is not read."""
        for fraction in (-0.1, 1.1, float("nan"), float("inf")):
            with self.assertRaises(ValueError):
                write_progress(fraction)
        for reason in (b"", b"nan x", b"-1", b"2", b"x 0.5", b"0.5 " + b"x" * 300):
            self.assertIsNone(read_progress(reason))

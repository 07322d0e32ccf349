"""Histograms that are cheap to add to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.system.histogram import SECONDS, Histogram, percentile


class HistogramTests(SynchronousTestCase):
    """What a histogram has counted."""

    def test_empty(self) -> None:
        """A new histogram has no values."""
        self.assertEqual(Histogram((1.0, 2.0)).read(), ((1.0, 2.0), [0, 0, 0], 0.0))

    def test_bounds(self) -> None:
        """A bound belongs to the bucket below it, and what is above all bounds has a bucket of its own."""
        histogram = Histogram((1.0, 2.0))
        for value in (0.0, 1.0, 1.5, 2.0, 7.0):
            histogram.add(value)
        self.assertEqual(histogram.read().counts, [2, 2, 1])

    def test_read_often(self) -> None:
        """Reading does not change what is counted, whatever comes next."""
        histogram = Histogram((1.0,))
        for value, total in ((0.5, 0.5), (0.5, 1.0), (3.0, 4.0)):
            histogram.add(value)
            histogram.read()
            self.assertEqual(histogram.read().total, total)
        self.assertEqual(histogram.read().counts, [2, 1])

    @given(st.lists(st.sampled_from([0.0, 0.0004, 0.0005, 0.25, 0.3, 299.0, 301.0])))
    def test_repeats(self, values: list[float]) -> None:
        """Values that a caller counts as repeats are counted as if they were added."""
        quick, slow = Histogram(), Histogram()
        for value in values:
            slow.add(value)
            if value == quick.last:
                quick.repeats += 1
            else:
                quick.add(value)
        self.assertEqual(quick.read().counts, slow.read().counts)
        self.assertAlmostEqual(quick.read().total, sum(values), places=6)
        self.assertEqual(sum(slow.read().counts), len(values))

    def test_sum(self) -> None:
        """The sum of two readings has the values of both."""
        one, other = Histogram(), Histogram()
        one.add(0.01)
        other.add(0.01)
        other.add(400.0)
        both = one.read() + other.read()
        self.assertEqual((both.counts[SECONDS.index(0.01)], both.counts[-1], both.total), (2, 1, 400.02))


class PercentileTests(SynchronousTestCase):
    """Percentiles that are estimated from a histogram."""

    def test_interpolated(self) -> None:
        """A percentile is within the bucket that has it, by its share of the bucket."""
        self.assertEqual(percentile((1.0, 2.0, 4.0), (0, 10, 0, 0), 0.5), 1.5)
        self.assertEqual(percentile((1.0, 2.0, 4.0), (50, 0, 50, 0), 0.99), 3.96)

    def test_ends(self) -> None:
        """Without values there is none; beyond the last bound it is the last bound."""
        self.assertIsNone(percentile((1.0, 2.0), (0, 0, 0), 0.5))
        self.assertEqual(percentile((1.0, 2.0), (0, 0, 7), 0.5), 2.0)

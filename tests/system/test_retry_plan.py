"""Retry plans."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.system.retry_plan import MOST_MILLISECONDS, Backoff, Plan, backoff_from, backoff_of, merged

CHANCE = st.floats(0, 1)
BACKOFF = st.lists(st.integers(1, MOST_MILLISECONDS), min_size=2, max_size=2).map(lambda both: Backoff(*sorted(both)))


class BackoffTests(SynchronousTestCase):
    """The waits between the attempts."""

    def test_doubles(self) -> None:
        """The wait doubles from the first one on, and half of it is random."""
        backoff = Backoff(1000, 300_000)
        self.assertEqual([backoff.milliseconds(attempt, 1.0) for attempt in (1, 2, 3)], [1000, 2000, 4000])
        self.assertEqual([backoff.milliseconds(attempt, 0.0) for attempt in (1, 2, 3)], [500, 1000, 2000])

    @given(BACKOFF, st.integers(0, 10**9), CHANCE)
    def test_limits(self, backoff: Backoff, attempt: int, chance: float) -> None:
        """No wait is longer than the longest, or shorter than half of the first."""
        wait = backoff.milliseconds(attempt, chance)
        self.assertTrue(max(1, backoff.first // 2) <= wait <= backoff.most, wait)

    def test_range(self) -> None:
        """A first wait of 0, one above the longest, and more than 30 days are refused."""
        for first, most in ((0, 5), (6, 5), (1, MOST_MILLISECONDS + 1)):
            self.assertRaises(ValueError, backoff_of, first, most)


class PropertyTests(SynchronousTestCase):
    """The property of a message."""

    @given(BACKOFF)
    def test_read(self, backoff: Backoff) -> None:
        """Two numbers are read."""
        self.assertEqual(backoff_from(b"%d %d" % backoff), backoff)

    @given(st.binary(max_size=30))
    def test_any_octets(self, octets: bytes) -> None:
        """Any octets are read as a valid backoff, or refused."""
        try:
            backoff = backoff_from(octets)
        except ValueError:
            return
        self.assertEqual(backoff_of(*backoff), backoff)

    def test_refused(self) -> None:
        """One number, three, a sign, a unit and many digits are refused."""
        for octets in (b"", b"1", b"1 2 3", b"-1 2", b"1s 2s", b"1  2", b"1 " + b"9" * 5000):
            self.assertRaises(ValueError, backoff_from, octets)


class MergeTests(SynchronousTestCase):
    """Several plans for one request."""

    def test_first_counts(self) -> None:
        """Of each part, the first that is given counts."""
        plans = Plan(None, Backoff(1, 2)), None, Plan(3), Plan(4, Backoff(3, 4))
        self.assertEqual(merged(*plans), Plan(3, Backoff(1, 2)))

    def test_nothing_given(self) -> None:
        """Without any plan, nothing is said."""
        self.assertEqual(merged(), Plan(None, None))

"""Durations as text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.system.durations import to_milliseconds, to_text


class DurationTests(SynchronousTestCase):
    """Reading and writing durations."""

    def test_units(self) -> None:
        """Each unit has its length."""
        found = [to_milliseconds(text) for text in ("7ms", "90s", "5m", "2h", "30d", "0s")]
        self.assertEqual(found, [7, 90_000, 300_000, 7_200_000, 2_592_000_000, 0])

    def test_refused(self) -> None:
        """Anything but digits and a unit is refused."""
        for text in ("", "5", "s", "-1s", "+1s", "1.5s", "1 s", "1S", "1s ", "\u0661s", "9" * 13 + "s", "1w"):
            self.assertRaises(ValueError, to_milliseconds, text)

    @given(st.integers(0, 10**11))
    def test_round_trip(self, milliseconds: int) -> None:
        """A duration that was written is read as the same."""
        self.assertEqual(to_milliseconds(to_text(milliseconds)), milliseconds)

    def test_largest_unit(self) -> None:
        """A duration is written with the largest unit that is exact."""
        self.assertEqual([to_text(each) for each in (0, 1, 1000, 90_000, 300_000)], ["0s", "1ms", "1s", "90s", "5m"])

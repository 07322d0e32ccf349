"""Durations, times and other terms on the command line."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.values import ATTEMPTS, BACKOFF, DURATION, PRIORITY, TIME


class TimeTests(SynchronousTestCase):
    """What the parsers accept."""

    def test_durations(self) -> None:
        """A duration is a number with a unit, or a number of seconds."""
        expected = {"90s": 90.0, "10m": 600.0, "1.5h": 5400.0, "2d": 172800.0, "250ms": 0.25, "7": 7.0, "0": 0.0}
        self.assertEqual({text: DURATION.parse(text) for text in expected}, expected)

    def test_wrong_durations(self) -> None:
        """Anything else is an error."""
        for text in ("", "s", "-1s", "1w", "1 s", "1e3", "nan", "inf", "1s2m", "\u0664s", "9" * 15 + "d"):
            self.assertRaises(ValueError, DURATION.parse, text)

    def test_times(self) -> None:
        """A time is written by ISO 8601, in UTC, with an offset, or local."""
        eight = datetime(2026, 12, 1, 8, tzinfo=timezone.utc)
        self.assertEqual(TIME.parse("2026-12-01T08:00Z"), eight)
        self.assertEqual(TIME.parse("2026-12-01T10:00:00+02:00"), eight)
        self.assertEqual(TIME.parse("2026-12-01 08:00"), datetime(2026, 12, 1, 8).astimezone())

    def test_wrong_times(self) -> None:
        """Anything else is an error."""
        for text in ("", "Z", "tomorrow", "2026-13-01T08:00Z", "08:00", "2026-12-01T08:00ZZ", "2026-12-01T08:00xZ"):
            self.assertRaises(ValueError, TIME.parse, text)

    def test_priorities(self) -> None:
        """A priority is one digit."""
        self.assertEqual(PRIORITY.parse("9"), 9)
        for text in ("", "10", "-1", "x", "\u0664"):
            self.assertRaises(ValueError, PRIORITY.parse, text)

    @given(st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """Whatever the text, the result is of its type, or the error is that of the parser."""
        for parse, kind in ((DURATION.parse, float), (TIME.parse, datetime), (PRIORITY.parse, int)):
            with contextlib.suppress(ValueError):
                self.assertIsInstance(parse(text), kind)

    @given(st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2500, 1, 1)), st.integers(-720, 720))
    def test_any_time(self, naive: datetime, minutes: int) -> None:
        """A time with an offset is read as it was written."""
        written = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        self.assertEqual(TIME.parse(written.isoformat()), written)

    def test_attempts(self) -> None:
        """A number of attempts is from 1 to 1001."""
        self.assertEqual([ATTEMPTS.parse(text) for text in ("1", "1001")], [1, 1001])
        for text in ("", "0", "1002", "-1", "1.5", "many", "9" * 5000, "\u0661"):
            self.assertRaises(ValueError, ATTEMPTS.parse, text)

    def test_backoff(self) -> None:
        """A backoff is the first and the longest wait."""
        self.assertEqual(BACKOFF.parse("2s..10m"), (2.0, 600.0))
        for text in ("2s", "2s..", "10m..2s", "0s..2s", "1s..31d", "1s..2s..3s"):
            self.assertRaises(ValueError, BACKOFF.parse, text)

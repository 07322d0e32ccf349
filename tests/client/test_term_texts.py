"""Terms of a message as text, without a command line."""

from __future__ import annotations

from datetime import datetime, timezone

from twisted.trial.unittest import SynchronousTestCase

from alaska.client import term_texts


class TermTextTests(SynchronousTestCase):
    """What differs from the command line, which tests/commands/test_times.py tests."""

    def test_times(self) -> None:
        """Fractions of a second may have any number of digits, and a time without a zone stays without."""
        for digits, microsecond in (("5", 500_000), ("123", 123_000), ("123456789", 123_456)):
            expected = datetime(2026, 12, 1, 8, 0, 0, microsecond, tzinfo=timezone.utc)
            self.assertEqual(term_texts.point_in_time(f"2026-12-01T08:00:00.{digits}Z"), expected)
            self.assertEqual(term_texts.point_in_time(f"2026-12-01T10:00:00.{digits}+02:00"), expected)
        self.assertIsNone(term_texts.point_in_time("2026-12-01T08:00").tzinfo)

    def test_errors(self) -> None:
        """What is not valid raises ValueError with a sentence for a user."""
        for parse, text, expected in (
            (term_texts.duration, "soon", "it is not a duration"),
            (term_texts.point_in_time, "2" * 10_000, "it is not a time"),
            (term_texts.attempts, "0", "it is not from 1 to 1001"),
            (term_texts.priority, "10", "it is not a priority"),
            (term_texts.backoff, "2s", "it is not two durations"),
        ):
            with self.subTest(expected):
                self.assertIn(expected, str(self.assertRaises(ValueError, parse, text)))

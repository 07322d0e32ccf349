"""The times of cron expressions, above all where a clock is set for summer time."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import ScheduleError
from alaska.schedules.times import NEVER, SHORT, Times, check

BERLIN = ZoneInfo("Europe/Berlin")
UTC = timezone.utc
MOMENTS = st.integers(0, 4_000_000_000).map(float)
CRONS = st.sampled_from(
    [
        "* * * * *",
        "30 2 * * *",
        "0,30 2,3 * * *",
        "*/20 2 * * *",
        "0 * * * *",
        "0 0 29 2 *",
        "*/15 * * * * *",
        "5 0 * * 7",
    ]
)


def at(text: str) -> float:
    """Return a moment, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


class TimesTests(SynchronousTestCase):
    """Times of expressions in Berlin, where the clock was set forward on March 29, 2026, and back on October 25."""

    def times(self, cron: str, begin: str, count: int = 3) -> list[str]:
        """Return the next times, as a clock in Berlin shows them."""
        found = Times(cron, BERLIN).upcoming(at(begin), count)
        return [datetime.fromtimestamp(each, BERLIN).strftime("%d %H:%M %z") for each in found]

    def test_usual(self) -> None:
        """The time is that of the zone, in winter and in summer."""
        self.assertEqual(self.times("0 3 * * *", "2026-01-01T03:00+01:00", 1), ["02 03:00 +0100"])
        self.assertEqual(self.times("0 3 * * *", "2026-07-01T02:59+02:00", 1), ["01 03:00 +0200"])

    def test_left_out(self) -> None:
        """What is due at a time that is left out is due right after it, and several such times count once."""
        self.assertEqual(
            self.times("30 2 * * *", "2026-03-28T12:00+01:00"), ["29 03:00 +0200", "30 02:30 +0200", "31 02:30 +0200"]
        )
        self.assertEqual(self.times("10,30 2 * * *", "2026-03-28T12:00+01:00", 2), ["29 03:00 +0200", "30 02:10 +0200"])

    def test_twice(self) -> None:
        """What is due at a time that comes twice is due the first time."""
        self.assertEqual(self.times("30 2 * * *", "2026-10-25T00:00+02:00", 2), ["25 02:30 +0200", "26 02:30 +0100"])

    def test_begun_in_second_half(self) -> None:
        """In the second half of an hour that comes twice, what was due in the first half is not due again."""
        self.assertEqual(self.times("30 2 * * *", "2026-10-25T02:10+01:00", 1), ["26 02:30 +0100"])
        self.assertEqual(self.times("30 2,4 * * *", "2026-10-25T02:10+01:00", 1), ["25 04:30 +0100"])

    def test_passing_time(self) -> None:
        """An expression for each hour or some minutes goes by the time that passes."""
        self.assertEqual(
            self.times("0 * * * *", "2026-10-25T01:30+02:00"), ["25 02:00 +0200", "25 02:00 +0100", "25 03:00 +0100"]
        )
        self.assertEqual(self.times("0 * * * *", "2026-03-29T01:30+01:00", 2), ["29 03:00 +0200", "29 04:00 +0200"])

    def test_seconds(self) -> None:
        """With six fields, the first is the second."""
        self.assertEqual(Times("*/20 * * * * *", UTC).upcoming(100.0, 3), [120.0, 140.0, 160.0])

    def test_seconds_in_summer_time(self) -> None:
        """An expression with seconds is not due at a time that is left out, and twice at one that comes twice."""
        self.assertEqual(self.times("0 30 2 * * *", "2026-03-28T12:00+01:00", 1), ["30 02:30 +0200"])
        self.assertEqual(self.times("0 30 2 * * *", "2026-10-25T00:00+02:00", 2), ["25 02:30 +0200", "25 02:30 +0100"])

    def test_fractions(self) -> None:
        """A time is after a moment that is a fraction of a second earlier, and not after itself."""
        times = Times("* * * * *", UTC)
        self.assertEqual((times.after(59.5), times.after(60.0), times.after(60.5)), (60.0, 120.0, 120.0))

    def test_end_of_calendar(self) -> None:
        """There is no time after the last year, nor after a moment that is none."""
        for moment in (253402300799.0, 1e18, float("inf"), float("nan")):
            self.assertEqual(Times("0 0 1 1 *", BERLIN).after(moment), NEVER)

    @given(CRONS, MOMENTS)
    def test_later(self, cron: str, moment: float) -> None:
        """The next time is later; beginning anywhere before it gives the same one, as it does after a restart."""
        times = Times(cron, BERLIN)
        found = times.after(moment)
        self.assertGreater(found, moment)
        self.assertEqual(times.after((moment + found) // 2), found)
        self.assertEqual(times.upcoming(moment, 2), [found, times.after(found)])


class CheckTests(SynchronousTestCase):
    """Expressions that are refused."""

    def refused(self, cron: str) -> str:
        """Return why an expression is refused."""
        return str(self.assertRaises(ScheduleError, check, cron))

    def test_refused(self) -> None:
        """The error names the part that is not valid."""
        self.assertIn("bad minute", self.refused("60 * * * *"))
        self.assertIn("bad day-of-week", self.refused("0 0 * * mo"))
        self.assertIn("found 4 in '0 3 * *'", self.refused("0 3 * *"))
        self.assertIn("is none of @hourly, @daily", self.refused("@dayly"))
        self.assertIn("at most 255 octets, found 300", self.refused("1" * 300))

    def test_never(self) -> None:
        """An expression that has no times is refused."""
        self.assertIn("has no time within 50 years", self.refused("0 0 */31 * MON#5"))
        self.assertIn("bad day-of-month", self.refused("0 0 30 2 *"))

    def test_short(self) -> None:
        """The short forms are valid."""
        for short in SHORT:
            check(short)
        self.assertEqual(Times("@hourly", UTC).after(0.0), 3600.0)

    @given(st.text(st.sampled_from("0123456789*/,-#LWlw @SUNmon\t²\ud800"), max_size=40) | st.text(max_size=40))
    def test_hostile(self, cron: str) -> None:
        """Any text is either an expression with times, or refused with a sentence."""
        try:
            check(cron)
        except ScheduleError as error:
            self.assertTrue(str(error))
        else:
            self.assertTrue(Times(cron, BERLIN).upcoming(0.0, 1))

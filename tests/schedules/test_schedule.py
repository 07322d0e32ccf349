"""Schedules, and the lines that describe them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import ScheduleError
from alaska.schedules.schedule import Schedule, checked, parse, write

WORDS = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="'\""), min_size=1, max_size=40)
NAMES = st.from_regex("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)
SCHEDULES = st.builds(
    Schedule,
    name=NAMES,
    cron=st.sampled_from(["0 3 * * *", "*/5 * * * * *", "@daily", "0 0 1 1 MON#1"]),
    service=(WORDS | st.sampled_from(["paused", "a=b", "a b", "it's", 'say "x"', "zone=x"])).map(str.encode),
    subject=(WORDS | st.sampled_from(["paused", "a b", " "])).map(str.encode),
    content=st.sampled_from([b"", b'{"a": "it\'s"}', b"plain text", b"'quoted'", b"[1, 2]"]),
    zone=st.sampled_from([None, "Europe/Berlin", "UTC"]),
    missed=st.sampled_from(["skip", "once"]),
    overlap=st.sampled_from(["skip", "queue"]),
    paused=st.booleans(),
)


class ParseTests(SynchronousTestCase):
    """Lines of text."""

    def refused(self, text: str) -> str:
        """Return why a line is refused."""
        return str(self.assertRaises(ScheduleError, parse, text))

    def test_short(self) -> None:
        """Name, expression, service and subject are enough."""
        expected = Schedule(name="nightly", cron="0 3 * * *", service=b"default", subject=b"report")
        self.assertEqual(parse("nightly '0 3 * * *' default report"), expected)
        self.assertEqual(parse('  nightly  "0 3 * * *"  default  report  '), expected)

    def test_options(self) -> None:
        """Options are between expression and service, in any order; the content is the rest."""
        found = parse(
            "n '0 3 * * *' overlap=skip paused zone=Europe/Berlin missed=once default report {\"a\": 'x'}".replace(
                "'x'", '"x"'
            )
        )
        self.assertEqual(
            found,
            Schedule(
                name="n", cron="0 3 * * *", service=b"default", subject=b"report", content=b'{"a": "x"}',
                zone="Europe/Berlin", missed="once", overlap="skip", paused=True,
            ),
        )  # fmt: skip

    def test_quoted(self) -> None:
        """Service and subject may be in quotes, and have any name then."""
        found = parse("n '0 3 * * *' 'paused' \"it's due\" 'x' y")
        self.assertEqual((found.paused, found.service, found.subject), (False, b"paused", b"it's due"))
        self.assertEqual(found.content, b"'x' y")

    def test_near_misses(self) -> None:
        """A word that is almost an option or value is refused with the one that may be meant."""
        for option, meant in (
            ("zoen=UTC", "zone"),
            ("Missed=once", "missed"),
            ("pausd", "paused"),
            ("missed=ones", "once"),
        ):
            self.assertIn(f"did you mean {meant}?", self.refused(f"n '0 3 * * *' {option} default report"))
        self.assertIn("did you mean Europe/Berlin?", self.refused("n '0 3 * * *' zone=Berlin default report"))

    def test_refused(self) -> None:
        """Whatever is missing, given twice, too long or not closed is named."""
        for text, reason in (
            ("", "the name is missing"),
            ("'n' '0 3 * * *' s t", "is not quoted"),
            ("n", "the cron expression in quotes is missing"),
            ("n 0 3 * * * s t", "must be in quotes"),
            ("n '0 3 * * * s t", "a quote is not closed"),
            ("n '0 3 * * *'s t", "a quote is not closed"),
            ("n '0 3 * * *'", "the service is missing"),
            ("n '0 3 * * *' s", "the subject is missing"),
            ("n '0 3 * * *' paused paused s t", "paused is given twice"),
            ("n '0 3 * * *' paused=1 s t", "paused has no value"),
            ("n '0 3 * * *' missed=never s t", "must be skip or once, found 'never'"),
            ("n '0 3 * *' s t", "found 4"),
            ("n/m '0 3 * * *' s t", "the name of a schedule has 1 to 100"),
            ("n" * 101 + " '0 3 * * *' s t", "the name of a schedule has 1 to 100"),
            ("n '0 3 * * *' alaska.admin drain", "a service of the broker itself has no schedules"),
            ("n '0 3 * * *' '' t", "the service has 1 to 255 octets, found 0"),
            ("n '0 3 * * *' s " + "t" * 256, "the subject has 1 to 255 octets, found 256"),
            ("n '0 3 * * *' s t " + "x" * 8193, "at most 8192 octets, found 8193"),
            ("n '0 3 * * *' s t {x}", "is not valid"),
            ("n '0 3 * * *' s t " + "[" * 8000, "is not valid"),
        ):
            self.assertIn(reason, self.refused(text), text[:40])

    @given(SCHEDULES)
    def test_written(self, schedule: Schedule) -> None:
        """A schedule is the same after it was written and read."""
        self.assertEqual(parse(write(checked(schedule))), schedule)

    @given(st.text() | st.text(st.sampled_from("n'\" =*03pauseds{}[]zone\\\t")))
    def test_hostile(self, text: str) -> None:
        """Any text is either a schedule that can be written and read again, or refused with a short sentence."""
        for line in (text, f"n '0 3 * * *' {text}"):
            try:
                found = parse(line)
            except ScheduleError as error:
                self.assertLess(len(str(error)), 1000)
            else:
                self.assertEqual(parse(write(found)), found)

"""Limits of services in the broker's settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config.service_limits import LIMIT, MOST_LIMITS, MOST_OF_SERVICE
from alaska.errors import ConfigurationError, PatternError
from alaska.service_limits import Rate, ServiceLimit
from tests.config.texts import broker, one

PATH = "mlm_server/service/limit"


def several(*values: str) -> str:
    """Return a text with several limits."""
    lines = ["mlm_server", "    service", *[f"        limit = '{value}'" for value in values]]
    return "\n".join(lines)


class ReadTests(SynchronousTestCase):
    """Values that are accepted."""

    def test_all(self) -> None:
        """A limit has a service, and its parts in any order."""
        expected = ServiceLimit(b"render", b"^thumb", Rate(5, "m"), 10, 4)
        found = broker(one(PATH, "render running=4 burst=10 subject=^thumb  rate=5/m")).service_limits
        self.assertEqual(found, (expected,))

    def test_units(self) -> None:
        """A rate is a number in a second, a minute or an hour."""
        for text, expected in (("50/s", 50.0), ("30/m", 0.5), ("36/h", 0.01)):
            rate = LIMIT.read(f"render rate={text}").rate
            assert rate is not None
            self.assertEqual(rate.per_second, expected)

    def test_several(self) -> None:
        """A service has one limit for all its requests, and one for each of several patterns."""
        settings = broker(several("render rate=5/s", "render subject=a running=1", "render subject=b running=1"))
        self.assertEqual([each.subject for each in settings.service_limits], [None, b"a", b"b"])

    @given(
        st.from_regex(r"[a-z.ä]{1,20}", fullmatch=True),
        st.none() | st.from_regex(r"\^?[a-z=]{1,20}", fullmatch=True),
        st.none() | st.tuples(st.integers(1, 1_000_000), st.sampled_from("smh"), st.integers(1, 1000)),
        st.integers(1, 1_000_000),
    )
    def test_written(self, name: str, subject: str | None, rate: tuple[int, str, int] | None, running: int) -> None:
        """A limit is written as it is read."""
        limit = ServiceLimit(
            name.encode(),
            None if subject is None else subject.encode(),
            None if rate is None else Rate(*rate[:2]),
            1 if rate is None else rate[2],
            running,
        )
        self.assertEqual(LIMIT.read(LIMIT.write(limit)), limit)

    @given(st.text() | st.from_regex(r"[a-z]{1,3}( (rate|burst|running|subject)=[0-9a-z/(*]{0,4}){0,4}"))
    def test_any_text(self, text: str) -> None:
        """Any other text is refused."""
        try:
            limit = LIMIT.read(text)
        except (ValueError, PatternError):
            return
        self.assertEqual(LIMIT.read(LIMIT.write(limit)), limit)


class RefusedTests(SynchronousTestCase):
    """Values that are refused, with file, line and reason."""

    def check(self, value: str, expected: str) -> None:
        """Check the error for a value."""
        error = self.assertRaises(ConfigurationError, broker, one(PATH, value))
        self.assertEqual(str(error), f"malamute.cfg:3: {PATH}{expected}")

    def test_parts(self) -> None:
        """Each part has a name and a valid value."""
        names = "expected subject=, rate=, burst=, running=, found"
        for value, expected in (
            ("render", "a limit has rate=, running= or both"),
            ("render subject=a", "a limit has rate=, running= or both"),
            ("render rte=5/s", f"{names} 'rte=5/s'; did you mean rate=?"),
            ("render Running=5", f"{names} 'Running=5'; did you mean running=?"),
            ("render max=5", f"{names} 'max=5'"),
            ("render rate", f"{names} 'rate'; did you mean rate=?"),
            ("render rate=1/s rate=2/s", "rate= is given more than once"),
            ("render running=4 burst=3", "burst= belongs to a rate=, which is missing"),
            ("render running=0", "running= must be a number from 1 to 1000000, found '0'"),
            ("render running=-1", "running= must be a number from 1 to 1000000, found '-1'"),
            ("render rate=1/s burst=", "burst= must be a number from 1 to 1000000, found ''"),
            ("render rate=0/s", "rate= must be a number from 1 to 1000000, found '0'"),
            ("render rate=50", "rate= must be a number and /s or /m or /h, such as 50/s, found '50'"),
            ("render rate=50/d", "rate= must be a number and /s or /m or /h, such as 50/s, found '50/d'"),
            ("render rate=1.5/s", "rate= must be a number and /s or /m or /h, such as 50/s, found '1.5/s'"),
            ("render subject= rate=1/s", "subject= is empty; without it, the limit is for all requests of the service"),
            (f"{'x' * 256} rate=1/s", "the name of a service has at most 255 octets"),
        ):
            self.check(value, f": {expected}")

    def test_no_service(self) -> None:
        """A limit begins with the name of a service."""
        for value in ("", "rate=5/s"):
            self.check(value, f" must be {LIMIT.expected}, found {value!r}")

    def test_pattern(self) -> None:
        """The pattern of a subject is checked."""
        error = self.assertRaises(ConfigurationError, broker, one(PATH, "render subject=( rate=1/s"))
        self.assertIn("malamute.cfg:3", str(error))

    def test_twice(self) -> None:
        """Requests have one limit, not two."""
        text = several("render rate=1/s", "render running=1", "render subject=a rate=1/s", "render subject=a running=1")
        error = self.assertRaises(ConfigurationError, broker, text)
        self.assertEqual(
            str(error),
            f"{PATH}: the service 'render' has two limits for all its requests\n"
            f"{PATH}: the service 'render' has two limits for the subject 'a'",
        )

    def test_too_many(self) -> None:
        """The number of limits is limited."""
        many = several(*[f"render subject=a{number} running=1" for number in range(MOST_OF_SERVICE + 1)])
        self.assertIn("expected at most 100", str(self.assertRaises(ConfigurationError, broker, many)))
        many = several(*[f"s{number} running=1" for number in range(MOST_LIMITS + 1)])
        self.assertIn("expected at most 1000", str(self.assertRaises(ConfigurationError, broker, many)))

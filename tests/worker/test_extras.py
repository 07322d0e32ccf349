"""What a request has besides what each request has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alaska.mlm.commands import Properties
from alaska.system.retry_plan import MOST_ATTEMPTS, Backoff, Plan
from alaska.worker.extras import Extras, ExtrasReader
from tests.network_case import LogCase

VALUES = st.binary(max_size=20) | st.integers(0, 2**64 - 1) | st.text(max_size=20)


class ExtrasTests(LogCase):
    """Reading the properties of requests."""

    def setUp(self) -> None:
        super().setUp()
        self.reader = ExtrasReader()

    def read(self, **properties: bytes | int | str) -> Extras:
        """Return the extras of a request with these properties."""
        return self.reader.read({"lease": 1, "attempt": 1, "since": 1, **properties})

    def test_plan(self) -> None:
        """Attempts and backoff are the plan, each written in any way."""
        for attempts, backoff in ((5, "10 20"), (b"5", b"10 20")):
            self.assertEqual(self.read(attempts=attempts, backoff=backoff).plan, Plan(5, Backoff(10, 20)))
        self.assertEqual(self.read(attempts=5).plan, Plan(5))

    def test_none(self) -> None:
        """Without these properties there is no plan, and the request was never put off."""
        self.assertEqual(self.read(), Extras())

    def test_others(self) -> None:
        """Headers and the number of times that a request was put off are read."""
        extras = self.read(**{"h-a": b"b"}, snoozes=3)
        self.assertEqual((extras.headers, extras.snoozes), (((b"a", b"b"),), 3))

    def test_record(self) -> None:
        """A request that was made from a record has its stream and position; others have neither."""
        bound, other = self.read(stream=b"s", position=7), self.read(stream=b"s")
        self.assertEqual([(each.stream, each.position) for each in (bound, other)], [(b"s", 7), (None, None)])

    def test_many_snoozes(self) -> None:
        """A number that Lua could not hold is cut."""
        self.assertEqual(self.read(snoozes=2**64 - 1).snoozes, 2**31 - 1)

    def test_not_valid(self) -> None:
        """A property that is not valid is ignored and logged; the other one counts."""
        self.assertEqual(self.read(attempts=b"many", backoff=b"10 20").plan, Plan(None, Backoff(10, 20)))
        self.assertEqual(self.read(attempts=3, backoff=b"20 10").plan, Plan(3))
        self.assertEqual(self.read(attempts=0).plan, Plan())
        (line,) = self.logged()
        self.assertEqual(line, "the property attempts of a request is not valid, and ignored: many (1 of these so far)")
        self.assertEqual(self.reader.ignored, 3)

    @given(st.dictionaries(st.sampled_from(["attempts", "backoff", "snoozes"]), VALUES))
    def test_any(self, properties: Properties) -> None:
        """Any properties are read."""
        plan = self.reader.read(properties).plan
        self.assertTrue(plan is None or plan.attempts is None or 0 < plan.attempts <= MOST_ATTEMPTS)

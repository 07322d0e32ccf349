"""A model of the limits of services: how many requests may run, and how many may be delivered in a time."""

from __future__ import annotations

from collections.abc import Container, Iterable

from alaska.service_limits import ServiceLimit
from tests.broker.model_state import SentMessage, matches

CATCH_UP_SECONDS = 1.0
"""For so long the broker may have been late."""


class LimitsModel:
    """The limits in force. Only the most that may be delivered is known of a rate, since the broker looks now and then.

    Requests with these contents were on their way before the limits were changed: ``before``.
    """

    def __init__(self) -> None:
        self.given: tuple[ServiceLimit, ...] = ()
        self._tokens: dict[ServiceLimit, float] = {}
        self._now = 0.0
        self.before: Container[bytes] = ()

    def configure(self, given: tuple[ServiceLimit, ...], now: float, before: Container[bytes]) -> None:
        """Replace the limits; at first, their buckets are full."""
        self.given, self.before, self._now = given, before, now
        self._tokens = {each: _most(each) for each in given if each.rate is not None}

    def of(self, message: SentMessage) -> list[ServiceLimit]:
        """Return the limits for a message."""
        return [
            each
            for each in self.given
            if message.queue.address == each.service
            and (each.subject is None or matches(each.subject, message.subject))
        ]

    def delivered(self, message: SentMessage, now: float, running: Iterable[SentMessage]) -> None:
        """Check that a request may be delivered while others run."""
        self._fill(now)
        for limit in () if message.content in self.before else self.of(message):
            count = sum(limit in self.of(each) for each in running)
            assert limit.running is None or count < limit.running, f"{message} is delivered while {count} run: {limit}"
            if limit in self._tokens:
                self._tokens[limit] -= 1
                assert self._tokens[limit] > -1e-6, f"{message} is delivered too early: {limit}"

    def may_wait(self, message: SentMessage, running: Iterable[SentMessage]) -> bool:
        """Return whether a request may wait although a worker is ready."""
        return any(
            limit.rate is not None or sum(limit in self.of(each) for each in running) >= (limit.running or 0)
            for limit in self.of(message)
        )

    def _fill(self, now: float) -> None:
        passed, self._now = max(0.0, now - self._now), now
        for limit in self._tokens:
            assert limit.rate is not None
            self._tokens[limit] = min(self._tokens[limit] + passed * limit.rate.per_second, _most(limit))


def _most(limit: ServiceLimit) -> float:
    assert limit.rate is not None
    return max(limit.burst, limit.rate.per_second * CATCH_UP_SECONDS + 1)

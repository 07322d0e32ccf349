"""The limits of services in force: what they count, and whether they hold requests back (docs/limits.md).

A limit counts from the delivery of a request on: it takes a token of the rate, and is one of the running requests until
it is confirmed, or waits again. Requests that a limit holds back are in lanes of their own
(:class:`alaska.broker.lanes.Limited`), so that they do not block others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from alaska.broker.rates import Bucket
from alaska.broker.subject_index import CacheMemory, Matches, SubjectIndex
from alaska.mlm.patterns import Pattern, compile_pattern
from alaska.service_limits import ServiceLimit

NO_LIMITS: Matches = frozenset()


class Limit:
    """One limit in force.

    ``running`` requests are delivered and not confirmed. ``is_held``: it has held a request back since the last
    :meth:`is_due`; ``held_at`` is when it did so last.
    """

    __slots__ = ("bucket", "given", "held_at", "is_held", "running")

    def __init__(self, given: ServiceLimit, now: float) -> None:
        self.given = given
        self.bucket: Bucket | None = None
        self.running = 0
        self.is_held = False
        self.held_at = float("-inf")
        self.configure(given, now)

    def configure(self, given: ServiceLimit, now: float) -> None:
        """Change the values of the limit; what it has counted stays."""
        self.given = given
        if given.rate is None:
            self.bucket = None
        elif self.bucket is None:
            self.bucket = Bucket(given.rate.per_second, given.burst, now)
        else:
            self.bucket.configure(given.rate.per_second, given.burst, now)

    def admits(self, now: float) -> bool:
        """Return whether another request may be delivered; if not, one is held back."""
        most = self.given.running
        if (self.bucket is None or self.bucket.has_token(now)) and (most is None or self.running < most):
            return True
        self.is_held = True
        self.held_at = now
        return False

    def is_due(self, now: float) -> bool:
        """Return whether it has held back a request that may be delivered now."""
        if not self.is_held:
            return False
        self.is_held = False
        return self.admits(now)


class ServiceLimits:
    """The limits of one service: of all its requests, and of those whose subjects match patterns.

    Subjects are given by the patterns of limits that they match (:meth:`patterns_of`). The service is added to
    ``freed`` when a request that was held back may be delivered since another one is not running any more.
    """

    def __init__(self, service: bytes, freed: dict[bytes, None], cache_memory: CacheMemory | None = None) -> None:
        self.service = service
        self._freed = freed
        self.whole: Limit | None = None
        """The limit for all requests of the service."""
        self._of_pattern: dict[Pattern, Limit] = {}
        self._index = SubjectIndex(cache_memory)
        self.has_warned_of_plain = False

    def configure(self, limits: Iterable[ServiceLimit], now: float) -> bool:
        """Replace the limits; return whether that changes the lanes. Limits for the same requests keep their counts."""
        whole = None
        of_pattern: dict[Pattern, Limit] = {}
        for given in limits:
            pattern = None if given.subject is None else compile_pattern(given.subject)
            limit = self.whole if pattern is None else self._of_pattern.get(pattern)
            if limit is None:
                limit = Limit(given, now)
            else:
                limit.configure(given, now)
            if pattern is None:
                whole = limit
            else:
                of_pattern[pattern] = limit
        before, self._of_pattern, self.whole = self._of_pattern, of_pattern, whole
        for pattern in before.keys() - of_pattern:
            self._index.discard(pattern)
        for pattern in of_pattern.keys() - before:
            self._index.add(pattern)
        return before.keys() != of_pattern.keys()

    def __iter__(self) -> Iterator[Limit]:
        """Return the limits, that of all requests first."""
        if self.whole is not None:
            yield self.whole
        yield from self._of_pattern.values()

    def __bool__(self) -> bool:
        """Whether there are limits."""
        return self.whole is not None or bool(self._of_pattern)

    def recount(self, subjects: Iterable[bytes]) -> None:
        """Count the running requests again, given the subjects of all of them."""
        for limit in self:
            limit.running = 0
        for subject in subjects:
            for limit in self._limits(self.patterns_of(subject)):
                limit.running += 1

    def patterns_of(self, subject: bytes) -> Matches:
        """Return the patterns of limits that match a subject."""
        return self._index.matching(subject) if self._of_pattern else NO_LIMITS

    @property
    def matched(self) -> int:
        """The number of patterns that subjects have been matched against so far."""
        return self._index.matched

    def _limits(self, patterns: Matches) -> Iterator[Limit]:
        if self.whole is not None:
            yield self.whole
        for pattern in patterns:
            yield self._of_pattern[pattern]

    # Deliveries

    def admits(self, patterns: Matches, now: float) -> bool:
        """Return whether a request with matching subject may be delivered; if not, it is held back."""
        return all(limit.admits(now) for limit in self._limits(patterns))

    def holds(self, subject: bytes) -> bool:
        """Return whether requests may be waiting that a limit has held back and that come before one that is new."""
        return self.holds_lane(self.patterns_of(subject))

    def holds_lane(self, patterns: Matches) -> bool:
        """Return the same for the subjects that match these patterns."""
        return any(limit.is_held for limit in self._limits(patterns))

    def admits_any(self, now: float) -> bool:
        """Return whether the limit for all requests admits another one."""
        return self.whole is None or self.whole.admits(now)

    def began(self, patterns: Matches) -> None:
        """Count the delivery of a request that was admitted."""
        for limit in self._limits(patterns):
            limit.running += 1
            if limit.bucket is not None:
                limit.bucket.take()

    def ended(self, subject: bytes) -> None:
        """Count a request that is not running any more."""
        for limit in self._limits(self.patterns_of(subject)):
            limit.running = max(limit.running - 1, 0)
            if limit.is_held and limit.given.running is not None:
                self._freed[self.service] = None

    def not_delivered(self, subject: bytes) -> None:
        """Return the tokens of a request that was not delivered after all."""
        for limit in self._limits(self.patterns_of(subject)):
            if limit.bucket is not None:
                limit.bucket.put_back()

    def was_held(self, subject: bytes, since: float) -> bool:
        """Return whether a request that waits since a time has been held back by a limit."""
        return any(limit.held_at >= since for limit in self._limits(self.patterns_of(subject)))

    def is_due(self, now: float) -> bool:
        """Return whether requests that were held back may be delivered now; each limit is asked."""
        due = [limit.is_due(now) for limit in self]
        return any(due)

    @property
    def counts_running(self) -> bool:
        """Whether there is a limit for running requests, which plain workers do not keep."""
        return any(limit.given.running is not None for limit in self)

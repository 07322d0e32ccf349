"""The consumers of a service that has limits: its offers, as far as the limits admit a request."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import cast

from twisted.logger import Logger

from alaska.broker.clients import Client
from alaska.broker.lanes import Limited
from alaska.broker.offers import Offers
from alaska.broker.service_limits import NO_LIMITS, ServiceLimits
from alaska.broker.subject_index import Matches
from alaska.names import printable


class LimitedOffers:
    """The offers of a service, and its limits; ``now`` returns the time of the call that is being carried out.

    The key of a lane is that of the offers, or :class:`Limited` for requests with subjects that have limits.
    """

    _log = Logger()

    def __init__(self, offers: Offers, limits: ServiceLimits, now: Callable[[], float]) -> None:
        self.offers = offers
        self.limits = limits
        self._now = now

    @property
    def is_empty(self) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self.offers.is_empty

    @property
    def clients(self) -> set[Client]:
        """See :class:`Offers`."""
        return self.offers.clients

    def patterns(self, most: int) -> list[bytes]:
        """See :class:`Offers`."""
        return self.offers.patterns(most)

    # Consumers

    @property
    def matched(self) -> int:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self.offers.matched + self.limits.matched

    def lane_of(self, subject: bytes) -> Hashable:
        """See :class:`alaska.broker.consumers.Consumers`."""
        lane = self.offers.lane_of(subject)
        patterns = self.limits.patterns_of(subject)
        return Limited(cast("Matches", lane), patterns) if lane and patterns else lane

    def next_of(self, lane: Hashable, tracker: bytes) -> Client | None:
        """See :class:`alaska.broker.consumers.Consumers`; a request that gets a consumer counts for the limits."""
        matches, patterns = _parts_of(lane)
        if not self.limits.admits(patterns, self._now()):
            return None
        client = self.offers.next_of(matches, tracker)
        if client is not None:
            self.limits.began(patterns)
            if client.credit is None:
                self._warn_of_plain(client)
        return client

    def is_ready(self, lane: Hashable) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        matches, patterns = _parts_of(lane)
        return self.offers.is_ready(matches) and self.limits.admits(patterns, self._now())

    def has_ready(self) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self.offers.has_ready() and self.limits.admits_any(self._now())

    def has_tracker_in_flight(self, tracker: bytes) -> bool:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self.offers.has_tracker_in_flight(tracker)

    def count(self, subject: bytes) -> int:
        """See :class:`alaska.broker.consumers.Consumers`."""
        return self.offers.count(subject)

    def _warn_of_plain(self, client: Client) -> None:
        if self.limits.counts_running and not self.limits.has_warned_of_plain:
            self.limits.has_warned_of_plain = True
            self._log.warn(
                "the service {service} has a limit for running requests, which is not kept for {client}: "
                "it does not confirm requests, so that only their rate can be limited",
                service=printable(self.limits.service),
                client=client.name,
            )


def _parts_of(lane: Hashable) -> tuple[Hashable, Matches]:
    return (lane.lane, lane.limits) if isinstance(lane, Limited) else (lane, NO_LIMITS)

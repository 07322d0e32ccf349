"""The limits of services as administrators see them, and how many requests they hold back."""

from __future__ import annotations

from alaska.admin import snapshots as shown
from alaska.admin.text import to_text
from alaska.broker.queue import Queue
from alaska.broker.service_limits import Limit


def shown_limits(queue: Queue) -> list[shown.ServiceLimit]:
    """Return the limits of the service of a queue."""
    return [] if queue.limits is None else [_shown(each) for each in queue.limits]


def held_back(queue: Queue) -> int:
    """Return how many requests of a queue are held back; see :meth:`alaska.broker.part.Part.held`."""
    return 0 if queue.limits is None else sum(part.held() for part in queue.parts)


def _shown(limit: Limit) -> shown.ServiceLimit:
    given = limit.given
    return shown.ServiceLimit(
        subject=None if given.subject is None else to_text(given.subject),
        rate=None if given.rate is None else str(given.rate),
        burst=None if given.rate is None else given.burst,
        running=given.running,
        used=limit.running,
        holds=limit.is_held,
    )

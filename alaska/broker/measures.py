"""What the broker measures of each service, of all mailboxes, and of all streams: totals and durations since its start.

The totals of a service stay when its queue goes, so they never fall. Names cost memory and come from clients; so only
the first services that a worker offers are measured separately, and all others together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from alaska.broker.past import MOST_ENDED, Past
from alaska.errors import DELIVERED, SUCCESS
from alaska.message import Message, QueueKind, QueueName
from alaska.system.histogram import Histogram

MOST_SERVICES = 50
"""The maximum number of services that are measured separately."""
KEPT_PER_SECOND = 100
"""So many messages of a service that have simply succeeded are kept in a second, after the first :data:`MOST_ENDED`."""


Keep: TypeAlias = Callable[[Message, str, int, bytes, float], None]
"""Keeps a message with its outcome, status, worker and the time of its end."""


class BrokerTime:
    """The broker's time and the offset of the wall clock at the last tick, in seconds."""

    __slots__ = ("now", "wall_offset")

    def __init__(self) -> None:
        self.now = self.wall_offset = 0.0


class QueueMeasures:
    """What was measured of the messages of one or several queues.

    - ``immediate``, ``immediate_octets``: messages that were delivered when they arrived, and their octets.
    - ``enqueued``, ``enqueued_octets``: messages that had to wait.
    - ``dequeued_octets``: the octets of those that were delivered after they had waited.
    - ``redelivered``: messages that wait again, since their receiver was lost or has returned them.
    - ``held``: messages that were delivered after a limit of their service had held them back.
    - ``retried``, ``snoozed``: messages that their receiver has put off, with and without spending an attempt.
    - ``waiting``: the seconds that messages waited in the queue for each delivery, without those that did not wait.
    - ``running``: the seconds from the delivery of a message to its confirmation as successful.
    - ``ended``: how many messages ended in another way, by outcome.

    Those that end are kept in the ``past``: with ``keep``, those that have succeeded at their first delivery, or that
    nobody had to confirm. Of these, ``room`` more are kept at present; the others cost nothing.
    """

    __slots__ = (
        "_keep",
        "_past",
        "_time",
        "dequeued_octets",
        "ended",
        "enqueued",
        "enqueued_octets",
        "held",
        "immediate",
        "immediate_octets",
        "redelivered",
        "retried",
        "room",
        "running",
        "snoozed",
        "waiting",
    )

    def __init__(self, time: BrokerTime, past: Past, keep: Keep) -> None:
        self._time = time
        self._past = past
        self._keep = keep
        self.room = MOST_ENDED
        self.immediate = self.immediate_octets = 0
        self.enqueued = self.enqueued_octets = 0
        self.dequeued_octets = 0
        self.redelivered = self.retried = self.snoozed = 0
        self.held = 0
        self.waiting = Histogram()
        self.running = Histogram()
        self.ended: dict[str, int] = {}

    def note_finished(self, message: Message, status: int, now: float, worker: bytes) -> None:
        """Count a message that ended with a status; ``worker`` had it, unless it has expired."""
        if status == SUCCESS:
            seconds, running = now - message.moved_at, self.running
            if seconds == running.last:
                running.repeats += 1
            else:
                running.add(seconds)
            if self.room or message.attempts != 1:
                self._keep_succeeded(message, worker, now)
        elif status == DELIVERED:
            self.count_ended("delivered")
            if self.room:
                self.room -= 1
                self._keep(message, "delivered", status, worker, now)
        else:
            self.note_ended(message, "expired", status, b"", worker)

    def _keep_succeeded(self, message: Message, worker: bytes, now: float) -> None:
        if message.attempts == 1:
            self.room -= 1
            self._keep(message, "succeeded", SUCCESS, worker, now)
        else:
            self._past.keep(message, "succeeded", SUCCESS, b"", worker)

    def note_returned(self, is_spent: bool) -> None:
        """Count a message that its receiver has put off; ``is_spent``: its delivery counts as an attempt."""
        if is_spent:
            self.retried += 1
        else:
            self.snoozed += 1

    def note_ended(self, message: Message, outcome: str, status: int, reason: bytes, worker: bytes = b"") -> None:
        """Count a message that was not confirmed as successful; ``worker`` had it last, if that is known."""
        self.count_ended(outcome)
        self._past.keep(message, outcome, status, reason, worker)

    def count_ended(self, outcome: str) -> None:
        """Count a message that was not accepted."""
        self.ended[outcome] = self.ended.get(outcome, 0) + 1

    def restore_times(self, messages: Iterable[Message]) -> None:
        """Set when messages began to wait that were read from the store, which has only the time of their arrival."""
        offset, now = self._time.wall_offset, self._time.now
        for message in messages:
            if not message.moved_at:
                message.moved_at = min(message.since / 1000 - offset, now) if message.since else now


class Sums(NamedTuple):
    """The messages of all queues that were accepted or put off, and what became of them, by outcome."""

    accepted: int
    retried: int
    ended: dict[str, int]


class StreamMeasures:
    """What was measured of all streams together: the messages that were published and delivered, and their octets.

    ``unstored`` counts the records that readers or the retention needed, and for which there was no room.
    """

    __slots__ = ("delivered", "delivered_octets", "published", "published_octets", "unstored")

    def __init__(self) -> None:
        self.published = self.published_octets = 0
        self.delivered = self.delivered_octets = 0
        self.unstored = 0

    def note_published(self, octets: int) -> None:
        """Count a message with this number of octets."""
        self.published += 1
        self.published_octets += octets

    def note_delivered(self, count: int, octets: int) -> None:
        """Count deliveries of one message with this number of octets."""
        self.delivered += count
        self.delivered_octets += count * octets


class Measures:
    """The measures of all queues."""

    def __init__(self, past: Past) -> None:
        self._time = BrokerTime()
        self.past = past
        """The last messages that have ended."""
        self.mailboxes = QueueMeasures(self._time, past, past.keep_mail)
        """All mailboxes."""
        self.services: dict[bytes, QueueMeasures] = {}
        """The services that are measured separately."""
        self.other_services = QueueMeasures(self._time, past, past.keep_request)

    @property
    def now(self) -> float:
        """The broker's time at the last tick."""
        return self._time.now

    def tick(self, now: float, wall_offset: float) -> None:
        """Take over the time; ``wall_offset`` is the time of the wall clock minus that of the broker."""
        more = int((now - self._time.now) * KEPT_PER_SECOND)
        if more > 0:
            for each in (self.mailboxes, self.other_services, *self.services.values()):
                each.room = min(MOST_ENDED, each.room + more)
        self._time.now, self._time.wall_offset = now, wall_offset

    def sums(self) -> Sums:
        """Return the sums of all."""
        every = (self.mailboxes, self.other_services, *self.services.values())
        ended = Counter({"succeeded": sum(each.running.count for each in every)})
        for each in every:
            ended.update(each.ended)
        accepted = sum(each.immediate + each.enqueued for each in every)
        return Sums(accepted, sum(each.retried for each in every), dict(ended))

    def of(self, queue: QueueName) -> QueueMeasures:
        """Return the measures to which the messages of a queue count."""
        if queue.kind is QueueKind.MAILBOX:
            return self.mailboxes
        return self.services.get(queue.address, self.other_services)

    def offered(self, service: bytes) -> QueueMeasures:
        """Return the measures of a service that a worker offers."""
        measures = self.services.get(service)
        if measures is None:
            # Without a name, its metrics could not be told from those of the others.
            if not service or len(self.services) >= MOST_SERVICES:
                return self.other_services
            measures = self.services[service] = QueueMeasures(self._time, self.past, self.past.keep_request)
        return measures

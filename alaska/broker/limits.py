"""The limits of the broker, and the warnings when one is reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.logger import Logger

from alaska.broker.flow_control import FlowLimits
from alaska.message import QueueKind, QueueName, Retention
from alaska.service_limits import ServiceLimit


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The maximum of content that may wait in one queue, and the size for a warning, in octets; None: no limit."""

    most_octets: int | None = None
    warn_octets: int | None = None


@dataclass(frozen=True, slots=True)
class UnreadLimits:
    """The maximum number, octets and age in seconds of the mail in a mailbox without a reader; None: no limit."""

    most: int | None = 100_000
    most_octets: int | None = 2**30
    most_seconds: float | None = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """The maximum number, total octets and age (in seconds) of dead letters; None: no limit.

    With ``is_open`` every client may query them, else only local ones (``is_local`` of
    :class:`alaska.interfaces.IRouter`).
    """

    most: int | None = 10_000
    most_octets: int | None = 16 * 2**20
    most_seconds: float | None = 30 * 24 * 3600.0
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class IdLimits:
    """How long the ids of messages are known, in seconds, and how many; None: no limit.

    ``seconds``: for messages that do not say it; 0: until they end.
    """

    seconds: float = 120.0
    most_of_queue: int | None = 1_000_000
    most: int | None = 2_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits of the broker. None: no limit. Sizes are octets of content.

    - ``client_timeout``: seconds without a message from a client after which it expires.
    - ``patterns_of_one``, ``patterns``: patterns of offers and readers, per client and of all clients together.
    - ``patterns_of_name``: different patterns per stream or service.
    - ``queues``, ``streams``: mailboxes and services with waiting messages, and streams.
    - ``unread``, ``unread_of``: mail in each mailbox whose owner is away, in general and by pattern of its name.
    - ``mailbox_seconds``: for how long mail may wait whose sender does not say it.
    - ``unconfirmed_octets``: unconfirmed deliveries per client; at this size it gets no more.
    - ``bindings``: streams whose records become requests, each with a service and a pattern.
    - ``durable_readers``: named positions in all streams; one that no client has had for ``durable_reader_seconds`` is
      deleted.
    - ``dead_letter_services``: for services, the service that gets their dead letters as requests.
    - ``attempts``: deliveries of a request whose workers disconnect without a confirmation, before it becomes a dead
      letter.
    - ``ageing``: seconds after which a message counts as one with the next higher priority.
    - ``of_services``: how fast and how many at once the requests of services are delivered.
    """

    client_timeout: float = 5.0
    mailbox: QueueLimits = field(default_factory=QueueLimits)
    service: QueueLimits = field(default_factory=QueueLimits)
    stream: QueueLimits = field(default_factory=QueueLimits)
    total: QueueLimits = field(default_factory=QueueLimits)
    content_octets: int | None = None
    clients: int | None = None
    patterns_of_one: int | None = 1000
    patterns: int | None = 10_000
    patterns_of_name: int | None = 2000
    queues: int | None = 10_000
    streams: int | None = 10_000
    attempts: int | None = 5
    dead_letters: DeadLetterLimits = field(default_factory=DeadLetterLimits)
    dead_letter_services: dict[bytes, bytes] = field(default_factory=dict)
    ids: IdLimits = field(default_factory=IdLimits)
    flow: FlowLimits = field(default_factory=FlowLimits)
    unconfirmed_octets: int | None = 32 * 2**20
    retention: Retention = field(default_factory=Retention)
    retention_of: dict[bytes, Retention] = field(default_factory=dict)
    mailbox_seconds: float | None = None
    unread: UnreadLimits = field(default_factory=UnreadLimits)
    unread_of: tuple[tuple[bytes, UnreadLimits], ...] = ()
    bindings: int | None = 1000
    durable_readers: int | None = 1000
    durable_reader_seconds: float | None = 30 * 24 * 3600.0
    of_services: tuple[ServiceLimit, ...] = ()
    ageing: float | None = None


MOST_WARNED = 10_000
"""The number of names remembered as warned about. It is limited, since any client can use new names."""


class Gauge:
    """Checks sizes against limits, and logs a warning once when the warning size or the limit is reached."""

    _log = Logger()

    def __init__(self) -> None:
        self._warned_large: set[object] = set()
        self._warned_full: set[object] = set()

    def admits(self, what: object, octets: int, limits: QueueLimits, cause: object = None) -> bool:
        """Return whether something may grow to a size in octets; ``what`` and ``cause`` are for the warning."""
        if limits.most_octets is not None and octets > limits.most_octets:
            self._warn(self._warned_full, what, "{what} is full: {octets} would be too much{cause}", octets, cause)
            return False
        if limits.warn_octets is not None and octets >= limits.warn_octets:
            self._warn(self._warned_large, what, "{what} has grown to {octets}{cause}", octets, cause)
        return True

    def shrank(self, what: object, octets: int, limits: QueueLimits) -> None:
        """Record a smaller size: the next time that the warning size is reached, a warning is logged again.

        The limit is warned about again only after the size was down to three quarters of it, since a full queue moves
        below and back to its limit all the time.
        """
        if self._warned_large and (limits.warn_octets is None or octets < limits.warn_octets):
            self._warned_large.discard(what)
        if self._warned_full and (limits.most_octets is None or octets <= limits.most_octets * 3 // 4):
            self._warned_full.discard(what)

    def _warn(self, warned: set[object], what: object, words: str, octets: int, cause: object) -> None:
        if what not in warned:
            if len(warned) >= MOST_WARNED:
                warned.clear()
            warned.add(what)
            self._log.warn(words, what=str(what), octets=octets, cause="" if cause is None else f" ({cause})")


ABANDONED_FACTOR = 2
"""The maximum number of mailboxes and services, as a multiple of the limit for those without consumers.

The difference is for those whose consumers have left. Each connected client may have one more.
"""
_QUEUES = "the table of mailboxes and services (mlm_server/queues/limit)"


class Room:
    """The size of all queues together, and the limits for each queue and for all."""

    def __init__(self, limits: Limits) -> None:
        self._gauge = Gauge()
        self.octets = 0
        """The octets that wait in all queues."""
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        """Change the limits for messages that are added from now on."""
        self._limits_of = {QueueKind.MAILBOX: limits.mailbox, QueueKind.SERVICE: limits.service}
        self._total = limits.total
        self._queues = QueueLimits(limits.queues)
        self.most_queues = float("inf") if limits.queues is None else limits.queues
        """The limit for queues without consumers; :meth:`admits_new` has to be asked only beyond it."""
        self._is_unlimited = limits.mailbox == limits.service == limits.total == QueueLimits()

    def is_larger(self, queue: QueueName, octets: int) -> bool:
        """Return whether one message has more octets than the queue, or all together, may have."""
        limits = self._limits_of[queue.kind].most_octets, self._total.most_octets
        return any(most is not None and octets > most for most in limits)

    def admits(self, queue: QueueName, waiting: int, more: int, queues: int = 0) -> bool:
        """Return whether ``more`` octets may be added to a queue in which ``waiting`` octets wait.

        ``queues`` is the number of queues if this one is new and has no consumer, else 0.
        """
        if queues and not self._gauge.admits(_QUEUES, queues, self._queues, queue):
            return False
        return self._is_unlimited or (
            self._gauge.admits(queue, waiting + more, self._limits_of[queue.kind])
            and self._gauge.admits("the size of all queues", self.octets + more, self._total, queue)
        )

    def admits_new(self, queue: QueueName, queues: int, clients: int) -> bool:
        """Return whether a queue without messages may get one that is stored until its consumer confirms it.

        ``queues`` is the number of queues, this one included. A client that opens with a new address and leaves does
        not confirm such a message, so that the queue remains.
        """
        most = self._queues.most_octets
        return most is None or self._gauge.admits(
            _QUEUES, queues, QueueLimits(ABANDONED_FACTOR * most + clients), queue
        )

    def shrank(self, queue: QueueName, waiting: int, less: int) -> None:
        """Record that ``waiting`` octets wait in a queue now, ``less`` fewer than before."""
        self.octets -= less
        self._gauge.shrank(queue, waiting, self._limits_of[queue.kind])
        self._gauge.shrank("the size of all queues", self.octets, self._total)

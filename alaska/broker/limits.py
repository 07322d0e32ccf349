"""How much the broker takes, and what it says when it is too much."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.logger import Logger

from alaska.broker.flow_control import FlowLimits
from alaska.message import QueueKind, QueueName, Retention


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many octets of content may wait in one queue, and from how many on a warning is due; None: no limit."""

    most_octets: int | None = None
    warn_octets: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """How many dead letters are kept, how many octets, and for how many seconds; None: no limit.

    With ``is_open``, every client may ask about them; else only who is near (:class:`alaska.interfaces.IRouter`).
    """

    most: int | None = 10_000
    most_octets: int | None = 16 * 2**20
    most_seconds: float | None = 30 * 24 * 3600.0
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker allows. A client's silence is in seconds, sizes are in octets of content; None: no limit.

    ``patterns_of_one`` is under how many patterns a client may read and offer, ``patterns`` under how many all may,
    and ``patterns_of_name`` how many different ones a stream or service may have.
    ``queues`` is how many mailboxes and services may be remembered for their messages, ``streams`` how many streams.
    ``unconfirmed_octets`` is how much a client may have that it has not confirmed before it gets more.
    ``attempts`` is how often a request is delivered to workers that are lost over it before it is a dead letter.
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
    flow: FlowLimits = field(default_factory=FlowLimits)
    unconfirmed_octets: int | None = 32 * 2**20
    retention: Retention = field(default_factory=Retention)
    retention_of: dict[bytes, Retention] = field(default_factory=dict)


MOST_WARNED = 10_000
"""Of so many names is remembered that they were warned of: anybody can make up more."""


class Gauge:
    """Checks sizes against limits, and warns of each crossing once: of the mark, and of the limit."""

    _log = Logger()

    def __init__(self) -> None:
        self._warned_large: set[object] = set()
        self._warned_full: set[object] = set()

    def admits(self, what: object, octets: int, limits: QueueLimits, cause: object = None) -> bool:
        """Return whether something may grow to so many octets; the log names it, and the cause, if there is one."""
        if limits.most_octets is not None and octets > limits.most_octets:
            self._warn(self._warned_full, what, "{what} is full: {octets} would be too much{cause}", octets, cause)
            return False
        if limits.warn_octets is not None and octets >= limits.warn_octets:
            self._warn(self._warned_large, what, "{what} has grown to {octets}{cause}", octets, cause)
        return True

    def shrank(self, what: object, octets: int, limits: QueueLimits) -> None:
        """Take note of a smaller size: the next crossing of the mark is worth a warning again.

        So is that of the limit, when a quarter has room again: what is full swings at its limit all the time.
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


_QUEUES = "the table of mailboxes and services (mlm_server/queues/limit)"


class Room:
    """How much waits in all queues together, and whether each of them, and all, may grow."""

    def __init__(self, limits: Limits) -> None:
        self._limits_of = {QueueKind.MAILBOX: limits.mailbox, QueueKind.SERVICE: limits.service}
        self._total = limits.total
        self._queues = QueueLimits(limits.queues)
        self._is_unlimited = limits.mailbox == limits.service == limits.total == QueueLimits()
        self._gauge = Gauge()
        self.octets = 0
        """How many octets wait in all."""

    def admits(self, queue: QueueName, waiting: int, more: int, queues: int = 0) -> bool:
        """Return whether so many octets more may wait in a queue that has so many.

        ``queues`` is how many there are, if this one is new and for nobody who is there; else 0.
        """
        if queues and not self._gauge.admits(_QUEUES, queues, self._queues, queue):
            return False
        return self._is_unlimited or (
            self._gauge.admits(queue, waiting + more, self._limits_of[queue.kind])
            and self._gauge.admits("all that waits", self.octets + more, self._total, queue)
        )

    def shrank(self, queue: QueueName, waiting: int, less: int) -> None:
        """Take note that so many octets wait in a queue now, so many less than before."""
        self.octets -= less
        self._gauge.shrank(queue, waiting, self._limits_of[queue.kind])
        self._gauge.shrank("all that waits", self.octets, self._total)

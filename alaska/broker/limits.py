"""How much the broker takes, and what it says when it is too much."""

from __future__ import annotations

from dataclasses import dataclass, field

from twisted.logger import Logger

from alaska.retention import Retention


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many octets of content may wait in one queue, and from how many on a warning is due; None: no limit."""

    most_octets: int | None = None
    warn_octets: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker allows. A client's silence is in seconds, sizes are in octets of content; None: no limit.

    ``attempts`` is how often a request is delivered to workers that are lost over it before it is a dead letter.
    """

    client_timeout: float = 5.0
    mailbox: QueueLimits = field(default_factory=QueueLimits)
    service: QueueLimits = field(default_factory=QueueLimits)
    stream: QueueLimits = field(default_factory=QueueLimits)
    total: QueueLimits = field(default_factory=QueueLimits)
    content_octets: int | None = None
    clients: int | None = None
    attempts: int | None = 5
    retention: Retention = field(default_factory=Retention)
    retention_of: dict[bytes, Retention] = field(default_factory=dict)


class Gauge:
    """Checks sizes against limits, and warns once each time that one grows past its mark."""

    _log = Logger()

    def __init__(self) -> None:
        self._warned: set[object] = set()

    def admits(self, what: object, octets: int, limits: QueueLimits) -> bool:
        """Return whether something may grow to so many octets."""
        if limits.most_octets is not None and octets > limits.most_octets:
            self._warn(what, "{what} is full: {octets} would be too much", octets)
            return False
        if limits.warn_octets is not None and octets >= limits.warn_octets:
            self._warn(what, "{what} has grown to {octets}", octets)
        return True

    def sank(self, what: object, octets: int, limits: QueueLimits) -> None:
        """Take note of a smaller size; below the mark the next crossing is worth a warning again."""
        if what in self._warned and (octets < (limits.warn_octets or limits.most_octets or 0)):
            self._warned.discard(what)

    def _warn(self, what: object, words: str, octets: int) -> None:
        if what not in self._warned:
            self._warned.add(what)
            self._log.warn(words, what=str(what), octets=octets)

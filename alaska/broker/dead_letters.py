"""The dead letters, and the limits for them (docs/dead-letters.md).

Their content is only in the store. Everything else is cached in memory, so that a list needs no access to the store.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from alaska.broker.counters import Counters
from alaska.broker.limits import DeadLetterLimits
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import DeadLetter, Message

DEAD_LETTER_OCTETS = 1024
"""The estimated size of a dead letter besides its content."""
READ_DEAD_LETTERS = 500
"""The number of dead letters that are read from the store at once, at startup."""
MOST_DROPPED = 300
"""The number that one call drops beyond the limits; the next tick continues."""
REPORT_SECONDS = 60.0
"""The interval of log lines about dropped dead letters."""


class DeadLetters:
    """All dead letters. When a limit is exceeded, the oldest are dropped."""

    _log = Logger()

    def __init__(self, store: IStore, counters: Counters, limits: DeadLetterLimits) -> None:
        self._store = store
        self._counters = counters
        self.limits = limits
        # The dead letters without their content, in the order in which they were added. The first one of a dict is
        # slow to find after many deletions.
        self._summaries: OrderedDict[int, DeadLetter] = OrderedDict()
        self._positions: list[int] = []  # in order
        self._octets_of: dict[int, int] = {}
        self._octets = 0
        self._unreported_drops = 0
        self._reported_at = float("-inf")
        self._restored: list[tuple[DeadLetter, int]] = []
        self._read_upto: int | None = 0
        self._restore()

    def _restore(self) -> None:
        """Read the dead letters that the store had at startup, as far as it has fetched them; index them at the end."""
        while self._read_upto is not None:
            try:
                letters = self._store.dead_letters(self._read_upto, READ_DEAD_LETTERS)
            except StoreError as error:
                self._log.error("{error}; the dead letters after that position are not listed", error=error)
                break
            self._restored += ((_without_content(letter), _stored_octets(letter)) for letter in letters)
            if letters.upto == self._read_upto:
                return
            self._read_upto = letters.upto
        self._read_upto = None
        older = [each for each in self._restored if not self.has(each[0].message.position)]
        newer = [(summary, self._octets_of[position]) for position, summary in self._summaries.items()]
        self._summaries, self._octets_of, self._octets, self._restored = OrderedDict(), {}, 0, []
        for summary, octets in [*sorted(older, key=lambda each: each[0].time), *newer]:
            self._index(summary, octets)
        self._positions = sorted(self._summaries)
        self._enforce_limits()

    def __len__(self) -> int:
        return len(self._summaries)

    @property
    def octets(self) -> int:
        """The size of all dead letters as the limits count it."""
        return self._octets

    def add(self, letter: DeadLetter) -> None:
        """Add a dead letter; one that is larger than the limit for all of them is dropped."""
        most = self.limits.most_octets
        if most is not None and _stored_octets(letter) > most:
            self._store.forget(letter.message)
            self._note_dropped()
            return
        self._store.add_dead_letter(letter)
        if not self.has(letter.message.position):
            insort(self._positions, letter.message.position)
        self._index(_without_content(letter), _stored_octets(letter))
        self._enforce_limits()

    def summaries(self, after: int, limit: int) -> list[DeadLetter]:
        """Return the next ``limit`` dead letters after a position, in order, without their content."""
        start = bisect_right(self._positions, after)
        return [self._summaries[position] for position in self._positions[start : start + limit]]

    def __iter__(self) -> Iterator[DeadLetter]:
        """Iterate over all dead letters without their content; see :meth:`after`."""
        return self.after(0)

    def after(self, position: int) -> Iterator[DeadLetter]:
        """Iterate over those after a position, in order, that are there now and when it is their turn."""
        positions = self._positions[bisect_right(self._positions, position) :]
        return (letter for each in positions if (letter := self._summaries.get(each)) is not None)

    def summary(self, position: int) -> DeadLetter | None:
        """Return the dead letter at a position without its content, or None."""
        return self._summaries.get(position)

    def has(self, position: int) -> bool:
        """Return whether there is a dead letter at a position."""
        return position in self._summaries

    def find(self, position: int) -> Deferred[DeadLetter | None]:
        """Return the dead letter at a position, with its content, or None; see :meth:`IStore.dead_letter`."""
        return self._store.dead_letter(position) if position in self._summaries else succeed(None)

    def replay(self, position: int, send: Callable[[Message], bool]) -> Deferred[bool]:
        """Delete a dead letter whose message ``send`` accepts; return whether that was so.

        After a crash, either the dead letter is stored or the message that ``send`` has stored.
        """

        def found(letter: DeadLetter | None) -> bool:
            # It may have been replayed or dropped while the store fetched it.
            if letter is None or not self.has(position):
                return False
            with self._store.together():
                return send(letter.message) and self.drop(position)

        return self.find(position).addCallback(found)

    def drop(self, position: int) -> bool:
        """Delete a dead letter; return whether there was one at this position."""
        summary = self._summaries.pop(position, None)
        if summary is not None:
            del self._positions[bisect_left(self._positions, position)]
            self._octets -= self._octets_of.pop(position)
            self._store.delete_dead_letter(position)
        return summary is not None

    def tick(self, now: float) -> None:
        """Drop dead letters that are too old, and log at intervals how many were dropped.

        ``now`` is in seconds since 1970.
        """
        if self._read_upto is not None:
            self._restore()
        age = self.limits.most_seconds
        for _ in range(MOST_DROPPED if age is not None else 0):
            oldest = self._oldest()
            if oldest is None or age is None or oldest.time >= now - age:
                break
            self._drop_oldest(oldest)
        self._enforce_limits()
        if self._unreported_drops and abs(now - self._reported_at) >= REPORT_SECONDS:
            self._reported_at = now
            self._log.warn(
                "{count} dead letters were dropped, since their number, size or age exceeded the limits of "
                "mlm_server/letters",
                count=self._unreported_drops,
            )
            self._unreported_drops = 0

    def _index(self, summary: DeadLetter, octets: int) -> None:
        position = summary.message.position
        self._summaries[position] = summary
        self._octets_of[position] = octets
        self._octets += octets

    def _enforce_limits(self) -> None:
        if self._read_upto is not None:
            # The oldest are not known yet.
            return
        most, most_octets = self.limits.most, self.limits.most_octets
        for _ in range(MOST_DROPPED):
            is_over = (most is not None and len(self._summaries) > most) or (
                most_octets is not None and self._octets > most_octets
            )
            oldest = self._oldest() if is_over else None
            if oldest is None:
                return
            self._drop_oldest(oldest)

    def _oldest(self) -> DeadLetter | None:
        return next(iter(self._summaries.values()), None)

    def _drop_oldest(self, oldest: DeadLetter) -> None:
        self.drop(oldest.message.position)
        self._note_dropped()

    def _note_dropped(self) -> None:
        self._counters.dead_letters_dropped += 1
        self._unreported_drops += 1


def _without_content(letter: DeadLetter) -> DeadLetter:
    of = letter.message
    summary = Message(
        of.position, of.queue, of.sender, of.subject, of.tracker, (), attempts=of.attempts, since=of.since
    )
    summary.size = sum(map(len, of.content))
    return replace(letter, message=summary)


def _stored_octets(letter: DeadLetter) -> int:
    """Return the size that the limits count: a short reason is in the estimate."""
    return letter.message.size + max(DEAD_LETTER_OCTETS, len(letter.reason))

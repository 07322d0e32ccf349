"""The content of a store: its file with the unwritten changes applied."""

from __future__ import annotations

from alaska.message import DeadLetter, KnownId, Message, Page, PartName, QueueName, Record, RecordSize, sizes_of
from alaska.store.chunks import LARGE_OCTETS
from alaska.store.known_ids import IdKey, KnownIds
from alaska.store.reader import Reader
from alaska.store.unwritten import Unwritten

NEVER = float("inf")


class View:
    """Reads the file, once it is open, and applies the unwritten changes."""

    def __init__(self, unwritten: Unwritten) -> None:
        self._unwritten = unwritten
        self.reader: Reader | None = None

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`alaska.interfaces.IStore`."""
        read: Page[Message, int] = Page() if self.reader is None else self.reader.waiting(part, after, limit)
        seen = self._unwritten.apply_to(read)
        unwritten = self._unwritten.of_part(part, after)
        if not unwritten:
            return Page(seen, read.upto)
        found = {message.position: message for message in seen}
        found.update((each, unwritten[each]) for each in unwritten if read.upto is None or each <= read.upto)
        page = Page((found[position] for position in sorted(found)), read.upto).cut(limit, _position)
        for at, message in enumerate(page):
            if not message.content and message.size > LARGE_OCTETS:
                # It is large, and being moved: its content can be read when that is written.
                return Page(page[:at], message.position - 1)
        return page

    def subjects(self, part: PartName, after: int, limit: int) -> Page[tuple[int, bytes], int]:
        """See :class:`alaska.interfaces.IStore`."""
        read: Page[tuple[int, bytes], int] = Page() if self.reader is None else self.reader.subjects(part, after, limit)
        unwritten = self._unwritten.of_part(part, after)
        if not unwritten:
            return read
        found = dict(read)
        end = NEVER if read.upto is None else read.upto
        found.update((position, unwritten[position].subject) for position in unwritten if position <= end)
        return Page(sorted(found.items()), read.upto).cut(limit, lambda each: each[0])

    def message_at(self, part: PartName, position: int) -> Message | None:
        """See :class:`alaska.interfaces.IStore`."""
        is_affected, message = self._unwritten.message_at(part, position)
        return message if is_affected or self.reader is None else self.reader.message_at(part, position)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """See :class:`alaska.interfaces.IStore`."""
        read: Page[Message, tuple[float, int]] = (
            Page() if self.reader is None else self.reader.overdue(now, after, limit)
        )
        end = (NEVER, 0) if read.upto is None else read.upto
        found = {expiry(message): message for message in self._unwritten.apply_to(read)}
        for message in self._unwritten.expiring().values():
            if after < expiry(message) <= end and expiry(message)[0] <= now:
                found[expiry(message)] = message
        return Page((found[key] for key in sorted(found)), read.upto).cut(limit, expiry)

    def first_expiry(self, after: float) -> float:
        """Return the time of the first expiry, in the file the first one after a time; infinity if there is none."""
        written = None if self.reader is None else self.reader.first_expiry(after)
        unwritten = (expiry(message)[0] for message in self._unwritten.expiring().values())
        return min([NEVER if written is None else written, *unwritten])

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`alaska.interfaces.IStore`."""
        unwritten = {position: letter for position, letter in self._unwritten.letters().items() if position > after}
        read: Page[DeadLetter, int] = Page() if self.reader is None else self.reader.dead_letters(after, limit)
        seen: dict[int, DeadLetter | None] = {letter.message.position: letter for letter in read}
        seen.update((each, unwritten[each]) for each in unwritten if read.upto is None or each <= read.upto)
        found = Page((letter for _, letter in sorted(seen.items()) if letter is not None), read.upto)
        return found.cut(limit, lambda letter: letter.message.position)

    def dead_letter(self, position: int) -> DeadLetter | None:
        """See :class:`alaska.interfaces.IStore`."""
        unwritten = self._unwritten.letter(position)
        if unwritten is not False:
            return unwritten
        return None if self.reader is None else self.reader.dead_letter(position)

    def has_dead_letter(self, position: int) -> bool:
        """Return whether there is a dead letter at a position."""
        unwritten = self._unwritten.letter(position)
        if unwritten is not False:
            return unwritten is not None
        return self.reader is not None and self.reader.has_dead_letter(position)

    def known_id(self, queue: QueueName, name: bytes) -> KnownId | None:
        """See :class:`alaska.interfaces.IStore`."""
        is_unwritten, known = self._unwritten.id(queue, name)
        return known if is_unwritten or self.reader is None else KnownIds(self.reader).find(queue, name)

    def ended_ids(self, now: float, limit: int) -> list[IdKey]:
        """See :class:`alaska.interfaces.IStore`."""
        found = self._unwritten.ended_ids(now)
        if self.reader is not None:
            found.update(each for each in KnownIds(self.reader).ended(now, limit) if not self._unwritten.id(*each)[0])
        return list(found)

    def first_end(self) -> float:
        """Return when the first window of an id ends, or an earlier time; infinity if there is none."""
        first = None if self.reader is None else KnownIds(self.reader).first_end()
        return min([NEVER if first is None else first, *self._unwritten.ends_of_ids()])

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """See :class:`alaska.interfaces.IStore`."""
        after = max(after, self._unwritten.trimmed(stream))
        found: Page[Record, int] = Page() if self.reader is None else self.reader.records(stream, after, limit)
        if found.upto is None:
            last = found[-1].position if found else after
            found += self._unwritten.records(stream, last, limit + 1 - len(found))
            return found.cut(limit, _position)
        return found

    def sizes_of_records(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """See :class:`alaska.interfaces.IStore`."""
        after = max(after, self._unwritten.trimmed(stream))
        found: Page[RecordSize, int] = Page() if self.reader is None else self.reader.times(stream, after, limit)
        if found.upto is None:
            last = found[-1].position if found else after
            found += sizes_of(Page(self._unwritten.records(stream, last, limit + 1 - len(found))))
            return found.cut(limit, _position)
        return found

    def octets_of_records(self, stream: bytes, upto: int) -> int:
        """Return the total size of a stream's records up to a position."""
        octets, last = 0, self._unwritten.trimmed(stream)
        if self.reader is not None:
            octets, last = self.reader.octets_of_records(stream, last, upto)
        return octets + self._unwritten.octets_of_records(stream, last, upto)


def expiry(message: Message) -> tuple[float, int]:
    """Return the key by which messages are ordered by expiry."""
    return NEVER if message.expires is None else message.expires, message.position


def _position(each: Message | Record | RecordSize) -> int:
    return each.position

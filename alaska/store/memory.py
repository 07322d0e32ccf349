"""A store in memory, which is not durable."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from alaska.errors import StoreError
from alaska.interfaces import IBackup, IStore, Refused
from alaska.message import (
    DeadLetter,
    KnownId,
    Message,
    Page,
    PartName,
    QueueName,
    QueueSize,
    Record,
    RecordSize,
    StreamSize,
    sizes_of,
)


@implementer(IStore)
class MemoryStore:
    """Stores everything in memory."""

    is_durable = False
    is_shared = False
    has_ids = True
    last_position = 0
    complaint = None
    has_room = True
    is_behind = False
    most_octets = None
    damaged = 0
    refused = 0
    measures = None

    def __init__(self) -> None:
        self.opened_at = time.time()
        self._queues: dict[PartName, dict[int, Message]] = {}
        self._letters: dict[int, DeadLetter] = {}
        self._ids: dict[tuple[QueueName, bytes], KnownId] = {}
        self._streams: dict[bytes, dict[int, Record]] = {}
        self._last_records: dict[bytes, int] = {}

    def on_refused(self, refused: Refused) -> None:
        """See :class:`IStore`; no message is refused."""

    def on_ready(self, ready: Callable[[QueueName | bytes], None]) -> None:
        """See :class:`IStore`; all data is always available."""

    def on_added(self, added: Callable[[QueueName], None]) -> None:
        """See :class:`IStore`; there is one broker."""

    def keep(self, message: Message, stored: Callable[[Message], None] | None) -> None:
        """See :class:`IStore`."""
        self._queues.setdefault(message.part, {})[message.position] = message
        if stored is not None:
            stored(message)

    def forget(self, message: Message) -> None:
        """See :class:`IStore`."""
        if self._queues:
            self._remove(message, message.part)

    def _remove(self, message: Message, name: PartName) -> bool:
        part = self._queues.get(name, {})
        was_there = part.pop(message.position, None) is not None
        if was_there and not part:
            del self._queues[name]
        return was_there

    def move(self, message: Message, before: PartName) -> None:
        """See :class:`IStore`."""
        if self._remove(message, before):
            self.keep(message, None)

    def take(self, message: Message, taken: Callable[[bool], None] | None) -> None:
        """See :class:`IStore`."""
        if taken is not None:
            taken(True)

    def release(self, message: Message) -> None:
        """See :class:`IStore`."""

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""
        kept = self._queues.get(part, {})
        return Page[Message, int](kept[position] for position in sorted(kept) if position > after).cut(limit, _position)

    def subjects(self, part: PartName, after: int, limit: int) -> Page[tuple[int, bytes], int]:
        """See :class:`IStore`."""
        kept = self._queues.get(part, {})
        found = Page[tuple[int, bytes], int]((at, kept[at].subject) for at in sorted(kept) if at > after)
        return found.cut(limit, lambda each: each[0])

    def message_at(self, part: PartName, position: int) -> Message | None:
        """See :class:`IStore`."""
        return self._queues.get(part, {}).get(position)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """See :class:`IStore`."""
        kept = (message for queue in self._queues.values() for message in queue.values())
        late = {
            (each.expires, each.position): each for each in kept if each.expires is not None and each.expires <= now
        }
        found = Page[Message, tuple[float, int]](late[key] for key in sorted(late) if key > after)
        return found.cut(limit, lambda each: (each.expires or 0.0, each.position))

    def queues(self) -> list[QueueSize]:
        """See :class:`IStore`."""
        return [
            QueueSize(name, len(queue), sum(message.size for message in queue.values()))
            for name, queue in self._queues.items()
        ]

    def together(self) -> AbstractContextManager[None]:
        """See :class:`IStore`; nothing is durable."""
        return nullcontext()

    def when_durable(self, done: Callable[[], None]) -> None:
        """See :class:`IStore`; nothing is durable."""
        done()

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """See :class:`IStore`."""
        self.forget(letter.message)
        self._letters[letter.message.position] = letter

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`IStore`."""
        found = Page[DeadLetter, int](self._letters[each] for each in sorted(self._letters) if each > after)
        return found.cut(limit, lambda letter: letter.message.position)

    def dead_letter(self, position: int) -> Deferred[DeadLetter | None]:
        """See :class:`IStore`."""
        return succeed(self._letters.get(position))

    def delete_dead_letter(self, position: int) -> None:
        """See :class:`IStore`."""
        self._letters.pop(position, None)

    def set_id(self, known: KnownId, replaced: Message | None = None) -> None:
        """See :class:`IStore`."""
        self._ids[known.queue, known.id] = known
        if replaced is not None:
            self.forget(replaced)

    def delete_id(self, queue: QueueName, name: bytes) -> None:
        """See :class:`IStore`."""
        self._ids.pop((queue, name), None)

    def known_id(self, queue: QueueName, name: bytes) -> KnownId | None:
        """See :class:`IStore`."""
        return self._ids.get((queue, name))

    def ended_ids(self, now: float, limit: int) -> list[tuple[QueueName, bytes]]:
        """See :class:`IStore`."""
        ended = (key for key, known in self._ids.items() if known.ends is not None and known.ends <= now)
        return list(islice(ended, limit))

    def counts_of_ids(self) -> dict[QueueName, int]:
        """See :class:`IStore`."""
        return dict(Counter(queue for queue, _ in self._ids))

    def record(self, record: Record) -> None:
        """See :class:`IStore`."""
        self._streams.setdefault(record.stream, {})[record.position] = record
        self._last_records[record.stream] = record.position

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """See :class:`IStore`."""
        kept = self._streams.get(stream, {})
        found = islice((record for record in kept.values() if record.position > after), limit + 1)
        return Page[Record, int](found).cut(limit, _position)

    def sizes_of_records(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """See :class:`IStore`."""
        return sizes_of(self.records(stream, after, limit))

    def trim(self, stream: bytes, upto: int) -> Deferred[int]:
        """See :class:`IStore`."""
        kept = self._streams.get(stream, {})
        return succeed(sum(kept.pop(each).size for each in [position for position in kept if position <= upto]))

    def set_entry(self, kind: str, name: bytes, value: bytes | None) -> None:
        """See :class:`IStore`; it is not durable."""

    def entries(self, kind: str) -> dict[bytes, bytes]:
        """See :class:`IStore`."""
        del kind
        return {}

    def streams(self) -> list[StreamSize]:
        """See :class:`IStore`."""
        return [
            StreamSize(
                name,
                min(kept, default=self._last_records[name] + 1),
                self._last_records[name],
                sum(record.size for record in kept.values()),
            )
            for name, kept in self._streams.items()
        ]

    def backup(self) -> Deferred[IBackup]:
        """See :class:`IStore`; there is no file."""
        return fail(StoreError("this store cannot be backed up"))

    def close(self) -> None:
        """See :class:`IStore`."""
        self._queues.clear()
        self._letters.clear()
        self._ids.clear()
        self._streams.clear()


def _position(each: Message | Record) -> int:
    return each.position

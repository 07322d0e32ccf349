"""A store in memory that answers later, like one on another machine; several brokers can share it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from random import Random
from typing import TypeAlias, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred, fail
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
    name_of,
)
from alaska.store.memory import MemoryStore

T = TypeVar("T")
K = TypeVar("K")
Read: TypeAlias = Callable[[int], Page[T, K]]
POSITIONS_OF_ONE = 10**6
"""The number of positions that each broker gets."""


class Shared:
    """The state that several stores share: the data, and which store has the lease of each message."""

    def __init__(self) -> None:
        self.data = MemoryStore()
        self.last_position = 0
        self.leases: dict[int, tuple[LaterStore, QueueName]] = {}
        self.stores: list[LaterStore] = []
        self.entries: dict[str, dict[bytes, bytes]] = {}

    def open(self, random: Random, short: float = 0.0) -> LaterStore:
        """Return a store for another broker; ``short`` is the share of its pages that end early."""
        return LaterStore(self, random, short)

    def tell_others(self, store: LaterStore, name: QueueName) -> None:
        """Notify all other stores that a queue has a new message."""
        for other in self.stores:
            if other is not store:
                other.to_tell.append(name)


@implementer(IStore)
class LaterStore:
    """One broker's view of the shared state.

    Changes are visible at once. The first read returns an empty page; after :meth:`turn`, the same read returns all or
    some of the data. :meth:`turn` calls the callbacks and fires the Deferreds, in any order, except that the calls of
    ``stored`` stay in order, and so do those of ``taken``.
    """

    is_durable = True
    is_shared = True
    has_ids = False
    complaint = None
    has_room = True
    is_behind = False
    most_octets = None
    damaged = 0
    refused = 0
    measures = None

    def __init__(self, shared: Shared, random: Random, short: float) -> None:
        self._shared = shared
        self._short = short
        self._data = shared.data
        self._random = random
        self.opened_at = shared.data.opened_at
        self.last_position = shared.last_position + POSITIONS_OF_ONE * len(shared.stores)
        shared.stores.append(self)
        self._ready: Callable[[QueueName | bytes], None] = lambda _name: None
        self._added: Callable[[QueueName], None] = lambda _name: None
        self.to_tell: list[QueueName] = []
        self._asked: dict[Hashable, QueueName | bytes | None] = {}
        self._at_hand: set[Hashable] = set()
        self._stored: dict[int, tuple[Message, Callable[[Message], None]]] = {}
        self._answers: list[Callable[[], None]] = []
        self._taken: list[Callable[[], None]] = []

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to answer."""
        return not (self._stored or self._taken or self._answers or self._asked or self.to_tell)

    def turn(self) -> None:
        """Answer all calls from before this turn."""
        in_order: list[Callable[[], None]] = [partial(self._tell_stored, each) for each in self._stored]
        taken, self._taken = self._taken, []
        answers, self._answers = self._answers, []
        asked, self._asked = self._asked, {}
        added, self.to_tell = dict.fromkeys(self.to_tell), []
        self._at_hand.update(asked)
        ready = dict.fromkeys(name for name in asked.values() if name is not None)
        turns: list[Callable[[], None]] = [*answers, *(partial(self._ready, name) for name in ready)]
        turns += [partial(self._added, name) for name in added]
        self._random.shuffle(turns)
        for each in (in_order, taken):
            self._mix_in(turns, each)
        for answer in turns:
            answer()

    def _mix_in(self, turns: list[Callable[[], None]], in_order: list[Callable[[], None]]) -> None:
        """Insert ordered answers at random places among the others."""
        places = sorted(self._random.randint(0, len(turns)) for _ in in_order)
        for place, answer in reversed(list(zip(places, in_order, strict=True))):
            turns.insert(place, answer)

    def _tell_stored(self, position: int) -> None:
        waiting = self._stored.pop(position, None)
        if waiting is not None:
            message, stored = waiting
            stored(message)

    def on_refused(self, refused: Refused) -> None:
        """See :class:`IStore`; nothing is refused."""

    def on_ready(self, ready: Callable[[QueueName | bytes], None]) -> None:
        """See :class:`IStore`."""
        self._ready = ready

    def on_added(self, added: Callable[[QueueName], None]) -> None:
        """See :class:`IStore`."""
        self._added = added

    def _page(
        self, key: Hashable, name: QueueName | bytes | None, after: K, limit: int, read: Read[T, K]
    ) -> Page[T, K]:
        """Return all or some results of a read, or an empty page at the first call."""
        if key not in self._at_hand:
            self._asked[key] = name
            page = Page[T, K]()
            page.upto = after
            return page
        self._at_hand.discard(key)
        return read(self._random.randint(1, limit) if self._random.random() < self._short else limit)

    # Messages

    def keep(self, message: Message, stored: Callable[[Message], None] | None) -> None:
        """See :class:`IStore`."""
        self._shared.last_position = max(self._shared.last_position, message.position)
        self._data.keep(replace(message), None)
        self._shared.leases.pop(message.position, None)
        self._shared.tell_others(self, message.queue)
        if stored is not None:
            self._stored[message.position] = message, stored

    def _leave(self, message: Message) -> None:
        self._shared.leases.pop(message.position, None)
        self._tell_stored(message.position)

    def forget(self, message: Message) -> None:
        """See :class:`IStore`."""
        self._leave(message)
        self._data.forget(message)

    def _found(self, message: Message) -> Message | None:
        kept = self._data.waiting(message.part, message.position - 1, 1)
        return kept[0] if kept and kept[0].position == message.position else None

    def take(self, message: Message, taken: Callable[[bool], None] | None) -> None:
        """See :class:`IStore`."""
        found = self._found(message)
        is_ours = False
        if found is not None:
            store, _ = self._shared.leases.setdefault(message.position, self._lease(message))
            is_ours = store is self
        if found is not None and is_ours:
            found.attempts = message.attempts
        if taken is not None:
            self._taken.append(partial(taken, is_ours))

    def release(self, message: Message) -> None:
        """See :class:`IStore`."""
        found = self._found(message)
        if found is not None and self._is_free(message):
            self._shared.leases.pop(message.position, None)
            found.attempts = message.attempts
            self._shared.tell_others(self, message.queue)

    def _lease(self, message: Message) -> tuple[LaterStore, QueueName]:
        return self, message.queue

    def _is_free(self, message: Message) -> bool:
        return self._shared.leases.get(message.position, self._lease(message))[0] is self

    def move(self, message: Message, before: PartName) -> None:
        """See :class:`IStore`."""
        self._data.move(replace(message), before)
        self._shared.leases.pop(message.position, None)
        self._shared.tell_others(self, message.queue)

    def waiting(self, part: PartName, after: int, limit: int) -> Page[Message, int]:
        """See :class:`IStore`."""

        def read(most: int) -> Page[Message, int]:
            kept = (replace(each) for each in self._data.waiting(part, after, 10**9) if self._is_free(each))
            return Page[Message, int](kept).cut(most, lambda each: each.position)

        return self._page(("waiting", part), name_of(part), after, limit, read)

    def subjects(self, part: PartName, after: int, limit: int) -> Page[tuple[int, bytes], int]:
        """See :class:`IStore`; they are always being fetched."""
        del part, limit
        return Page(upto=after)

    def message_at(self, part: PartName, position: int) -> Message | None:
        """See :class:`IStore`."""
        found = self._data.message_at(part, position)
        return None if found is None or not self._is_free(found) else replace(found)

    def overdue(self, now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """See :class:`IStore`."""

        def read(most: int) -> Page[Message, tuple[float, int]]:
            kept = (replace(each) for each in self._data.overdue(now, after, 10**9) if self._is_free(each))
            return Page[Message, tuple[float, int]](kept).cut(most, lambda each: (each.expires or 0.0, each.position))

        return self._page("overdue", None, after, limit, read)

    def queues(self) -> list[QueueSize]:
        """See :class:`IStore`."""
        return self._data.queues()

    def together(self) -> AbstractContextManager[None]:
        """See :class:`IStore`."""
        return nullcontext()

    # Dead letters

    def when_durable(self, done: Callable[[], None]) -> None:
        """See :class:`IStore`."""
        self._taken.append(done)

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """See :class:`IStore`."""
        self._shared.last_position = max(self._shared.last_position, letter.message.position)
        self._leave(letter.message)
        self._data.add_dead_letter(letter)

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`IStore`."""
        return self._page("letters", None, after, limit, lambda most: self._data.dead_letters(after, most))

    def dead_letter(self, position: int) -> Deferred[DeadLetter | None]:
        """See :class:`IStore`."""
        return self._later(lambda: self._data.dead_letters(position - 1, 1)).addCallback(
            lambda found: found[0] if found and found[0].message.position == position else None
        )

    def delete_dead_letter(self, position: int) -> None:
        """See :class:`IStore`."""
        self._data.delete_dead_letter(position)

    def _later(self, find: Callable[[], T]) -> Deferred[T]:
        found: Deferred[T] = Deferred()
        self._answers.append(lambda: found.callback(find()))
        return found

    # Ids, which it does not know

    def set_id(self, known: KnownId, replaced: Message | None = None) -> None:
        """See :class:`IStore`."""
        raise NotImplementedError

    def delete_id(self, queue: QueueName, name: bytes) -> None:
        """See :class:`IStore`."""
        raise NotImplementedError

    def known_id(self, queue: QueueName, name: bytes) -> KnownId | None:
        """See :class:`IStore`."""
        raise NotImplementedError

    def ended_ids(self, now: float, limit: int) -> list[tuple[QueueName, bytes]]:
        """See :class:`IStore`."""
        raise NotImplementedError

    def counts_of_ids(self) -> dict[QueueName, int]:
        """See :class:`IStore`."""
        raise NotImplementedError

    # Streams

    def record(self, record: Record) -> None:
        """See :class:`IStore`."""
        self._data.record(record)

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """See :class:`IStore`."""
        return self._page(
            ("records", stream), stream, after, limit, lambda most: self._data.records(stream, after, most)
        )

    def sizes_of_records(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """See :class:`IStore`."""
        return self._page(
            ("sizes", stream), stream, after, limit, lambda most: self._data.sizes_of_records(stream, after, most)
        )

    def trim(self, stream: bytes, upto: int) -> Deferred[int]:
        """See :class:`IStore`."""
        octets: list[int] = []
        self._data.trim(stream, upto).addCallback(octets.append)
        return self._later(octets.pop)

    def streams(self) -> list[StreamSize]:
        """See :class:`IStore`."""
        return self._data.streams()

    def set_entry(self, kind: str, name: bytes, value: bytes | None) -> None:
        """See :class:`IStore`."""
        entries = self._shared.entries.setdefault(kind, {})
        if value is None:
            entries.pop(name, None)
        else:
            entries[name] = value

    def entries(self, kind: str) -> dict[bytes, bytes]:
        """See :class:`IStore`."""
        return dict(self._shared.entries.get(kind, {}))

    def backup(self) -> Deferred[IBackup]:
        """See :class:`IStore`; there is no file."""
        return fail(StoreError("this store cannot be backed up"))

    def close(self) -> None:
        """See :class:`IStore`; pending calls are never answered, and other brokers may take the leased messages."""
        self._shared.stores.remove(self)
        for position, (store, queue) in list(self._shared.leases.items()):
            if store is self:
                del self._shared.leases[position]
                self._shared.tell_others(self, queue)
        self._asked, self._stored, self._answers, self._taken, self.to_tell = {}, {}, [], [], []

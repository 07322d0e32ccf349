"""A model of a store in a few dictionaries, to compare real stores to."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from msgspec.structs import astuple, replace

from alaska.interfaces import IStore
from alaska.message import (
    DELAYED,
    NORMAL,
    Cause,
    DeadLetter,
    LastWorker,
    Message,
    Page,
    QueueKind,
    QueueName,
    QueueSize,
    Record,
    StreamSize,
    part_of,
)

QUEUES = (QueueName(QueueKind.SERVICE, b"a"), QueueName(QueueKind.MAILBOX, b"a"), QueueName(QueueKind.SERVICE, b"b"))
PARTS = [part_of(queue, rank) for queue in QUEUES for rank in (NORMAL, 7, DELAYED)]
STREAMS = (b"s", b"t")
EVERYTHING = 1000


class StoreModel:
    """The expected content of a store, and operations on both; a number selects an operation's operands."""

    def __init__(self) -> None:
        self.messages: dict[int, Message] = {}
        self.letters: dict[int, DeadLetter] = {}
        self.records: dict[bytes, dict[int, Record]] = {}
        self.last_records: dict[bytes, int] = {}
        self.position = 0
        self.heard: list[int] = []
        self.to_hear: list[int] = []

    def reopened(self, is_durable: bool) -> None:
        """Record a restart."""
        if not is_durable:
            self.messages, self.letters, self.records, self.last_records = {}, {}, {}, {}
        # Callbacks that were not called before the restart are never called.
        self.heard = list(self.to_hear)

    def do(self, store: IStore, operation: str, number: int) -> None:
        """Perform an operation on the store and on the model."""
        getattr(self, "_" + operation)(store, number)

    def _keep(self, store: IStore, number: int) -> None:
        self.position += 1
        expires = None if number % 4 == 0 else float(number)
        content = (b"x" * number, b"")[: number % 3]
        message = Message(self.position, QUEUES[number % 3], b"joe", b"s%d" % number, b"", content, expires=expires)
        self.messages[self.position] = message
        if number % 2:
            self.to_hear.append(self.position)
        store.keep(message, self._hear if number % 2 else None)

    def _hear(self, message: Message) -> None:
        self.heard.append(message.position)

    def _fetched(self, number: int) -> Message:
        """Return a stored message, or one that is not stored."""
        known = list(self.messages.values())
        return known[number % len(known)] if known and number else Message(10**6, QUEUES[0], b"", b"", b"", ())

    def _forget(self, store: IStore, number: int) -> None:
        message = self._fetched(number)
        self.messages.pop(message.position, None)
        store.forget(replace(message))
        assert message.position not in self.to_hear or message.position in self.heard

    def _attempt(self, store: IStore, number: int) -> None:
        message = self._fetched(number)
        message.attempts += 1
        store.take(message, None)

    def _move(self, store: IStore, number: int) -> None:
        message = self._fetched(number)
        before = message.part
        message.rank = (NORMAL, 7, DELAYED)[number % 3]
        message.expires = None if number % 2 else float(number)
        message.answered, message.snoozes = message.attempts, message.snoozes + number % 2
        store.move(message, before)

    def _bury(self, store: IStore, number: int) -> None:
        message = self._fetched(number)
        if message.position in self.messages:
            worker = LastWorker(b"w%d" % number, b"host", number) if number % 2 else None
            cause = tuple(Cause)[number % len(Cause)]
            letter = DeadLetter(replace(message), 400 + number, b"r%d" % number, number / 4, cause, worker)
            del self.messages[message.position]
            self.letters[message.position] = letter
            store.add_dead_letter(letter)
            assert message.position not in self.to_hear or message.position in self.heard

    def _drop(self, store: IStore, number: int) -> None:
        position = ([*self.letters, 0])[number % (len(self.letters) + 1)]
        store.delete_dead_letter(position)
        self.letters.pop(position, None)

    def _record(self, store: IStore, number: int) -> None:
        stream = STREAMS[number % 2]
        position = self.last_records[stream] = self.last_records.get(stream, 0) + 1 + number % 3 // 2
        record = Record(stream, position, number, b"joe", b"s", (b"y" * number,))
        self.records.setdefault(stream, {})[position] = record
        store.record(record)

    def _trim(self, store: IStore, number: int) -> None:
        stream = STREAMS[number % 2]
        store.trim(stream, number)
        kept = self.records.get(stream, {})
        self.records[stream] = {position: record for position, record in kept.items() if position > number}

    # The results of queries

    def expected(self) -> Any:
        """Return the expected results of all queries."""
        seen: dict[Hashable, Any] = {}
        for part in PARTS:
            kept = [message_values(message) for message in self.messages.values() if message.part == part]
            for after, limit in ((0, EVERYTHING), (3, 2)):
                seen[part, after] = [each for each in kept if each[0] > after][:limit]
        seen["overdue"] = sorted(
            message_values(message)
            for message in self.messages.values()
            if message.expires is not None and message.expires <= 6
        )
        seen["queues"] = {
            QueueSize(part, len(sizes), sum(sizes))
            for part in PARTS
            if (sizes := [message.size for message in self.messages.values() if message.part == part])
        }
        letters = [self.letters[position] for position in sorted(self.letters)]
        seen["letters"] = [letter_values(letter) for letter in letters if letter.message.position > 2][:3]
        for stream in STREAMS:
            seen[stream] = [each for each in self.records.get(stream, {}).values() if each.position > 2][:4]
        seen["streams"] = {
            StreamSize(
                stream,
                min(self.records[stream], default=last + 1),
                last,
                sum(record.size for record in self.records[stream].values()),
            )
            for stream, last in self.last_records.items()
        }
        return seen

    def seen_in(self, store: IStore, page: Callable[[Callable[[], Page[Any, Any]]], Page[Any, Any]]) -> Any:
        """Return the content of a store; ``page`` returns the result of a read after the data was fetched."""
        seen: dict[Hashable, Any] = {}
        for part in PARTS:
            for after, limit in ((0, EVERYTHING), (3, 2)):
                seen[part, after] = [
                    message_values(message) for message in page(partial(store.waiting, part, after, limit))
                ]
        seen["overdue"] = sorted(
            message_values(message) for message in page(partial(store.overdue, 6.0, (0.0, 0), EVERYTHING))
        )
        seen["queues"] = set(store.queues())
        seen["letters"] = [letter_values(letter) for letter in page(partial(store.dead_letters, 2, 3))]
        for stream in STREAMS:
            seen[stream] = page(partial(store.records, stream, 2, 4))
        seen["streams"] = set(store.streams())
        return seen


def message_values(message: Message) -> tuple[Any, ...]:
    """Return all values of a message that a store keeps."""
    return astuple(replace(message, origin=b""))


def letter_values(letter: DeadLetter) -> tuple[Any, ...]:
    """Return all values of a dead letter that a store keeps; its message is in no part of a queue any more."""
    message = message_values(replace(letter.message, rank=NORMAL))
    return message, letter.status, letter.reason, letter.time, letter.cause, letter.worker

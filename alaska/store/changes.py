"""The changes that are not in the store's file yet: they are written in batches, and visible to readers before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from alaska.message import DeadLetter, KnownId, Message, PartName, QueueName, Record
from alaska.names import printable

MESSAGE_OCTETS = 256
"""The estimated memory of a message or record in addition to its content."""
DELETION_OCTETS = 128
"""The estimated memory of a deletion."""
DELETED_OCTETS = 8
"""So many deleted octets of content count as one octet: SQLite has to read them to free their pages."""


class Stored(NamedTuple):
    """A stored message that has changed, and the part of its queue that its row is in; it may belong to another one."""

    message: Message
    before: PartName


class Changes:
    """A batch of changes, which is written in one transaction.

    ``kept``: messages to write, by part of a queue and position. ``deleted``: the positions of messages to delete, with
    the parts that their rows are in. ``moved``: messages whose rows go to another part of their queue. ``attempts``:
    messages whose number of attempts has changed. ``letters``: dead letters to write, or None to delete one.
    ``records``: stream records to write. ``lasts``: the last positions of streams. ``trimmed``: the positions up to
    which records of streams are to be deleted. When the batch is written, the ``stored_callbacks`` are called, each
    with its message, and the ``taken_callbacks``.
    """

    __slots__ = (
        "attempts",
        "deleted",
        "entries",
        "expiring",
        "ids",
        "kept",
        "lasts",
        "letters",
        "moved",
        "records",
        "stored_callbacks",
        "taken_callbacks",
        "trimmed",
        "weight",
    )

    def __init__(self) -> None:
        self.kept: dict[PartName, dict[int, Message]] = {}
        self.deleted: dict[int, PartName] = {}
        self.moved: dict[int, Stored] = {}
        self.attempts: dict[int, Stored] = {}
        self.letters: dict[int, DeadLetter | None] = {}
        self.records: dict[bytes, dict[int, Record]] = {}
        self.lasts: dict[bytes, int] = {}
        self.trimmed: dict[bytes, int] = {}
        self.entries: dict[tuple[str, bytes], bytes | None] = {}
        """The values of entries by kind and name; None to delete one."""
        self.ids: dict[tuple[QueueName, bytes], KnownId | None] = {}
        """The ids to write by queue and id; None to delete one."""
        self.stored_callbacks: dict[int, tuple[Message, Callable[[Message], None]]] = {}
        self.taken_callbacks: list[Callable[[], None]] = []
        self.expiring = 0
        """The number of messages to write that have an expiry, which who keeps one has to count; or more."""
        self.weight = 0
        """The estimated memory of the batch in octets."""

    def __bool__(self) -> bool:
        messages = self.kept or self.deleted or self.moved or self.attempts or self.letters
        return bool(messages or self.records or self.trimmed or self.entries or self.ids)

    @property
    def rows(self) -> int:
        """The number of rows to write or delete; the deletion of all records up to a position counts as one."""
        kept, records = sum(map(len, self.kept.values())), sum(map(len, self.records.values()))
        messages = len(self.deleted) + len(self.moved) + len(self.attempts) + len(self.letters)
        return kept + records + messages + len(self.trimmed) + len(self.entries) + len(self.ids)

    @property
    def is_awaited(self) -> bool:
        """Whether a callback waits for the batch to be written."""
        return bool(self.stored_callbacks or self.taken_callbacks)

    def keep(self, message: Message) -> None:
        """Add a message to write, or to write again."""
        position, name = message.position, message.part
        if position in self.deleted and self.deleted[position] == name:
            del self.deleted[position]
            self.weight -= DELETION_OCTETS + message.size // DELETED_OCTETS
        part = self.kept.get(name)
        if part is None:
            part = self.kept[name] = {}
        if position not in part:
            self.weight += message.size + MESSAGE_OCTETS
        part[position] = message

    def drop(self, message: Message) -> None:
        """Remove a message from those to write."""
        self.attempts.pop(message.position, None)
        if self.kept:
            self._unkeep(message, message.part)

    def _unkeep(self, message: Message, name: PartName) -> bool:
        part = self.kept.get(name)
        if part is None or part.pop(message.position, None) is None:
            return False
        self.weight -= message.size + MESSAGE_OCTETS
        if not part:
            del self.kept[name]
        return True

    def move(self, message: Message, before: PartName, has_row: bool) -> None:
        """Write a message to its part, and not to the one in which it was before.

        ``has_row``: it may be in the file already.
        """
        position = message.position
        self.attempts.pop(position, None)
        self.expiring += message.expires is not None
        if self._unkeep(message, before):
            self.keep(message)
        if has_row:
            if position not in self.moved:
                self.weight += MESSAGE_OCTETS
            self.moved[position] = Stored(message, self.moved[position].before if position in self.moved else before)

    def delete(self, message: Message, part: PartName) -> None:
        """Add the deletion of a stored message, whose row is in this part of its queue before the batch is written."""
        moved = self.moved.pop(message.position, None)
        self.deleted[message.position] = part if moved is None else moved.before
        self.weight += DELETION_OCTETS + message.size // DELETED_OCTETS

    def has(self, message: Message) -> bool:
        """Return whether the batch writes a message."""
        return bool(self.kept) and message.position in self.kept.get(message.part, ())

    def add_dead_letter(self, letter: DeadLetter) -> None:
        """Add a dead letter to write."""
        self.letters[letter.message.position] = letter
        self.weight += letter.message.size + MESSAGE_OCTETS

    def messages(self) -> Iterator[Message]:
        """Iterate over the messages to write."""
        yield from self._kept()
        yield from (moved.message for moved in self.moved.values())

    def _kept(self) -> Iterator[Message]:
        return (message for part in self.kept.values() for message in part.values())

    def does_not_affect(self, message: Message) -> bool:
        """Return whether the batch neither writes, moves nor deletes a message."""
        position = message.position
        return position not in self.deleted and position not in self.moved and not self.has(message)

    def delete_dead_letter(self, position: int) -> None:
        """Add the deletion of a dead letter, which is not written then."""
        letter = self.letters.get(position)
        if letter is not None:
            self.weight -= letter.message.size + MESSAGE_OCTETS
        self.letters[position] = None
        self.weight += DELETION_OCTETS

    def set_entry(self, kind: str, name: bytes, value: bytes | None) -> None:
        """Add an entry to write, or with None to delete."""
        self.entries[kind, name] = value
        self.weight += len(name) + len(value or b"") + MESSAGE_OCTETS

    def set_id(self, queue: QueueName, name: bytes, known: KnownId | None) -> None:
        """Add an id to write, or with None to delete."""
        if (queue, name) not in self.ids:
            self.weight += len(name) + MESSAGE_OCTETS
        self.ids[queue, name] = known

    def record(self, record: Record) -> None:
        """Add a record to write."""
        self.records.setdefault(record.stream, {})[record.position] = record
        self.lasts[record.stream] = record.position
        self.weight += record.size + MESSAGE_OCTETS

    def trim(self, stream: bytes, upto: int, octets: int = 0) -> None:
        """Add the deletion of a stream's records up to a position, of this total size, which are not written then."""
        self.weight += octets // DELETED_OCTETS
        records = self.records.get(stream, {})
        for position in [position for position in records if position <= upto]:
            self.weight -= records.pop(position).size + MESSAGE_OCTETS
        if not records:
            self.records.pop(stream, None)
        self.trimmed[stream] = max(upto, self.trimmed.get(stream, 0))

    def parts(self) -> Iterator[Changes]:
        """Split the batch into changes of one row each, in an order in which they can be written.

        A dead letter and the deletion of its message stay together: if the dead letter cannot be written, the message
        is not deleted. So do a message and its id.
        """
        for name, value in self.entries.items():
            yield _part(entries={name: value})
        for stream, last in self.lasts.items():
            yield _part(lasts={stream: last})
        for stream, upto in self.trimmed.items():
            yield _part(trimmed={stream: upto})
        for stream, records in self.records.items():
            for position, record in records.items():
                yield _part(records={stream: {position: record}})
        for position, letter in self.letters.items():
            queue = self.deleted.get(position)
            yield _part(letters={position: letter}, deleted={} if queue is None else {position: queue})
        for position, queue in self.deleted.items():
            if position not in self.letters:
                yield _part(deleted={position: queue})
        for position, moved in self.moved.items():
            yield _part(moved={position: moved})
        for position, tried in self.attempts.items():
            yield _part(attempts={position: tried})
        yield from self._parts_with_ids()

    def _parts_with_ids(self) -> Iterator[Changes]:
        """Split the messages and ids into changes of one message, one id, or one message and its id."""
        ids = dict(self.ids)
        key_of = {known.position: key for key, known in ids.items() if known is not None}
        for message in self._kept():
            key = key_of.get(message.position)
            kept = {message.part: {message.position: message}}
            yield _part(kept=kept) if key is None else _part(kept=kept, ids={key: ids.pop(key)})
        for key, known in ids.items():
            yield _part(ids={key: known})

    def __str__(self) -> str:
        """Describe a part in a log line."""
        for message in self.messages():
            return f"message {message.position} of {message.part}"
        for stream, records in self.records.items():
            return f"record {min(records)} of stream {printable(stream)}"
        for position in self.letters:
            return f"dead letter {position}"
        for position, part in self.deleted.items():
            return f"the deletion of message {position} of {part}"
        for position, tried in self.attempts.items():
            return f"the number of attempts of message {position} of {tried.before}"
        if self.entries:
            ((kind, name),) = self.entries
            what = f"the entry of kind {kind}"
        elif self.ids:
            ((queue, name),) = self.ids
            what = f"for {queue} the id"
        else:
            what, name = "the last position of stream", next(iter(self.trimmed or self.lasts), b"")
        return f"{what} {printable(name)}"


def _part(**changed: object) -> Changes:
    part = Changes()
    for name, value in changed.items():
        setattr(part, name, value)
    return part


class Refusal(NamedTuple):
    """A part of a batch that cannot be written, while the others can, and the reason."""

    part: Changes
    reason: str

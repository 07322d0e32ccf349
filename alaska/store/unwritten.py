"""What the store's readers see before it is written: the batches that are not in the file yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from typing import Literal

from alaska.message import DeadLetter, KnownId, Message, PartName, QueueName, Record
from alaska.store.changes import Changes, Stored


class Unwritten:
    """All changes that may not be in the file yet: the batch that is being written, and the current one.

    They are applied to what is read from the file; the current batch takes precedence. ``lazy_attempts`` are stored
    messages whose number of attempts has changed without a callback that waits for it: it is written a moment later, if
    the message still exists then. ``lazy_moves`` has delayed messages that are due, and so belong to another part: most
    of them are finished before their rows are moved.
    """

    def __init__(self) -> None:
        self.current = Changes()
        self.writing: Changes | None = None
        self.lazy_attempts: dict[int, Message] = {}
        self.lazy_moves = Changes()
        self._aged: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.writing or self.current)

    def layers(self) -> tuple[Changes, ...]:
        """Return the batches, the older one first, and the moves that come after them."""
        layers = (self.current,) if self.writing is None else (self.writing, self.current)
        return (*layers, self.lazy_moves) if self.lazy_moves.moved else layers

    def begin_writing(self) -> Changes:
        """Return the current batch as the one that is being written, and begin a new one."""
        self.writing, self.current = self.current, Changes()
        return self.writing

    def add_lazy_attempts(self) -> None:
        """Add the changed numbers of attempts to the current batch."""
        for position, message in self.lazy_attempts.items():
            self.current.attempts[position] = Stored(message, message.part)
        self.lazy_attempts.clear()

    def add_lazy_moves(self) -> None:
        """Add the moves to the current batch that were there at the last call."""
        for position in self._aged:
            if position in self.lazy_moves.moved:
                self.move_now(position)
        self._aged = list(self.lazy_moves.moved)

    def add_all_lazy(self) -> None:
        """Add all moves and changed numbers of attempts to the current batch."""
        self.add_lazy_attempts()
        for position in list(self.lazy_moves.moved):
            self.move_now(position)

    def move_now(self, position: int) -> None:
        """Add a lazy move to the current batch."""
        self.current.move(*self.lazy_moves.moved.pop(position), has_row=True)

    def call_stored(self, position: int) -> None:
        """Call the ``stored`` callback of a message, whether the message is written or not."""
        waits = self.current.stored_callbacks.pop(position, None)
        if waits is None and self.writing is not None:
            waits = self.writing.stored_callbacks.pop(position, None)
        if waits is not None:
            message, stored = waits
            stored(message)

    # Messages

    def apply_to(self, read: Iterable[Message]) -> list[Message]:
        """Return messages that were read from the file with the changes applied."""
        newest_first = self.layers()[::-1]
        seen: list[Message] = []
        for message in read:
            lazy = self.lazy_attempts.get(message.position)
            if lazy is not None and lazy.rank == message.rank:
                seen.append(lazy)
                continue
            for layer in newest_first:
                if message.position in layer.deleted:
                    break
                if layer.has(message):
                    seen.append(layer.kept[message.part][message.position])
                    break
                if message.position in layer.moved:
                    # In its new part, it is among those to write.
                    break
                if message.position in layer.attempts:
                    seen.append(layer.attempts[message.position].message)
                    break
            else:
                seen.append(message)
        return seen

    def of_part(self, name: PartName, after: int) -> dict[int, Message]:
        """Return the messages of a part of a queue after a position that are to be written."""
        return self._merged(
            {
                **{position: message for position, message in layer.kept.get(name, {}).items() if position > after},
                **{
                    position: moved.message
                    for position, moved in layer.moved.items()
                    if position > after and moved.message.part == name
                },
            }
            for layer in self.layers()
        )

    def message_at(self, part: PartName, position: int) -> tuple[bool, Message | None]:
        """Return whether the message at a position is to be written, moved or deleted, and it if it will be there."""
        for layer in self.layers()[::-1]:
            kept = layer.kept.get(part, {}).get(position)
            if kept is None and position in layer.moved and layer.moved[position].message.part == part:
                kept = layer.moved[position].message
            if kept is not None or position in layer.moved or position in layer.deleted:
                return True, kept
        return False, None

    def expiring(self) -> dict[int, Message]:
        """Return the messages with an expiry that are to be written."""
        if not any(layer.expiring for layer in self.layers()):
            return {}
        return self._merged(
            {each.position: each for each in layer.messages() if each.expires is not None} for layer in self.layers()
        )

    def _merged(self, kept_of_layers: Iterable[dict[int, Message]]) -> dict[int, Message]:
        """Merge the messages to write of both batches, older first, without those that the newer batch deletes."""
        still: dict[int, Message] = {}
        for layer, kept in zip(self.layers(), kept_of_layers, strict=True):
            if layer.deleted or layer.moved:
                gone = layer.deleted.keys() | layer.moved.keys()
                still = {position: message for position, message in still.items() if position not in gone}
            still.update(kept)
        return still

    def id(self, queue: QueueName, name: bytes) -> tuple[bool, KnownId | None]:
        """Return whether an id is to be written or deleted, and what is to be written."""
        for layer in self.layers()[::-1]:
            if (queue, name) in layer.ids:
                return True, layer.ids[queue, name]
        return False, None

    def ended_ids(self, now: float) -> set[tuple[QueueName, bytes]]:
        """Return the ids to write whose windows have ended by ``now``."""
        known = {key: each for layer in self.layers() for key, each in layer.ids.items()}
        return {key for key, each in known.items() if each is not None and each.ends is not None and each.ends <= now}

    def ends_of_ids(self) -> Iterator[float]:
        """Iterate over the times when the windows of the ids to write end."""
        known = (each for layer in self.layers() for each in layer.ids.values() if each is not None)
        return (each.ends for each in known if each.ends is not None)

    # Dead letters and records

    def letters(self) -> dict[int, DeadLetter | None]:
        """Return the dead letters to write, and None for those to delete, by position."""
        found: dict[int, DeadLetter | None] = {}
        for layer in self.layers():
            found.update(layer.letters)
        return found

    def letter(self, position: int) -> DeadLetter | Literal[False] | None:
        """Return the dead letter at a position that is to be written, None if it is to be deleted, False if neither."""
        for layer in reversed(self.layers()):
            if position in layer.letters:
                return layer.letters[position]
        return False

    def trimmed(self, stream: bytes) -> int:
        """Return the position up to which a stream's records are to be deleted."""
        return max(layer.trimmed.get(stream, 0) for layer in self.layers())

    def records(self, stream: bytes, after: int, limit: int) -> list[Record]:
        """Return at most ``limit`` records of a stream after a position that are to be written, in order."""
        found: list[Record] = []
        for layer in self.layers():
            records = layer.records.get(stream, {})
            found += islice(_after(records, found[-1].position if found else after), limit - len(found))
        return found

    def octets_of_records(self, stream: bytes, after: int, upto: int) -> int:
        """Return the total size of a stream's records to write, after a position and up to another."""
        return sum(
            record.size
            for layer in self.layers()
            for record in takewhile(lambda each: each.position <= upto, _after(layer.records.get(stream, {}), after))
        )


def _after(records: dict[int, Record], after: int) -> Iterator[Record]:
    """Iterate over records after a position; they are in order, with few gaps."""
    if not records:
        return iter(())
    start = max(next(iter(records)), after + 1)
    return (records[position] for position in range(start, next(reversed(records)) + 1) if position in records)

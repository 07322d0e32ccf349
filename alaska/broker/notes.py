"""Notes in the store about messages that clients have not confirmed: what a restarted broker must know of them.

A note is deleted with its message, or when it does not apply any more. If the broker was killed in between, the note
has no message, and is deleted at the next start.
"""

from __future__ import annotations

import msgspec

from alaska.interfaces import IStore
from alaska.message import PRIORITIES, Message, QueueKind, QueueName, part_of


class _Saved(msgspec.Struct, array_like=True):
    """Where the message of a note is, and the worker that the note is about, if it is about one."""

    kind: QueueKind
    address: bytes
    rank: int
    worker: bytes = b""


class Notes:
    """The notes of one kind, at most one for each message. Only a durable store of one broker keeps them."""

    def __init__(self, store: IStore, kind: str) -> None:
        self._store = store
        self._kind = kind
        self.are_kept = bool(store.is_durable and not store.is_shared)
        """Whether they survive a restart."""
        self.positions: set[int] = set()
        """The positions of the messages for which there is a note."""

    def add(self, message: Message, worker: bytes = b"") -> None:
        """Note a message, in place of an older note."""
        self.positions.add(message.position)
        if self.are_kept:
            saved = _Saved(*message.queue, message.rank, worker)
            self._store.set_entry(self._kind, b"%d" % message.position, msgspec.msgpack.encode(saved))

    def discard(self, message: Message) -> None:
        """Delete the note of a message, if there is one."""
        if message.position in self.positions:
            self.positions.remove(message.position)
            if self.are_kept:
                self._store.set_entry(self._kind, b"%d" % message.position, None)

    def restore(self) -> list[tuple[Message, bytes]]:
        """Return the noted messages that the store has, each with the worker of its note; delete the other notes.

        Large messages may lack their content.

        :raises StoreError: the store cannot be read.
        """
        found = []
        for name, value in self._store.entries(self._kind).items() if self.are_kept else ():
            noted = self._find(name, value)
            if noted is None:
                self._store.set_entry(self._kind, name, None)
            else:
                self.positions.add(noted[0].position)
                found.append(noted)
        return sorted(found, key=lambda each: each[0].position)

    def _find(self, name: bytes, value: bytes) -> tuple[Message, bytes] | None:
        try:
            position, saved = int(name), msgspec.msgpack.decode(value, type=_Saved)
        except (ValueError, msgspec.MsgspecError):
            return None
        if saved.rank not in PRIORITIES:
            return None
        message = self._store.message_at(part_of(QueueName(saved.kind, saved.address), saved.rank), position)
        return None if message is None else (message, saved.worker)

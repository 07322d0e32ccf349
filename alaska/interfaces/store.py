"""The broker's storage, which has several implementations (docs/store.md)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

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
)

Refused: TypeAlias = Callable[[Message, str], None]


class IStore(Interface):
    """The broker's storage, for durable data and for messages that do not fit into memory (docs/store.md).

    It stores messages (of mailboxes and services), dead letters (messages that could not be processed) and records (of
    streams). All methods are called in the reactor's thread and do not block, whether the store is on this machine or
    not. A change is visible to the broker's own next call, whether it is on the disk yet or not.

    A message is stored from :meth:`keep` until :meth:`forget` or :meth:`add_dead_letter`. So unconfirmed messages are
    delivered again after a restart, if the store is durable: delivery is at least once.

    A method that returns a page returns what is available now. An empty page whose ``upto`` is the position that was
    passed means that the store is still fetching the data; a later call returns it (see :meth:`on_ready`).
    """

    is_durable = Attribute("Whether stored data survives the end of the process.")
    is_shared = Attribute(
        "Whether other brokers use the same queues. If so, a message may be delivered only after ``taken(True)`` was"
        " called for it (see :meth:`take`), and numbers of waiting messages are estimates."
    )
    has_ids = Attribute(
        "Whether the store knows ids (:meth:`set_id`). If not, the broker refuses messages with an id; the methods for"
        " ids are not called."
    )
    last_position = Attribute(
        "The highest position of a message, dead letter or id when the store was opened, or 0. Of a shared store: a"
        " position above which those of this broker are different from those of all others."
    )
    opened_at = Attribute(
        "When the store was opened, in seconds since 1970, by a clock that changes of the wall clock do not affect."
        " The times of messages are measured by this clock."
    )
    complaint = Attribute("Why changes cannot be written to the disk at present, as a sentence; None if they can.")
    most_octets = Attribute(
        "The maximum size of one message or record in octets, as size limits count them; None: no limit. The caller"
        " must not store larger ones."
    )
    has_room = Attribute("Whether more may be stored; False if too much waits to be written while writing fails.")
    is_behind = Attribute("Whether changes arrive faster than they are written, so that what can wait should wait.")

    damaged = Attribute("The number of damaged rows, or pages of rows, found since the store was opened.")
    measures = Attribute(
        "The sizes and times of writing, as :class:`alaska.store.measures.WriteMeasures`; None: nothing is written."
    )
    refused = Attribute("The number of changes that the store could not write and gave up since it was opened.")

    def on_refused(refused: Refused) -> None:
        """Set the callback for messages that the store gives up because it cannot write them.

        ``refused(message, reason)`` is called in the reactor's thread, instead of the message's ``stored``. It is not
        called for messages that were forgotten, made dead letters or stored again in the meantime.
        """

    def on_ready(ready: Callable[[QueueName | bytes], None]) -> None:
        """Set the callback for data that the store has fetched since a page was empty.

        ``ready(name)`` is called with the name of a queue or stream in the reactor's thread, and never within a call of
        the store. A store that fetches quickly need not call it: the broker reads again several times a second.
        """

    def on_added(added: Callable[[QueueName], None]) -> None:
        """Set the callback for queues to which another broker has added a message, or returned one.

        ``added(queue)`` is called as ``ready`` is (see :meth:`on_ready`), and only by a shared store.
        """

    # Messages

    def keep(message: Message, stored: Callable[[Message], None] | None) -> None:
        """Store a message under its position.

        The position is higher than all earlier ones of this broker, or the message's old one if it is put back.

        ``stored`` is called once, with the message, in the reactor's thread: when the message is stored durably (as far
        as the store is durable), but at the latest within the call that forgets it or makes it a dead letter.
        """

    def forget(message: Message) -> None:
        """Delete a message; do nothing if it is not stored."""

    def take(message: Message, taken: Callable[[bool], None] | None) -> None:
        """Take the lease of a message for this broker, and store its changed number of delivery attempts.

        Nothing happens to a message that is not stored. ``taken`` is called once, in the reactor's thread and in the
        order of the calls: with True when lease and number are stored durably; with False, by a shared store, if
        another broker has the message or it is finished. A shared or durable store never calls it within a call of the
        store. Without ``taken``, the number may be stored later.
        """

    def release(message: Message) -> None:
        """End the lease of a message that waits again, and store its changed number of delivery attempts.

        Nothing happens to a message that is not stored, or whose lease another broker has: so this may be called before
        ``taken`` was.
        """

    def move(message: Message, before: PartName) -> None:
        """Move a message from a part of its queue to the one that it belongs to now (:attr:`Message.part`).

        Its number of attempts and its expiry are stored, too. Nothing happens to a message that is not stored. A move
        of a delayed message may be stored later: after a crash, it may be delayed as before.
        """

    def waiting(part: PartName, after: int, limit: int) -> Page[Message, int]:
        """Return at most ``limit`` messages of a part of a queue with positions above ``after``, oldest first.

        Damaged messages are skipped. A page may end early: when it becomes large, and before a large message. The large
        message is read in another thread, and a later call returns it.

        :raises StoreError: the store cannot be read.
        """

    def subjects(part: PartName, after: int, limit: int) -> Page[tuple[int, bytes], int]:
        """Return positions and subjects of the messages that :meth:`waiting` would return, without reading the rest.

        A page may end before a message that is large, and it may have messages that are not there any more.

        :raises StoreError: the store cannot be read.
        """

    def message_at(part: PartName, position: int) -> Message | None:
        """Return the message of a part of a queue at a position, or None; a large one may lack its content.

        A shared store returns what it has at hand.

        :raises StoreError: the store cannot be read.
        """

    def overdue(now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """Return at most ``limit`` messages that have expired, or are due, by ``now`` (measured as ``opened_at``).

        Large ones may lack their content.

        They are ordered by the pair (expiry, position) and start with the first pair above ``after``.

        :raises StoreError: the store cannot be read.
        """

    def queues() -> list[QueueSize]:
        """Return each part of a queue that has messages, with the number and total size of the messages.

        This is called when the store has been opened; a shared store is asked again every few seconds, and returns what
        it knows by then.

        :raises StoreError: the store cannot be read.
        """

    def together() -> AbstractContextManager[None]:
        """Return a context in which all changes become durable together: after a crash, all or none of them are.

        The block must not wait for anything.
        """

    def when_durable(done: Callable[[], None]) -> None:
        """Call a function once, when all changes so far are stored durably, as far as the store is durable.

        That may be within this call. It is not called for numbers of attempts without ``taken``.
        """

    # Dead letters

    def add_dead_letter(letter: DeadLetter) -> None:
        """Store a dead letter, and delete its message from the queue if it is there."""

    def dead_letters(after: int, limit: int) -> Page[DeadLetter, int]:
        """Return at most ``limit`` dead letters with positions above ``after``, oldest first.

        Damaged ones are skipped, and a page ends early when it becomes large.

        :raises StoreError: the store cannot be read.
        """

    def dead_letter(position: int) -> Deferred[DeadLetter | None]:
        """Return the dead letter at a position, or None; the Deferred fails with StoreError if it cannot be read."""

    def delete_dead_letter(position: int) -> None:
        """Delete the dead letter at a position; do nothing if there is none."""

    # Ids of messages that are sent once

    def set_id(known: KnownId, replaced: Message | None = None) -> None:
        """Store an id, in place of what is known of it.

        It is stored in one transaction with the message that :meth:`keep` stores next in the same turn of the event
        loop, and with the deletion of the message that is ``replaced``.
        """

    def delete_id(queue: QueueName, name: bytes) -> None:
        """Delete an id; do nothing if it is not stored."""

    def known_id(queue: QueueName, name: bytes) -> KnownId | None:
        """Return what is known of an id; None if it is not stored.

        :raises StoreError: the store cannot be read.
        """

    def ended_ids(now: float, limit: int) -> list[tuple[QueueName, bytes]]:
        """Return ids whose windows have ended by ``now``: about ``limit``, or fewer; some while there are any.

        :raises StoreError: the store cannot be read.
        """

    def counts_of_ids() -> dict[QueueName, int]:
        """Return the number of ids of each queue, when the store has been opened.

        :raises StoreError: the store cannot be read.
        """

    # Streams

    def record(record: Record) -> None:
        """Store a record of a stream; its position is higher than all earlier ones of the stream."""

    def records(stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """Return at most ``limit`` records of a stream with positions above ``after``, oldest first.

        Damaged and large records are handled as by :meth:`waiting`.

        :raises StoreError: the store cannot be read.
        """

    def sizes_of_records(stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """Return the times and sizes of the records that :meth:`records` would return, without reading their content.

        :raises StoreError: the store cannot be read.
        """

    def trim(stream: bytes, upto: int) -> Deferred[int]:
        """Delete the records of a stream with positions up to and including ``upto``; return their total size.

        The Deferred fails with StoreError if the store cannot be read.
        """

    def streams() -> list[StreamSize]:
        """Return each stream that ever had a record, with the range and size of its stored records.

        :raises StoreError: the store cannot be read.
        """

    def backup() -> Deferred[IBackup]:
        """Make a backup: a file that has all that the store has stored durably when this is called.

        Messages go on meanwhile. The Deferred fires with the backup when it is complete, and fails with StoreError if
        it cannot be made, or if another one is being made.
        """

    # What is set up in the broker

    def set_entry(kind: str, name: bytes, value: bytes | None) -> None:
        """Store a value under a name that is unique within its kind, if the store is durable; None deletes it."""

    def entries(kind: str) -> dict[bytes, bytes]:
        """Return the values of a kind by their names when the store was opened, as far as they can be read.

        :raises StoreError: the store cannot be read.
        """

    def close() -> None:
        """Write all pending changes and close the store; a backup that is being made is cancelled.

        Afterwards no other method may be called, no callback is called, and no Deferred fires.
        """


class IBackup(Interface):
    """The file of a backup, which has no name. It takes disk space until it is closed."""

    octets: int = Attribute("The size of the file.")

    def read(at: int, most: int) -> bytes:
        """Return at most ``most`` octets of the file from an offset on; empty at its end."""

    def close() -> None:
        """Delete the file."""

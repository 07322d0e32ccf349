"""Messages, dead letters and records as rows of the store's tables, and back (schema/1.sql)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alaska.message import DeadLetter, Message, QueueKind, QueueName, Record
from alaska.mlm.commands import Content

KINDS = (QueueKind.MAILBOX, QueueKind.SERVICE)
NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
MESSAGE_COLUMNS = (
    "kind, address, position, sender, subject, tracker, content, octets, is_tracked, origin, expires, attempts"
)
LETTER_COLUMNS = (
    "position, kind, address, sender, subject, tracker, content, is_tracked, expires, attempts, status, reason, time"
)
RECORD_COLUMNS = "stream, position, time, sender, subject, content, octets"
_LENGTH_OCTETS = 4


def pack(content: Content) -> bytes:
    """Return the frames of a content as one."""
    return b"".join([part for frame in content for part in (len(frame).to_bytes(_LENGTH_OCTETS, "big"), frame)])


def unpack(packed: bytes) -> Content:
    """Return the frames that were packed."""
    frames: list[bytes] = []
    at = 0
    while at < len(packed):
        start = at + _LENGTH_OCTETS
        at = start + int.from_bytes(packed[at:start], "big")
        frames.append(packed[start:at])
    return tuple(frames)


def of_message(message: Message) -> tuple[Any, ...]:
    """Return the row of a message."""
    return (
        NUMBERS[message.queue.kind],
        message.queue.address,
        message.position,
        message.sender,
        message.subject,
        message.tracker,
        pack(message.content),
        message.size,
        message.is_tracked,
        message.origin,
        message.expires,
        message.attempts,
    )


def to_message(row: Sequence[Any]) -> Message:
    """Return the message of a row."""
    kind, address, position, sender, subject, tracker, content, _, is_tracked, origin, expires, attempts = row
    return Message(
        position,
        QueueName(KINDS[kind], address),
        sender,
        subject,
        tracker,
        unpack(content),
        bool(is_tracked),
        origin,
        expires,
        attempts,
    )


def of_letter(letter: DeadLetter) -> tuple[Any, ...]:
    """Return the row of a dead letter."""
    message = letter.message
    return (
        message.position,
        NUMBERS[message.queue.kind],
        message.queue.address,
        message.sender,
        message.subject,
        message.tracker,
        pack(message.content),
        message.is_tracked,
        message.expires,
        message.attempts,
        letter.status,
        letter.reason,
        letter.time,
    )


def to_letter(row: Sequence[Any]) -> DeadLetter:
    """Return the dead letter of a row."""
    position, kind, address, sender, subject, tracker, content, is_tracked, expires, attempts, *why = row
    queue = QueueName(KINDS[kind], address)
    frames = unpack(content)
    message = Message(
        position, queue, sender, subject, tracker, frames, bool(is_tracked), expires=expires, attempts=attempts
    )
    status, reason, time = why
    return DeadLetter(message, status, reason, time)


def of_record(record: Record) -> tuple[Any, ...]:
    """Return the row of a record."""
    stream, position, time, sender, subject, content = record
    return stream, position, time, sender, subject, pack(content), record.size


def to_record(row: Sequence[Any]) -> Record:
    """Return the record of a row."""
    stream, position, time, sender, subject, content, _ = row
    return Record(stream, position, time, sender, subject, unpack(content))

"""Convert messages, dead letters and records to rows of the store's tables (schema/*.sql) and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from alaska.errors import DamagedRow, ProtocolError
from alaska.message import (
    DELAYED,
    MOST_POSITION,
    NORMAL,
    PRIORITIES,
    Cause,
    DeadLetter,
    LastWorker,
    Message,
    PartName,
    QueueKind,
    QueueName,
    Record,
    RecordSize,
    part_of,
    rank_of,
)
from alaska.mlm.commands import Content, Properties
from alaska.mlm.properties import check
from alaska.store.chunks import LARGE_OCTETS, LENGTH_OCTETS

KINDS = (QueueKind.MAILBOX, QueueKind.SERVICE)
NUMBERS = {kind: number for number, kind in enumerate(KINDS)}
RECORD_KIND = len(KINDS)
"""The kind of records in the table that they share with messages."""
_FIRST_RANKED = 4
PARTS = {
    number: (kind, rank)
    for rank in (*PRIORITIES, DELAYED)
    for kind, of_normal in NUMBERS.items()
    for number in (of_normal if rank == NORMAL else _FIRST_RANKED + 2 * rank + of_normal,)
}
"""The kind of queue and the rank for each kind of a row."""
_PART_NUMBERS = {part: number for number, part in PARTS.items()}
MESSAGE_COLUMNS = "kind, address, position, octets, attempts, expires, data"
LETTER_COLUMNS = (
    "position, kind, address, sender, subject, tracker, content, is_tracked, expires, attempts, status, reason, time, "
    "since, properties, cause, worker, host, pid"
)
RECORD_COLUMNS = "stream, position, time, sender, subject, content, octets, properties"
_MOST = 2**40
_COUNT_BITS = 20
_MOST_COUNT = (1 << _COUNT_BITS) - 1
_MOST_COUNTS = 1 << 3 * _COUNT_BITS
_MAYBE = (float, type(None))
_MESSAGE_TYPES = {(int, bytes, int, int, int, expires, bytes) for expires in _MAYBE}
_LETTER_TYPES = {
    (int, int, *[bytes] * 5, int, expires, int, int, bytes, float, int, *[bytes] * 4, int) for expires in _MAYBE
}
_RECORD_TYPES = (bytes, int, int, bytes, bytes, bytes, int, bytes)
_NO_PROPERTIES = b"\x80"
_CAUSES = {cause.value.encode(): cause for cause in Cause}
_NOBODY = LastWorker(b"")
_to_data = msgspec.msgpack.Encoder().encode


class _Data(msgspec.Struct, array_like=True, gc=False):
    """The column ``data`` of a message; rows that older versions wrote are shorter."""

    sender: bytes
    subject: bytes
    tracker: bytes
    content: tuple[bytes, ...]  # any number of frames
    is_tracked: bool
    origin: bytes
    since: int = 0
    properties: Properties = {}
    patience: float | None = None


class _Head(msgspec.Struct, array_like=True, gc=False):
    """The first values of the column ``data`` of a message."""

    sender: bytes
    subject: bytes


_from_data = msgspec.msgpack.Decoder(_Data).decode
_from_head = msgspec.msgpack.Decoder(_Head).decode
_from_properties = msgspec.msgpack.Decoder(Properties).decode


def key_of(part: PartName) -> tuple[int, bytes]:
    """Return the columns that name a part of a queue."""
    return _PART_NUMBERS[part.kind, rank_of(part)], part.address


def part_with(number: int, address: bytes) -> PartName:
    """Return the part of a queue that two columns name; the number is one of ``PARTS``."""
    kind, rank = PARTS[number]
    return part_of(QueueName(kind, address), rank)


def counts_of(message: Message) -> int:
    """Return the column ``attempts`` of a message: three counts, of which most messages have the first one only."""
    attempts, answered, snoozes = message.attempts, message.answered, message.snoozes
    if not (answered or snoozes):
        return min(attempts, _MOST_COUNT)
    counts = [min(count, _MOST_COUNT) for count in (attempts, answered, snoozes)]
    return counts[0] | counts[1] << _COUNT_BITS | counts[2] << 2 * _COUNT_BITS


def pack(content: Content) -> bytes:
    """Return the frames of a content in one string, each preceded by its length."""
    return b"".join([part for frame in content for part in (len(frame).to_bytes(LENGTH_OCTETS, "big"), frame)])


def unpack(packed: bytes) -> Content:
    """Return the frames from a packed string.

    :raises DamagedRow: a length does not match the string.
    """
    frames, end = _frames(packed)
    if end != len(packed):
        raise DamagedRow("the length of its content is wrong")
    return frames


def _frames(packed: bytes) -> tuple[Content, int]:
    """Return the frames, the last one possibly truncated, and the offset where it should end."""
    frames: list[bytes] = []
    at = 0
    while at < len(packed):
        start = at + LENGTH_OCTETS
        at = start + int.from_bytes(packed[at:start], "big")
        frames.append(packed[start:at])
    return tuple(frames), at


def as_data(sender: bytes, subject: bytes, tracker: bytes, packed: bytes, is_tracked: int, origin: bytes) -> bytes:
    """Return the column ``data`` for a row of schema version 1, which had separate columns."""
    return _to_data((sender, subject, tracker, _frames(packed)[0], bool(is_tracked), origin))


def of_messages(messages: Iterable[Message]) -> list[Any]:
    """Return the values of the rows of messages in one list, without the columns that name the queue.

    Large messages have no content in their rows.
    """
    return [
        value
        for each in messages
        for value in (
            each.position,
            each.size,
            counts_of(each),
            each.expires,
            _to_data(
                (
                    each.sender,
                    each.subject,
                    each.tracker,
                    each.content if each.size <= LARGE_OCTETS else (),
                    each.is_tracked,
                    each.origin,
                    each.since,
                    each.properties,
                    each.patience,
                )
            ),
        )
    ]


def to_message(row: Sequence[Any]) -> Message:
    """Return the message of a row.

    :raises DamagedRow: the row is not valid.
    """
    if tuple(map(type, row)) not in _MESSAGE_TYPES:
        raise DamagedRow("a column has another type")
    kind, address, position, octets, counts, expires, data = row
    if kind not in PARTS or not (0 <= octets <= _MOST and 0 <= counts < _MOST_COUNTS):
        raise DamagedRow("a number is out of range")
    queue_kind, rank = PARTS[kind]
    try:
        read = _from_data(data)
        check(read.properties, len(data))
    except (msgspec.MsgspecError, RecursionError, ProtocolError) as error:
        raise DamagedRow(str(error)) from error
    message = Message(
        position, QueueName(queue_kind, address), read.sender, read.subject, read.tracker, read.content,
        read.is_tracked, read.origin, expires, counts & _MOST_COUNT, since=read.since,
        rank=rank, patience=read.patience, answered=counts >> _COUNT_BITS & _MOST_COUNT,
        snoozes=counts >> 2 * _COUNT_BITS,
    )  # fmt: skip
    message.properties = read.properties
    # The size that limits count must not change, even if an older version computed it differently.
    message.size = octets
    return message


def to_subject(data: bytes) -> bytes:
    """Return the subject of a message from the column ``data`` of its row.

    :raises DamagedRow: the row is not valid.
    """
    try:
        return _from_head(data).subject
    except (msgspec.MsgspecError, RecursionError, TypeError) as error:
        raise DamagedRow(str(error)) from error


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
        message.since,
        _to_data(message.properties) if message.properties else _NO_PROPERTIES,
        letter.cause.value.encode(),
        *(letter.worker or _NOBODY),
    )


def to_letter(row: Sequence[Any]) -> DeadLetter:
    """Return the dead letter of a row.

    :raises DamagedRow: the row is not valid.
    """
    if tuple(map(type, row)) not in _LETTER_TYPES:
        raise DamagedRow("a column has another type")
    if row[1] >> 1 or not (0 <= row[9] <= _MOST and 0 <= row[10] <= _MOST):
        raise DamagedRow("a number is out of range")
    position, kind, address, sender, subject, tracker, content, is_tracked, expires, attempts, *why = row
    queue = QueueName(KINDS[kind], address)
    frames = unpack(content)
    status, reason, time, since, properties, cause, *worker = why
    message = Message(
        position, queue, sender, subject, tracker, frames, bool(is_tracked), expires=expires, attempts=attempts,
        since=since, properties=_to_properties(properties),
    )  # fmt: skip
    # An unknown cause is that of a later version, whose dead letter is as good as any.
    last = LastWorker(*worker)
    return DeadLetter(
        message, status, reason, time, _CAUSES.get(cause, Cause.FAILED), None if last == _NOBODY else last
    )


def of_record(record: Record) -> tuple[Any, ...]:
    """Return the row of a record without its stream; a large record has no content in its row."""
    _, position, time, sender, subject, content, properties = record
    size = record.size
    packed = pack(content) if size <= LARGE_OCTETS else b""
    return position, time, sender, subject, packed, size, _to_data(properties) if properties else _NO_PROPERTIES


def to_record_size(row: Sequence[Any]) -> RecordSize:
    """Return the size of a record from its row.

    :raises DamagedRow: the row is not valid.
    """
    position, time, octets, _ = row
    if not isinstance(time, int) or not isinstance(octets, int):
        raise DamagedRow("a column has another type")
    return RecordSize(position, time, octets)


def to_record(row: Sequence[Any]) -> Record:
    """Return the record of a row.

    :raises DamagedRow: the row is not valid.
    """
    if tuple(map(type, row)) != _RECORD_TYPES:
        raise DamagedRow("a column has another type")
    if not 0 <= row[2] <= MOST_POSITION:
        raise DamagedRow("a number is out of range")
    stream, position, time, sender, subject, content, _, properties = row
    return Record(stream, position, time, sender, subject, unpack(content), _to_properties(properties))


def _to_properties(octets: bytes) -> Properties:
    if octets == _NO_PROPERTIES:
        return {}
    try:
        properties: Properties = _from_properties(octets)
        check(properties, len(octets))
    except (msgspec.MsgspecError, RecursionError, ProtocolError) as error:
        raise DamagedRow(str(error)) from error
    return properties

"""The twenty commands of the protocol, and the table of their layouts on the wire.

The codec, the tests and ``docs/protocol.md`` are based on the table. Strings are octets, as on the wire: addresses and
subjects may contain any. The content of a command is the tuple of the frames after the header, as the sender sent them.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

PROTOCOL_NAME = b"MALAMUTE"
PROTOCOL_VERSION = 1
MAX_STRING_OCTETS = 255
LIVE_ONLY = 2**64 - 1
"""The position of a STREAM-REPLAY that requests new records only."""

Content = tuple[bytes, ...]


class ConnectionOpen(NamedTuple):
    """A client opens the connection with its address; with the empty address it has no mailbox."""

    address: bytes


class ConnectionPing(NamedTuple):
    """A client's heartbeat; the broker answers with CONNECTION-PONG."""


class ConnectionPong(NamedTuple):
    """The broker's answer to CONNECTION-PING."""


class ConnectionClose(NamedTuple):
    """A client closes the connection."""


class StreamWrite(NamedTuple):
    """A client selects the stream for its following STREAM-SENDs."""

    stream: bytes


class StreamRead(NamedTuple):
    """A client subscribes to the messages of a stream whose subjects match a pattern."""

    stream: bytes
    pattern: bytes


class StreamSend(NamedTuple):
    """A message for the stream that the client has selected."""

    subject: bytes
    content: Content


class StreamDeliver(NamedTuple):
    """The broker delivers a message of a stream; the address is the stream's name."""

    address: bytes
    sender: bytes
    subject: bytes
    content: Content


class MailboxSend(NamedTuple):
    """A message for a mailbox; the timeout is in milliseconds, 0 for none."""

    address: bytes
    subject: bytes
    tracker: bytes
    timeout: int
    content: Content


class MailboxDeliver(NamedTuple):
    """The broker delivers a message of a mailbox to its owner."""

    sender: bytes
    address: bytes
    subject: bytes
    tracker: bytes
    content: Content


class ServiceSend(NamedTuple):
    """A request for a service; the timeout is in milliseconds, 0 for none."""

    address: bytes
    subject: bytes
    tracker: bytes
    timeout: int
    content: Content


class ServiceOffer(NamedTuple):
    """A client offers a service for requests whose subjects match a pattern."""

    address: bytes
    pattern: bytes


class ServiceDeliver(NamedTuple):
    """The broker delivers a request to a client that offers the service."""

    sender: bytes
    address: bytes
    subject: bytes
    tracker: bytes
    content: Content


class Ok(NamedTuple):
    """The broker has executed a command."""

    status_code: int
    status_reason: bytes


class Error(NamedTuple):
    """The broker has refused a command, or has ended the session (docs/protocol.md, section 3)."""

    status_code: int
    status_reason: bytes


class Credit(NamedTuple):
    """A client accepts ``amount`` more deliveries."""

    amount: int


class Confirm(NamedTuple):
    """The status of the message with this tracker: acknowledges a delivery, or reports on a sent message."""

    tracker: bytes
    status_code: int
    status_reason: bytes


class StreamCancel(NamedTuple):
    """A client unsubscribes from a stream."""

    stream: bytes


class StreamReplay(NamedTuple):
    """A client subscribes to a stream from a position on: 0 is the oldest record, :data:`LIVE_ONLY` only new ones."""

    stream: bytes
    pattern: bytes
    position: int


class StreamRecord(NamedTuple):
    """The broker delivers a stream's record, with its position and the time (ms since 1970) when it was received."""

    position: int
    time: int
    address: bytes
    sender: bytes
    subject: bytes
    content: Content


Command = (
    ConnectionOpen
    | ConnectionPing
    | ConnectionPong
    | ConnectionClose
    | StreamWrite
    | StreamRead
    | StreamSend
    | StreamDeliver
    | MailboxSend
    | MailboxDeliver
    | ServiceSend
    | ServiceOffer
    | ServiceDeliver
    | Ok
    | Error
    | Credit
    | Confirm
    | StreamCancel
    | StreamReplay
    | StreamRecord
)


class Kind(Enum):
    """How a field is encoded on the wire."""

    STRING = "string"
    NUMBER_2 = "number-2"
    NUMBER_4 = "number-4"
    NUMBER_8 = "number-8"
    PROTOCOL = "string = MALAMUTE"
    VERSION = "number-2 = 1"


class Peer(Enum):
    """Who sends a command."""

    CLIENT = "client"
    BROKER = "broker"
    BOTH = "both"


class Layout(NamedTuple):
    """One command on the wire."""

    number: int
    name: str
    type: type[Command]
    fields: tuple[Kind, ...]
    has_content: bool
    sent_by: Peer


_S, _2, _4, _8 = Kind.STRING, Kind.NUMBER_2, Kind.NUMBER_4, Kind.NUMBER_8

LAYOUTS: tuple[Layout, ...] = (
    Layout(1, "CONNECTION-OPEN", ConnectionOpen, (Kind.PROTOCOL, Kind.VERSION, _S), False, Peer.CLIENT),
    Layout(2, "CONNECTION-PING", ConnectionPing, (), False, Peer.CLIENT),
    Layout(3, "CONNECTION-PONG", ConnectionPong, (), False, Peer.BROKER),
    Layout(4, "CONNECTION-CLOSE", ConnectionClose, (), False, Peer.CLIENT),
    Layout(5, "STREAM-WRITE", StreamWrite, (_S,), False, Peer.CLIENT),
    Layout(6, "STREAM-READ", StreamRead, (_S, _S), False, Peer.CLIENT),
    Layout(7, "STREAM-SEND", StreamSend, (_S,), True, Peer.CLIENT),
    Layout(8, "STREAM-DELIVER", StreamDeliver, (_S, _S, _S), True, Peer.BROKER),
    Layout(9, "MAILBOX-SEND", MailboxSend, (_S, _S, _S, _4), True, Peer.CLIENT),
    Layout(10, "MAILBOX-DELIVER", MailboxDeliver, (_S, _S, _S, _S), True, Peer.BROKER),
    Layout(11, "SERVICE-SEND", ServiceSend, (_S, _S, _S, _4), True, Peer.CLIENT),
    Layout(12, "SERVICE-OFFER", ServiceOffer, (_S, _S), False, Peer.CLIENT),
    Layout(13, "SERVICE-DELIVER", ServiceDeliver, (_S, _S, _S, _S), True, Peer.BROKER),
    Layout(14, "OK", Ok, (_2, _S), False, Peer.BROKER),
    Layout(15, "ERROR", Error, (_2, _S), False, Peer.BROKER),
    Layout(16, "CREDIT", Credit, (_2,), False, Peer.CLIENT),
    Layout(17, "CONFIRM", Confirm, (_S, _2, _S), False, Peer.BOTH),
    Layout(18, "STREAM-CANCEL", StreamCancel, (_S,), False, Peer.CLIENT),
    Layout(19, "STREAM-REPLAY", StreamReplay, (_S, _S, _8), False, Peer.CLIENT),
    Layout(20, "STREAM-RECORD", StreamRecord, (_8, _8, _S, _S, _S), True, Peer.BROKER),
)

NAMES: dict[type[Command], str] = {layout.type: layout.name for layout in LAYOUTS}
"""The names of commands in logs and errors."""

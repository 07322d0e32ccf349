"""The twenty commands of the protocol, and the one table that says how each is laid out on the wire.

The table drives the codec, the tests and ``docs/protocol.md``. Strings are octets, as on the wire: addresses and
subjects may hold any. A command with content carries the frames behind the header as a tuple, in order, each
exactly as the sender gave it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

PROTOCOL_NAME = b"MALAMUTE"
PROTOCOL_VERSION = 1
MAX_STRING_OCTETS = 255
LIVE_ONLY = 2**64 - 1
"""The position of a STREAM-REPLAY that wants only what comes from now on."""

Content = tuple[bytes, ...]


class ConnectionOpen(NamedTuple):
    """A client introduces itself; with the empty address it has no mailbox."""

    address: bytes


class ConnectionPing(NamedTuple):
    """A client asks for a sign of life."""


class ConnectionPong(NamedTuple):
    """The broker gives one."""


class ConnectionClose(NamedTuple):
    """A client leaves."""


class StreamWrite(NamedTuple):
    """A client will write to this stream."""

    stream: bytes


class StreamRead(NamedTuple):
    """A client wants what is written to this stream under a subject that matches."""

    stream: bytes
    pattern: bytes


class StreamSend(NamedTuple):
    """A message for the stream that the client writes to."""

    subject: bytes
    content: Content


class StreamDeliver(NamedTuple):
    """A stream's message for a reader; the address is the stream's name."""

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
    """A mailbox's message for its owner."""

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
    """A client offers a service for the subjects that match."""

    address: bytes
    pattern: bytes


class ServiceDeliver(NamedTuple):
    """A request for a client that offers its service."""

    sender: bytes
    address: bytes
    subject: bytes
    tracker: bytes
    content: Content


class Ok(NamedTuple):
    """The broker did what was asked."""

    status_code: int
    status_reason: bytes


class Error(NamedTuple):
    """The broker did not; the client is no longer open."""

    status_code: int
    status_reason: bytes


class Credit(NamedTuple):
    """A client is ready for so many more deliveries."""

    amount: int


class Confirm(NamedTuple):
    """What became of the message with this tracker."""

    tracker: bytes
    status_code: int
    status_reason: bytes


class StreamCancel(NamedTuple):
    """A client wants no more of this stream."""

    stream: bytes


class StreamReplay(NamedTuple):
    """A client wants a stream from a position on: 0 for the oldest kept record, :data:`LIVE_ONLY` for none."""

    stream: bytes
    pattern: bytes
    position: int


class StreamRecord(NamedTuple):
    """A stream's message with its position and the time, in ms since 1970, at which the broker received it."""

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
    """How one field stands on the wire."""

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
"""The name that logs and errors give a command."""

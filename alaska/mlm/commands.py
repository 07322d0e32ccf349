"""The commands of the protocol, and the table of their layouts on the wire.

The codec, the tests and ``docs/protocol.md`` are based on the types: their tag is the number of the command, their
fields are those of the header, in order. Strings are octets, as on the wire: addresses and subjects may contain any.
The content of a command is the tuple of the frames after the header, as the sender sent them. Properties have
their values as they were received (docs/protocol.md, section 7).

The types are structs of msgspec, which encode and decode a BATCH of them in one call, and are created in a third of the
time of a named tuple.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, NamedTuple, get_type_hints

from msgspec import Meta, Struct

PROTOCOL_NAME = b"MALAMUTE"
PROTOCOL_VERSION = 1
MAX_STRING_OCTETS = 255
LIVE_ONLY = 2**64 - 1
"""The position of a STREAM-REPLAY that requests new records only."""

MAX_BATCH_FRAMES = 1000
"""The maximum number of frames of a content in a BATCH; a message with more is sent outside of batches."""
Content = Annotated[tuple[bytes, ...], Meta(max_length=MAX_BATCH_FRAMES)]
String = Annotated[bytes, Meta(max_length=MAX_STRING_OCTETS)]
Number2 = Annotated[int, Meta(ge=0, lt=2**16)]
Number4 = Annotated[int, Meta(ge=0, lt=2**32)]
Number8 = Annotated[int, Meta(ge=0)]  # MessagePack has no larger numbers
MAX_PROPERTIES = 32
Properties = Annotated[dict[str, Any], Meta(max_length=MAX_PROPERTIES)]
"""Values are octets, unsigned numbers or text; :mod:`alaska.mlm.properties` checks that."""


class _Command(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The base of all commands."""


class ConnectionOpen(_Command, frozen=True, tag=1):
    """A client opens the connection with its address; with the empty address it has no mailbox."""

    address: String
    properties: Properties = {}


class ConnectionPing(_Command, frozen=True, tag=2):
    """A client's heartbeat; the broker answers with CONNECTION-PONG."""


class ConnectionPong(_Command, frozen=True, tag=3):
    """The broker's answer to CONNECTION-PING."""


class ConnectionClose(_Command, frozen=True, tag=4):
    """A client closes the connection."""


class StreamWrite(_Command, frozen=True, tag=5):
    """A client selects the stream for its following STREAM-SENDs."""

    stream: String


class StreamRead(_Command, frozen=True, tag=6):
    """A client subscribes to the messages of a stream whose subjects match a pattern."""

    stream: String
    pattern: String


class StreamSend(_Command, frozen=True, tag=7):
    """A message for the stream that the client has selected."""

    subject: String
    content: Content
    properties: Properties = {}


class StreamDeliver(_Command, frozen=True, tag=8):
    """The broker delivers a message of a stream; the address is the stream's name."""

    address: String
    sender: String
    subject: String
    content: Content
    properties: Properties = {}


class MailboxSend(_Command, frozen=True, tag=9):
    """A message for a mailbox; the timeout is in milliseconds, 0 for none."""

    address: String
    subject: String
    tracker: String
    timeout: Number4
    content: Content
    properties: Properties = {}


class MailboxDeliver(_Command, frozen=True, tag=10):
    """The broker delivers a message of a mailbox to its owner."""

    sender: String
    address: String
    subject: String
    tracker: String
    content: Content
    properties: Properties = {}


class ServiceSend(_Command, frozen=True, tag=11):
    """A request for a service; the timeout is in milliseconds, 0 for none."""

    address: String
    subject: String
    tracker: String
    timeout: Number4
    content: Content
    properties: Properties = {}


class ServiceOffer(_Command, frozen=True, tag=12):
    """A client offers a service for requests whose subjects match a pattern."""

    address: String
    pattern: String
    properties: Properties = {}


class ServiceDeliver(_Command, frozen=True, tag=13):
    """The broker delivers a request to a client that offers the service."""

    sender: String
    address: String
    subject: String
    tracker: String
    content: Content
    properties: Properties = {}


class Ok(_Command, frozen=True, tag=14):
    """The broker has executed a command."""

    status_code: Number2
    status_reason: String

    @property
    def capabilities(self) -> frozenset[bytes]:
        """The protocol extensions that an answer to CONNECTION-OPEN announces; a C broker announces none."""
        words = self.status_reason.split()
        return frozenset(words[1:]) if words[:1] == [b"alaska/1"] else frozenset()


class Error(_Command, frozen=True, tag=15):
    """The broker has refused a command, or has ended the session (docs/protocol.md, section 3)."""

    status_code: Number2
    status_reason: String


class Credit(_Command, frozen=True, tag=16):
    """A client accepts ``amount`` more deliveries."""

    amount: Number2


class Confirm(_Command, frozen=True, tag=17):
    """The status of the message with this tracker: acknowledges a delivery, or reports on a sent message."""

    tracker: String
    status_code: Number2
    status_reason: String
    properties: Properties = {}


class StreamCancel(_Command, frozen=True, tag=18):
    """A client unsubscribes from a stream."""

    stream: String


class StreamReplay(_Command, frozen=True, tag=19):
    """A client subscribes to a stream from a position on: 0 is the oldest record, :data:`LIVE_ONLY` only new ones."""

    stream: String
    pattern: String
    position: Number8
    properties: Properties = {}


class StreamRecord(_Command, frozen=True, tag=20):
    """The broker delivers a stream's record, with its position and the time (ms since 1970) when it was received."""

    position: Number8
    time: Number8
    address: String
    sender: String
    subject: String
    content: Content
    properties: Properties = {}


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
    has_properties: bool
    sent_by: Peer


_KINDS = {String: Kind.STRING, Number2: Kind.NUMBER_2, Number4: Kind.NUMBER_4, Number8: Kind.NUMBER_8}


def _layout(name: str, command: type[Command], sent_by: Peer) -> Layout:
    """Return the layout of a command, as its type declares it."""
    number = command.__struct_config__.tag
    assert isinstance(number, int)
    hints = get_type_hints(command, include_extras=True)
    greeting = (Kind.PROTOCOL, Kind.VERSION) if command is ConnectionOpen else ()
    fields = tuple(_KINDS[hints[field]] for field in command.__struct_fields__ if hints[field] in _KINDS)
    return Layout(number, name, command, greeting + fields, "content" in hints, "properties" in hints, sent_by)


LAYOUTS: tuple[Layout, ...] = (
    _layout("CONNECTION-OPEN", ConnectionOpen, Peer.CLIENT),
    _layout("CONNECTION-PING", ConnectionPing, Peer.CLIENT),
    _layout("CONNECTION-PONG", ConnectionPong, Peer.BROKER),
    _layout("CONNECTION-CLOSE", ConnectionClose, Peer.CLIENT),
    _layout("STREAM-WRITE", StreamWrite, Peer.CLIENT),
    _layout("STREAM-READ", StreamRead, Peer.CLIENT),
    _layout("STREAM-SEND", StreamSend, Peer.CLIENT),
    _layout("STREAM-DELIVER", StreamDeliver, Peer.BROKER),
    _layout("MAILBOX-SEND", MailboxSend, Peer.CLIENT),
    _layout("MAILBOX-DELIVER", MailboxDeliver, Peer.BROKER),
    _layout("SERVICE-SEND", ServiceSend, Peer.CLIENT),
    _layout("SERVICE-OFFER", ServiceOffer, Peer.CLIENT),
    _layout("SERVICE-DELIVER", ServiceDeliver, Peer.BROKER),
    _layout("OK", Ok, Peer.BROKER),
    _layout("ERROR", Error, Peer.BROKER),
    _layout("CREDIT", Credit, Peer.CLIENT),
    _layout("CONFIRM", Confirm, Peer.BOTH),
    _layout("STREAM-CANCEL", StreamCancel, Peer.CLIENT),
    _layout("STREAM-REPLAY", StreamReplay, Peer.CLIENT),
    _layout("STREAM-RECORD", StreamRecord, Peer.BROKER),
)

NAMES: dict[type[Command], str] = {layout.type: layout.name for layout in LAYOUTS}
"""The names of commands in logs and errors."""

"""Deliveries and confirmations, and conversion and checks of arguments.

Names, subjects and trackers are octets on the wire and text here. The text is decoded as UTF-8; other octets become
surrogate escapes, which are sent back unchanged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from alaska import errors
from alaska.mlm import commands as mlm
from alaska.mlm.listener import Delivered
from alaska.mlm.properties import headers_of, of_headers
from alaska.mlm.properties import to_number as to_unsigned
from alaska.system.retry_plan import MOST_MILLISECONDS as MOST_DELAY
from alaska.traces.context import TraceContext, of_properties

Text: TypeAlias = "str | bytes | bytearray | memoryview"

Headers: TypeAlias = "Mapping[str, str] | Mapping[str, Text] | Mapping[bytes, bytes] | Mapping[str, str | bytes]"
MOST_HEADERS = 24
MOST_HEADERS_OCTETS = 32 * 1024
MOST_MILLISECONDS = 2**32 - 1
MOST_POSITION = 2**64 - 1
MOST_STATUS = 2**16 - 1

# Created once: creating the union takes longer than the isinstance check, which is made for each delivery.
_TRACKED = mlm.MailboxDeliver | mlm.ServiceDeliver


def to_octets(text: Text, what: str = "the argument") -> bytes:
    """Return text or octets as they are sent over the wire; ``what`` is the name of the argument in errors.

    :raises TypeError: the argument is neither text nor octets.
    :raises ValueError: the text contains an unpaired surrogate.
    """
    kind = type(text)
    if kind is bytes:
        return text  # type: ignore[return-value]  # mypy does not narrow by a variable
    if isinstance(text, str):
        try:
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise ValueError(f"{what} has an unpaired surrogate at {error.start}") from None
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"{what} must be text or octets, not {_kind(text)}")


def to_frames(content: tuple[Text, ...]) -> tuple[bytes, ...]:
    """Return the frames of a message as they are sent over the wire; raises the errors of :func:`to_octets`."""
    for frame in content:
        if type(frame) is not bytes:
            return tuple(to_octets(each, "content") for each in content)
    return content  # type: ignore[return-value]  # all of them are bytes


def to_properties(headers: Headers | None) -> mlm.Properties:
    """Return headers as the properties of a command.

    :raises TypeError: a name is not text, or a value is neither text nor octets.
    :raises ValueTooLong: there are too many, a name is too long, or they are too large.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise TypeError(f"headers must be names and values in a dictionary, not {_kind(headers)}")
    named = [(to_octets(name, "the name of a header"), to_octets(value, "a header")) for name, value in headers.items()]
    octets = sum(len(name) + len(value) for name, value in named)
    if len(named) > MOST_HEADERS or octets > MOST_HEADERS_OCTETS:
        raise errors.ValueTooLong(
            f"a message cannot have {len(named)} headers of {octets} octets, the limits are {MOST_HEADERS} and "
            f"{MOST_HEADERS_OCTETS}"
        )
    return of_headers(named)


def check_function(call: object, what: str) -> None:
    """Check that an optional argument is a function; ``what`` is its name in errors.

    :raises TypeError: it is something else.
    """
    if call is not None and not callable(call):
        raise TypeError(f"{what} must be a function, not {_kind(call)}")


def check_text(value: object, what: str) -> None:
    """Check that an argument is text.

    :raises TypeError: it is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be text, not {_kind(value)}")


def check_flag(value: object, what: str) -> None:
    """Check that an argument is True or False.

    :raises TypeError: it is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{what} must be True or False, not {_kind(value)}")


def check_trace(value: object) -> None:
    """Check that the argument ``trace`` is a trace context, or None.

    :raises TypeError: it is something else.
    """
    if value is not None and not isinstance(value, TraceContext):
        raise TypeError(f"trace must be a TraceContext, not {_kind(value)}")


def to_number(value: int, most: int, what: str) -> int:
    """Return an integer from 0 to ``most``; ``what`` is its name in errors.

    :raises TypeError: it is not an integer.
    :raises ValueError: it is out of range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{what} must be a whole number, not {_kind(value)}")
    if not 0 <= value <= most:
        raise ValueError(f"{what} must be a number from 0 to {most}, not {value}")
    return int(value)


def to_seconds(seconds: float, what: str = "timeout") -> float:
    """Return a duration in seconds, checked against the limit of the wire: 2^32-1 ms, which are 49 days.

    :raises TypeError: it is not a number.
    :raises ValueError: it is negative, NaN, or too long.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"{what} must be a number of seconds, not {_kind(seconds)}")
    if not 0 <= seconds <= MOST_MILLISECONDS / 1000:
        raise ValueError(f"{what} must be a number of seconds from 0 to {MOST_MILLISECONDS / 1000}, not {seconds}")
    return seconds


def to_wait(seconds: float) -> float:
    """Return for how many seconds a program waits, which is not limited by the wire.

    :raises TypeError: it is not a number.
    :raises ValueError: it is negative, NaN, or infinite.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"timeout must be a number of seconds, not {_kind(seconds)}")
    if not 0 <= seconds < math.inf:
        raise ValueError(f"timeout must be a number of seconds from 0 on, not {seconds}")
    return seconds


def to_milliseconds(seconds: float, what: str = "timeout") -> int:
    """Return a timeout in ms for the wire: at least 1, or 0 for no timeout; raises the errors of :func:`to_seconds`."""
    if type(seconds) is float and seconds == 0.0:
        return 0
    to_seconds(seconds, what)
    return max(1, round(seconds * 1000)) if seconds else 0


def to_delay(seconds: float) -> int:
    """Return in ms when a returned message is delivered again.

    :raises TypeError: it is not a number.
    :raises ValueError: it is below 0, above 30 days, or not a number of seconds.
    """
    to_seconds(seconds, "delay")
    if seconds * 1000 > MOST_DELAY:
        raise ValueError(f"a delay of {seconds} s is longer than 30 days")
    return round(seconds * 1000)


def to_fraction(fraction: float) -> float:
    """Return the part of the work that is done, which must be a number.

    :raises TypeError: it is something else.
    """
    if not isinstance(fraction, int | float) or isinstance(fraction, bool):
        raise TypeError(f"fraction must be a number, not {_kind(fraction)}")
    return fraction


def _kind(value: object) -> str:
    return type(value).__name__


def to_text(octets: bytes) -> str:
    """Decode octets of the wire as text."""
    return octets.decode("utf-8", "surrogateescape")


class Delivery(NamedTuple):
    """A message from a stream, a mailbox or a service; ``command`` is the command that delivered it."""

    command: Delivered
    session: int

    @property
    def kind(self) -> str:
        """The kind of its source: ``stream``, ``mailbox`` or ``service``."""
        if isinstance(self.command, mlm.MailboxDeliver):
            return "mailbox"
        return "service" if isinstance(self.command, mlm.ServiceDeliver) else "stream"

    @property
    def address(self) -> str:
        """The name of the stream, mailbox or service."""
        return to_text(self.command.address)

    @property
    def sender(self) -> str:
        """The address of the client that sent it; empty if the client has none."""
        return to_text(self.command.sender)

    @property
    def subject(self) -> str:
        """The subject."""
        return to_text(self.command.subject)

    @property
    def tracker(self) -> str:
        """The tracker, from the sender or from a broker that expects a confirmation; empty for a stream's message."""
        return to_text(self.tracker_octets)

    @property
    def tracker_octets(self) -> bytes:
        """The tracker in octets."""
        return self.command.tracker if isinstance(self.command, _TRACKED) else b""

    @property
    def lease(self) -> int | None:
        """What identifies the delivery in its confirmation (docs/protocol.md, section 7); None if the tracker does."""
        lease = self.command.properties.get("lease")
        return lease if type(lease) is int or lease is None else to_unsigned(lease)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the message."""
        return {to_text(name): to_text(value) for name, value in headers_of(self.command.properties)}

    @property
    def trace(self) -> TraceContext | None:
        """The trace context of the message; None if it has no valid one."""
        return of_properties(self.command.properties)

    @property
    def attempt(self) -> int | None:
        """How often the message was delivered, from 1 on; None if the broker does not tell."""
        return to_unsigned(self.command.properties.get("attempt"))

    @property
    def arrived(self) -> float | None:
        """When the broker received the message, in seconds since 1970; None if the broker does not tell."""
        if isinstance(self.command, mlm.StreamRecord):
            return self.command.time / 1000
        since = to_unsigned(self.command.properties.get("since"))
        return None if since is None else since / 1000

    @property
    def position(self) -> int | None:
        """The position in the stream if the stream is read with :meth:`Client.replay`, or None."""
        return self.command.position if isinstance(self.command, mlm.StreamRecord) else None

    @property
    def content(self) -> tuple[bytes, ...]:
        """The frames, as the sender sent them."""
        return self.command.content

    @property
    def body(self) -> bytes:
        """All frames of the content, joined."""
        return b"".join(self.command.content)

    @property
    def text(self) -> str:
        """All frames of the content as one text; octets that are not UTF-8 become surrogate escapes."""
        return to_text(self.body)

    def json(self) -> Any:  # noqa: ANN401  # it can be anything
        """Return the content as JSON.

        :raises ValueError: it is not valid JSON.
        """
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("the content has too many levels of JSON") from None


def check_delivery(delivery: object) -> None:
    """Check that the argument ``delivery`` is one.

    :raises TypeError: it is something else.
    """
    if not isinstance(delivery, Delivery):
        raise TypeError(f"delivery must be a Delivery, not {_kind(delivery)}")


class Progress(NamedTuple):
    """How far a message is that was sent with a tracker: the part of the work that is done, from 0 to 1, and a text."""

    tracker: str
    fraction: float
    text: str


class Cancellation(NamedTuple):
    """A delivery that is cancelled and not confirmed yet, by its lease and session; ``is_forced``: it is to end now."""

    lease: int
    session: int
    is_forced: bool


class Confirmation(NamedTuple):
    """The status of a message that was sent with a tracker (docs/protocol.md, section 5).

    Status 201: the broker has stored the message. All others are final, and may come without a 201 before: 200
    acknowledged, 202 delivered to a client that cannot confirm, 203 not kept since the broker knows its id, 204
    replaced by a later one with its id, 301 too large, 302 expired, 400 and above permanently rejected by the receiver.
    After a 203, the program is also told the outcome of the first message with the id if the broker knows or learns it.
    """

    tracker: str
    status: int
    reason: str

    @property
    def is_final(self) -> bool:
        """Whether this is the last confirmation for the message."""
        return self.status != errors.STORED

    @property
    def position(self) -> int | None:
        """With 203, the position of the first message with the id; with 204, that of the one that replaced it."""
        key, _, number = self.reason.partition("=")
        is_told = self.status in (errors.KNOWN_ID, errors.REPLACED) and key == "position"
        return to_unsigned(number) if is_told else None

"""What a client is given: messages, and what became of those that it sent.

Names, subjects and trackers are octets on the wire and text here: UTF-8, with octets that are none as surrogate
escapes, which go back as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from alaska import errors
from alaska.mlm import commands as mlm
from alaska.mlm.client import Delivered

Text: TypeAlias = "str | bytes | bytearray | memoryview"

MOST_MILLISECONDS = 2**32 - 1
MOST_POSITION = 2**64 - 1
MOST_STATUS = 2**16 - 1

# To make it takes longer than to look into it, and each delivery is asked.
_TRACKED = mlm.MailboxDeliver | mlm.ServiceDeliver


def to_octets(text: Text) -> bytes:
    """Return text, or a copy of octets, as it goes over the wire.

    :raises TypeError: it is neither.
    :raises ValueError: it is text with half a surrogate pair in it.
    """
    kind = type(text)
    if kind is bytes:
        return text  # type: ignore[return-value]  # mypy does not narrow by a variable
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if isinstance(text, bytes | bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"text or octets are wanted, not {_kind(text)}")


def to_frames(content: tuple[Text, ...]) -> tuple[bytes, ...]:
    """Return the frames of a message as they go over the wire; raises as :func:`to_octets`."""
    for frame in content:
        if type(frame) is not bytes:
            return tuple(map(to_octets, content))
    return content  # type: ignore[return-value]  # all of them are bytes


def to_number(value: int, most: int, what: str) -> int:
    """Return a whole number from 0 to ``most``; ``what`` is what an error calls it.

    :raises TypeError: it is no whole number.
    :raises ValueError: it is out of range.
    """
    if not isinstance(value, int):
        raise TypeError(f"{what} is a whole number, not {_kind(value)}")
    if not 0 <= value <= most:
        raise ValueError(f"{what} is a number from 0 to {most}, not {value}")
    return int(value)


def to_seconds(seconds: float, what: str = "a timeout") -> float:
    """Return a time in seconds that fits the wire: at most 2^32-1 ms, which are 49 days.

    :raises TypeError: it is no number.
    :raises ValueError: it is negative, not a number, or too long.
    """
    if not isinstance(seconds, int | float):
        raise TypeError(f"{what} is a number of seconds, not {_kind(seconds)}")
    if not 0 <= seconds <= MOST_MILLISECONDS / 1000:
        raise ValueError(f"{what} is a number of seconds from 0 to {MOST_MILLISECONDS / 1000}, not {seconds}")
    return seconds


def to_milliseconds(seconds: float) -> int:
    """Return a timeout as it goes over the wire: only 0 is none, the shortest is 1 ms; raises as :func:`to_seconds`."""
    if type(seconds) is float and seconds == 0.0:
        return 0
    to_seconds(seconds)
    return max(1, round(seconds * 1000)) if seconds else 0


def _kind(value: object) -> str:
    return type(value).__name__


def to_text(octets: bytes) -> str:
    """Return octets of the wire as text."""
    return octets.decode("utf-8", "surrogateescape")


class Delivery(NamedTuple):
    """A message from a stream, a mailbox or a service; ``command`` is it as it came over the wire."""

    command: Delivered
    session: int

    @property
    def kind(self) -> str:
        """Where it comes from: ``stream``, ``mailbox`` or ``service``."""
        if isinstance(self.command, mlm.MailboxDeliver):
            return "mailbox"
        return "service" if isinstance(self.command, mlm.ServiceDeliver) else "stream"

    @property
    def address(self) -> str:
        """The name of the stream, mailbox or service."""
        return to_text(self.command.address)

    @property
    def sender(self) -> str:
        """The address of the client that sent it; empty if that has none."""
        return to_text(self.command.sender)

    @property
    def subject(self) -> str:
        """What it is about."""
        return to_text(self.command.subject)

    @property
    def tracker(self) -> str:
        """What the sender, or a broker that wants a confirmation, calls it; a stream's message has none."""
        return to_text(self.tracker_octets)

    @property
    def tracker_octets(self) -> bytes:
        """The tracker as it came over the wire."""
        return self.command.tracker if isinstance(self.command, _TRACKED) else b""

    @property
    def position(self) -> int | None:
        """Its place in its stream, where that was asked for with :meth:`Client.replay`."""
        return self.command.position if isinstance(self.command, mlm.StreamRecord) else None

    @property
    def content(self) -> tuple[bytes, ...]:
        """Its frames, as the sender gave them."""
        return self.command.content


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the broker says of a message that was sent with a tracker (docs/protocol.md, section 5).

    The status is 201 when the message is safe, and after that, or at once, one that ends it: 200 done, 202 delivered to
    a client that cannot confirm, 301 too large, 302 too late, or 400 and above where the receiver refused it for good.
    """

    tracker: str
    status: int
    reason: str

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be said of the message."""
        return self.status != errors.STORED

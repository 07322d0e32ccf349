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

Text: TypeAlias = "str | bytes"

# To make it takes longer than to look into it, and each delivery is asked.
_TRACKED = mlm.MailboxDeliver | mlm.ServiceDeliver


def to_octets(text: Text) -> bytes:
    """Return text as it goes over the wire."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


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

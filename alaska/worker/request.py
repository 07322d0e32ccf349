"""What a script is asked and what came of it: plain values that can cross threads and processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from alaska.errors import ScriptError

TIMEOUT = "worker/scripts/timeout"


@dataclass(frozen=True, slots=True)
class Request:
    """One service request as it was delivered.

    ``attempt`` is 1 when it is run for the first time; ``session`` is the connection's, for its confirmation.
    """

    sender: bytes
    address: bytes
    subject: bytes
    tracker: bytes
    frames: tuple[bytes, ...]
    attempt: int = 1
    session: int = 0

    @property
    def context(self) -> bytes:
        """The first content frame, which the script finds in ``alaskaContext``; empty if there is no frame."""
        return self.frames[0] if self.frames else b""


class SendKind(Enum):
    """Where a script's message goes."""

    STREAM = "stream"
    MAILBOX = "mailbox"


class Send(NamedTuple):
    """A message that a script wants sent.

    ``topic`` is the stream or the mailbox. ``content`` has one frame, or two when the script gave an attachment.
    ``sender`` is the prefix of the address that the message is sent from. Topic, subject and sender fit the wire:
    255 octets at most each.
    """

    kind: SendKind
    topic: bytes
    subject: bytes
    content: tuple[bytes, ...]
    sender: bytes


@dataclass(slots=True)
class Outcome:
    """What a script did.

    ``sends`` and ``output`` are in order, and hold what a failed script did before it failed. ``output`` is all that
    the script printed. ``error`` is None when the script came to its end. ``seconds`` is how long it took.
    """

    sends: tuple[Send, ...] = ()
    output: bytes = b""
    error: ScriptError | None = None
    seconds: float = 0.0


Call = Callable[[Request, bytes], bytes]
"""What a script asks of the worker while it runs, and the answer; called in the thread of the pool that runs it.

The octets mean something to who asks and who answers, and to nobody between them. The time until the answer is the
script's own: who answers should do so before its limit. To raise is a fault of the worker, not of the script.
"""

"""What a script is asked and what came of it: plain values that can cross threads and processes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from alaska.errors import ScriptError
from alaska.lua.files import Version

_MADE_BY_A_BROKER = re.compile(rb"broker-[0-9]+-[0-9]+")

TIMEOUT = "worker/scripts/timeout"


class Request(NamedTuple):
    """One service request as it was delivered.

    ``attempt`` is 1 when it is run for the first time; ``session`` is the connection's, for its confirmation.
    ``worker`` is the address of the worker that took it. ``arrived`` is when it did so, in seconds of the monotonic
    clock: what is known to have been so later needs no second look.
    """

    sender: bytes
    address: bytes
    subject: bytes
    tracker: bytes
    frames: tuple[bytes, ...]
    attempt: int = 1
    session: int = 0
    worker: bytes = b""
    arrived: float = math.inf

    @property
    def sender_tracker(self) -> bytes:
        """The tracker that the sender gave; empty if it gave none, and the broker made one up (docs/protocol.md)."""
        return b"" if _MADE_BY_A_BROKER.fullmatch(self.tracker) else self.tracker

    @property
    def context(self) -> bytes:
        """The first content frame, which the script finds in ``alaskaContext``; empty if there is no frame."""
        return self.frames[0] if self.frames else b""


class SendKind(Enum):
    """Where a script's message goes."""

    STREAM = "stream"
    MAILBOX = "mailbox"
    SERVICE = "service"
    REPLY = "reply"


class Send(NamedTuple):
    """A message that a script wants sent.

    ``topic`` is the stream, the mailbox or the service, empty for the service that was asked. ``content`` has one
    frame, or two when the script gave an attachment. ``sender`` is the prefix of the address that the message is sent
    from. Topic, subject and sender fit the wire: 255 octets at most each. A reply has any number of frames and neither
    topic nor subject: where it goes is known from its request.
    """

    kind: SendKind
    topic: bytes
    subject: bytes
    content: tuple[bytes, ...]
    sender: bytes


PRINTED = "print"


class LogLine(NamedTuple):
    """What a script wants logged: at which level (``info``, ``warn`` or ``error``), and the text.

    At the level ``PRINTED`` it is what the script printed before the lines that follow.
    """

    level: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The newest version of a script, which does not compile; the last good one was run in its place."""

    version: Version
    error: ScriptError


@dataclass(slots=True)
class Outcome:
    """What a script did.

    ``sends``, ``output`` and ``log`` are in order, and hold what a failed script did before it failed, but for what was
    told of while it ran. ``output`` is what the script printed after its last line of the log. ``error`` is None when
    the script came to its end. ``seconds`` is how long it took, ``memory`` how many octets Lua had in use when it
    ended, 0 for a script that has left nothing to be told.
    """

    sends: tuple[Send, ...] = ()
    output: bytes = b""
    error: ScriptError | None = None
    seconds: float = 0.0
    log: tuple[LogLine, ...] = ()
    broken: Broken | None = None
    memory: int = field(default=0, compare=False)


Call = Callable[[Request, bytes], bytes]
"""What a script asks of the worker while it runs, and the answer; called in the thread of the pool that runs it.

The octets mean something to who asks and who answers, and to nobody between them. The time until the answer is the
script's own: who answers should do so before its limit. To raise is a fault of the worker, not of the script.
"""

"""Requests to scripts and their outcomes: plain values that can be passed to threads and processes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from alaska.errors import ScriptError
from alaska.lua.files import Version
from alaska.lua.header import Header
from alaska.system.retry_plan import Plan
from alaska.traces.context import RunTrace

_GENERATED_TRACKER = re.compile(rb"broker-[0-9]+-[0-9]+")

TIMEOUT = "worker/scripts/timeout"


class Request(NamedTuple):
    """A service request as delivered to the worker.

    ``attempt`` is 1 for the first run. ``session`` is the number of the connection, needed for the confirmation, and so
    is ``lease``, unless it is None. ``runs`` counts the runs of this worker. ``since`` is when the broker received the
    request, in ms since 1970; 0 if that is unknown. ``headers`` are names and values.
    ``worker`` is the address of the worker. ``arrived`` is the time of delivery, in seconds of the monotonic clock: a
    script file that was checked after this time need not be checked again. ``trace`` is the trace of the run, or None.
    ``plan`` is what its sender says about retries, and ``snoozes`` how often its script has put it off. ``id`` is empty
    without one. ``stream`` and ``position`` are those of the record that has become the request, or None.
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
    lease: int | None = None
    runs: int = 1
    since: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    trace: RunTrace | None = None
    plan: Plan | None = None
    snoozes: int = 0
    id: bytes = b""
    stream: bytes | None = None
    position: int | None = None

    @property
    def sender_tracker(self) -> bytes:
        """The sender's tracker; empty if the broker generated it because the sender gave none (docs/protocol.md)."""
        return b"" if _GENERATED_TRACKER.fullmatch(self.tracker) else self.tracker

    @property
    def octets(self) -> int:
        """The size of the content and the headers."""
        return sum(map(len, self.frames)) + sum(len(name) + len(value) for name, value in self.headers)

    @property
    def context(self) -> bytes:
        """The first content frame, or an empty string: the script's ``alaskaContext``."""
        return self.frames[0] if self.frames else b""


class SendKind(Enum):
    """The kind of destination of a script's message."""

    STREAM = "stream"
    MAILBOX = "mailbox"
    SERVICE = "service"
    REPLY = "reply"


class Send(NamedTuple):
    """A message that a script sends.

    ``topic`` is the stream, mailbox or service; empty means the service of the request. ``content`` has one frame, or
    two with an attachment. ``sender`` is the prefix of the sender address. Topic, subject and sender have at most 255
    octets each. A reply has any number of frames and neither topic nor subject: its destination is known from the
    request. ``headers`` are names and values. ``terms`` are those that the script has given, as text.
    """

    kind: SendKind
    topic: bytes
    subject: bytes
    content: tuple[bytes, ...]
    sender: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    terms: tuple[tuple[str, bytes], ...] = ()


class Mark(NamedTuple):
    """What a script adds to the span of its run: attributes, or, if it has a name, an event with attributes.

    ``seconds`` is when, on the clock of Lua (limits/clock.lua). Values are encoded, see :mod:`alaska.traces.marks`.
    """

    event: bytes
    seconds: float
    attributes: tuple[tuple[bytes, bytes], ...]


PRINTED = "print"


class LogLine(NamedTuple):
    """A log line of a script: its level (``info``, ``warn`` or ``error``) and text.

    The level ``PRINTED`` marks what the script printed before the following lines.
    """

    level: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """The newest version of a script if it does not compile, and the last good version ran instead."""

    version: Version
    error: ScriptError


class VerdictKind(Enum):
    """What a script wants to become of its request."""

    RETRY = "retry"
    SNOOZE = "snooze"
    REJECT = "reject"


class Verdict(NamedTuple):
    """How a script has ended its run: to be run again after so many seconds (None: by plan), or never, and why."""

    kind: VerdictKind
    seconds: float | None
    why: bytes


@dataclass(slots=True)
class Outcome:
    """The result of a script.

    ``sends``, ``output`` and ``log`` are in order. They include what a failed script did before it failed, and exclude
    what was delivered during the run. ``output`` is what was printed after the last log line. ``error`` is None if the
    script finished. ``seconds`` is the run time. ``memory`` is the memory in use at the end, in octets; 0 for a script
    without messages and output. ``marks`` are what the script adds to the span of its run. ``verdict`` is how it has
    ended its run, if it did so, and ``header`` that of the script, if it matters for what becomes of the request.
    ``progress`` is the newest that it has told: the fraction, a space, and a text; or empty.
    """

    sends: tuple[Send, ...] = ()
    output: bytes = b""
    error: ScriptError | None = None
    seconds: float = 0.0
    log: tuple[LogLine, ...] = ()
    broken: Broken | None = None
    memory: int = field(default=0, compare=False)
    marks: tuple[Mark, ...] = ()
    verdict: Verdict | None = None
    header: Header | None = None
    progress: bytes = b""


Call = Callable[[Request, bytes], bytes]
"""Passes a question of a running script to the worker and returns the answer. Called in the pool thread that runs it.

The octets are opaque to everything between the script and the worker. The script's time limit includes the wait, so the
answer should come before it expires. An exception is a fault of the worker, not of the script.
"""

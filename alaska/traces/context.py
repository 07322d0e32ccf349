"""The trace context of a message: which trace it belongs to, as text (W3C Trace Context, levels 1 and 2).

Texts of others are read strictly. A context that is not valid is dropped, as if the sender had given none, so what is
passed on is always valid.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from alaska.mlm.commands import Properties
from alaska.mlm.properties import to_octets

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""The properties of a message, and the headers of HTTP."""
MOST_STATE_OCTETS = 512
"""The maximum length of a ``tracestate`` that is passed on; of a longer one, members are left out."""
MOST_READ_OCTETS = 8192
"""A longer ``tracestate`` is not read at all."""
MOST_MEMBERS = 32
LARGE_MEMBER_OCTETS = 128
"""Longer members are left out first."""
SAMPLED = 1
_KNOWN_FLAGS = 3
_PARENT_OCTETS = 55

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_KEY = rb"[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_MEMBER = re.compile(rb"(" + _KEY + rb")=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")


class TraceContext(NamedTuple):
    """A trace context: ``traceparent`` of version 00, and ``tracestate``, which may be empty."""

    traceparent: bytes
    tracestate: bytes = b""

    @property
    def trace_id(self) -> bytes:
        """The trace, as 32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> bytes:
        """The span in which the message was made, as 16 hexadecimal digits."""
        return self.traceparent[36:52]

    @property
    def flags(self) -> int:
        """The flags; ``SAMPLED`` is one of them."""
        return int(self.traceparent[53:], 16)


class RunTrace(NamedTuple):
    """The trace of a run of a script.

    ``context`` is what its messages carry, and ``created`` the context of its request. Both are the same unless the run
    has its own span; with ``is_recorded`` that span will be exported.
    """

    context: TraceContext
    created: TraceContext | None
    is_recorded: bool = False

    @property
    def described(self) -> bytes:
        """The trace as one octet string for Lua (world/tracing.lua)."""
        return (b"+" if self.is_recorded else b"-") + self.context.traceparent + self.context.tracestate


def read(traceparent: object, tracestate: object = b"") -> TraceContext | None:
    """Return the context of two texts or octet strings; None if ``traceparent`` is not valid.

    A ``tracestate`` that is not valid is dropped alone.
    """
    octets = _octets(traceparent, _PARENT_OCTETS + MOST_READ_OCTETS)
    found = _PARENT.fullmatch(octets)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    if version == b"00":
        if more is not None:
            return None
    else:
        # Of a later version the known fields are used, and what is passed on is of the version that is known here.
        octets = b"00-%b-%b-%02x" % (trace, span, int(flags, 16) & _KNOWN_FLAGS)
    return TraceContext(octets, _state(_octets(tracestate, MOST_READ_OCTETS)) if tracestate else b"")


def of_properties(properties: Properties) -> TraceContext | None:
    """Return the context among the properties of a message, or None."""
    given = properties.get(TRACEPARENT)
    return None if given is None else read(given, properties.get(TRACESTATE, b""))


def of_run(properties: Properties) -> RunTrace | None:
    """Return the trace of a run without a span of its own, for the properties of its request."""
    created = of_properties(properties)
    return None if created is None else RunTrace(created, created)


def add_to(properties: Properties, context: TraceContext) -> None:
    """Add a context to the properties of a message."""
    properties[TRACEPARENT] = context.traceparent
    if context.tracestate:
        properties[TRACESTATE] = context.tracestate


def _octets(value: object, most: int) -> bytes:
    """Return a text or octet string as octets, or nothing if it is neither, or longer."""
    return to_octets(value) if isinstance(value, str | bytes) and len(value) <= most else b""


def _state(octets: bytes) -> bytes:
    """Return a valid ``tracestate`` of at most :data:`MOST_STATE_OCTETS`; empty if it is not valid."""
    members = [member for member in (each.strip(b" \t") for each in octets.split(b",")) if member]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match is not None}
    if len(keys) != len(members) or len(members) > MOST_MEMBERS:
        return b""
    # Whole members are left out, large ones first, then from the right, where the oldest ones are.
    while _length(members) > MOST_STATE_OCTETS:
        large = [at for at, member in enumerate(members) if len(member) > LARGE_MEMBER_OCTETS]
        del members[large[-1] if large else -1]
    return b",".join(members)


def _length(members: list[bytes]) -> int:
    return sum(map(len, members)) + len(members) - 1

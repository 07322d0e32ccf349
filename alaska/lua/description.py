"""What the table ``alaska`` of a script says about its request, as arguments for Lua (world/prologue.lua)."""

from __future__ import annotations

import time
from typing import Any

from alaska.lua.request import Request

FRAMES_PER_CALL = 200
"""The maximum number of content frames that are passed in one call, since the size of Lua's stack is limited."""
SHORT_OCTETS = 64 * 1024
"""The maximum size of a request that can be passed to Lua while memory is limited."""


def is_short(request: Request) -> bool:
    """Return whether a request can be passed to Lua in one call, and while memory is limited."""
    return request.octets <= SHORT_OCTETS and len(request.frames) <= FRAMES_PER_CALL


def description(request: Request, seconds: float | None) -> tuple[Any, ...]:
    """Return the arguments for a request whose script starts now, with its first content frames.

    ``seconds`` is the time limit of the script, or None.
    """
    now = time.time()
    deadline = None if seconds is None else now + seconds
    age = max(0, round(now * 1000) - request.since) if request.since else None
    headers = [part for header in request.headers for part in header]
    trace = request.trace
    traced = None if trace is None else trace.described
    return (
        request.subject, request.address, request.sender, request.sender_tracker, request.worker, request.attempt,
        request.snoozes, deadline, age, traced, request.stream, request.position,
        len(request.headers), *headers, *request.frames[:FRAMES_PER_CALL],
    )  # fmt: skip

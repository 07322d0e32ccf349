"""Requests as the log shows them."""

from __future__ import annotations

import math

from alaska.lua.request import Request
from alaska.names import printable

MOST_LISTED = 10


def listed(requests: list[Request]) -> str:
    """Return the distinct subjects of requests as a list of limited length."""
    subjects = list(dict.fromkeys(printable(request.subject) for request in requests))
    return ", ".join(subjects[:MOST_LISTED]) + (", ..." if len(subjects) > MOST_LISTED else "")


def described(request: Request, now: float) -> str:
    """Return what a request is, and how long the worker has had it at a time of the monotonic clock."""
    service, subject, tracker = map(printable, (request.address, request.subject, request.tracker))
    # A request that is retried has no time of arrival.
    age = "" if math.isinf(request.arrived) else f", {1000 * (now - request.arrived):.0f} ms"
    return f"{service}/{subject} (request {tracker}, attempt {request.attempt}{age})"

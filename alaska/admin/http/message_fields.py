"""Fields of messages in requests and answers by HTTP: content, headers, timeout, and the status of a failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import unquote_to_bytes

from alaska import errors
from alaska.admin.http.answers import OCTETS, Answer, quoted
from alaska.admin.http.routes import OF_MESSAGE, Asked
from alaska.client import Delivery, to_text
from alaska.errors import AlaskaError, HTTPRefused
from alaska.traces.context import TRACEPARENT, TRACESTATE, TraceContext, read

LONGEST_TIMEOUT = 4_000_000.0
MOST_FRAMES = 1000
DRAINING_SECONDS = b"10"
"""After how many seconds to try again a broker that drains: another one may take its place."""
_LENGTHS = re.compile(rb"[0-9]{1,12}(?: ?, ?[0-9]{1,12})*")
_TIMEOUT = re.compile(rb"[0-9]{1,10}(\.[0-9]{1,9})?")
_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

STATUSES: Mapping[int, int] = {
    errors.FAILED: 503,
    errors.TOO_LARGE: 507,
    errors.TIMEOUT_EXPIRED: 504,
    errors.CONNECTION_REFUSED: 503,
    errors.RESOURCE_LOCKED: 409,
    errors.ACCESS_REFUSED: 403,
    errors.NOT_FOUND: 404,
    errors.REJECTED: 422,
    errors.CANCELLED: 410,
    errors.REPLACED: 410,
    errors.COMMAND_INVALID: 400,
    errors.NOT_IMPLEMENTED: 501,
    errors.INTERNAL_ERROR: 502,
}
"""HTTP's status for each status of the protocol with which a message is refused."""


def refused(error: AlaskaError) -> HTTPRefused:
    """Return the refusal of a request by HTTP for the error of its message."""
    if isinstance(error, HTTPRefused):
        return error
    if isinstance(error, errors.BacklogFull | errors.NotConnected):
        return HTTPRefused(503, str(error), headers={b"Retry-After": b"1"})
    if error.status == errors.TOO_LARGE and str(error).endswith(errors.DRAINING):
        return HTTPRefused(503, str(error), mlm_status=error.status, headers={b"Retry-After": DRAINING_SECONDS})
    status = 400 if isinstance(error, errors.ValueTooLong) else STATUSES.get(error.status, 502)
    return HTTPRefused(status, str(error), mlm_status=error.status)


def reply(delivery: Delivery, first: int | None = None) -> Answer:
    """Return the answer for the reply to a request; without a reply it has no content.

    ``first`` is the position of the message whose end this is, if the request itself was not kept.
    """
    headers = {b"Alaska-Tracker": quoted(delivery.tracker_octets)}
    if first is not None:
        headers[b"Alaska-Duplicate"] = b"%d" % first
    for name, value in delivery.headers.items():
        octets = name.encode("utf-8", "surrogateescape")
        if _TOKEN.fullmatch(octets):
            headers[b"Alaska-Header-" + octets] = quoted(value.encode("utf-8", "surrogateescape"))
    if not delivery.content:
        return Answer(204, headers=headers)
    if len(delivery.content) > 1:
        headers[b"Alaska-Frame-Lengths"] = b",".join(b"%d" % len(frame) for frame in delivery.content)
    return Answer(200, b"".join(delivery.content), OCTETS, headers)


def frames(asked: Asked) -> list[bytes]:
    """Return the frames of a message: the body, divided where the header ``Alaska-Frame-Lengths`` says.

    :raises HTTPRefused: the lengths are not those of the body.
    """
    given = asked.headers.get("alaska-frame-lengths")
    if given is None:
        return [asked.body]
    lengths = [int(length) for length in given.split(b",")] if _LENGTHS.fullmatch(given) else []
    if not lengths or len(lengths) > MOST_FRAMES or sum(lengths) != len(asked.body):
        raise HTTPRefused(400, f"Alaska-Frame-Lengths must be at most {MOST_FRAMES} numbers whose sum is the length")
    divided, start = [], 0
    for length in lengths:
        divided.append(asked.body[start : start + length])
        start += length
    return divided


def headers_of(asked: Asked) -> dict[str, bytes]:
    """Return the headers of a message: those whose names begin with ``Alaska-Header-``, in lower case without that."""
    return {
        name.removeprefix(OF_MESSAGE): unquote_to_bytes(value)
        for name, value in asked.headers.items()
        if name.startswith(OF_MESSAGE) and name != OF_MESSAGE
    }


def tracker_of(asked: Asked) -> str:
    """Return the tracker that a message is given, as text of a client, or an empty one."""
    return to_text(unquote_to_bytes(asked.headers.get("alaska-tracker", b"")))


class Options(TypedDict):
    """What every message may have."""

    headers: dict[str, bytes]
    trace: TraceContext | None


def options_of(asked: Asked) -> Options:
    """Return the headers of a message, and its trace context: that of the request by HTTP."""
    trace = read(asked.headers.get(TRACEPARENT, b""), asked.headers.get(TRACESTATE, b""))
    return {"headers": headers_of(asked), "trace": trace}


def subject_of(asked: Asked) -> bytes:
    """Return the subject of a message: an argument of the query, which may have octets that are not UTF-8."""
    return str(asked.arguments.get("subject") or "").encode("utf-8", "surrogateescape")


def timeout(asked: Asked) -> float:
    """Return the timeout of a message in seconds; 0: none.

    :raises HTTPRefused: it is not a number of seconds.
    """
    given = asked.headers.get("alaska-timeout", b"0")
    seconds = float(given) if _TIMEOUT.fullmatch(given) else LONGEST_TIMEOUT + 1
    if seconds > LONGEST_TIMEOUT:
        raise HTTPRefused(400, f"Alaska-Timeout must be a number of seconds from 0 to {LONGEST_TIMEOUT:g}")
    return seconds

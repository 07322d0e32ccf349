"""The terms of a message by HTTP (docs/protocol.md, section 7), each in a header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from alaska.admin.http.routes import Asked, Header
from alaska.client import term_texts
from alaska.client.terms import SendTerms, to_terms
from alaska.errors import HTTPRefused


class _Term(NamedTuple):
    """A header: the name of its term, what reads its value, and its description."""

    name: str
    read: Callable[[str], Any]
    doc: str


def _octets(text: str) -> bytes:
    return unquote_to_bytes(text.encode("latin-1"))


_DURATION = "`90s`, `10m`, `1.5h`, `7d`, `250ms`, or a number of seconds"
_TERMS: Mapping[str, _Term] = {
    "Alaska-Delay": _Term(
        "delay", term_texts.duration, f"Do not deliver it before so much time has passed: {_DURATION}."
    ),
    "Alaska-At": _Term(
        "at", term_texts.point_in_time, "Do not deliver it before a time of RFC 3339: `2026-12-01T08:00:00Z`."
    ),
    "Alaska-Priority": _Term(
        "priority", term_texts.priority, "0 to 9, 4 without it: messages with a higher one are delivered first."
    ),
    "Alaska-Id": _Term("id", _octets, "1 to 255 octets, percent-encoded: a second message with it is not kept."),
    "Alaska-Unique-For": _Term(
        "unique_for", term_texts.duration, "For how long the id is known, such as `10m`; `0`: until the message ends."
    ),
    "Alaska-Unique-Mode": _Term(
        "unique_mode", str, "`keep`, as without it, or `replace`: it takes the place of the first one with its id."
    ),
    "Alaska-Attempts": _Term("attempts", term_texts.attempts, "How often it may be tried in all, 1 to 1001."),
    "Alaska-Backoff": _Term(
        "backoff", term_texts.backoff, "The waits before the second attempt and the longest: `2s..10m`; of requests."
    ),
    "Alaska-Ttl": _Term(
        "ttl", term_texts.duration, f"For how long it may wait for its delivery: {_DURATION}; `0`: without end."
    ),
}
_OF_REQUESTS = ("Alaska-Backoff",)

REQUEST_TERMS = tuple(Header(name, term.doc) for name, term in _TERMS.items())
"""The headers of requests."""
MAIL_TERMS = tuple(header for header in REQUEST_TERMS if header.name not in _OF_REQUESTS)
"""The headers of mail."""


def terms_of(asked: Asked) -> SendTerms:
    """Return the terms in the headers of a message; its route has checked which ones it may have.

    :raises HTTPRefused: one is not valid, or they do not fit together.
    """
    given: dict[str, Any] = {}
    for header, term in _TERMS.items():
        value = asked.headers.get(header.lower())
        if value is not None:
            try:
                given[term.name] = term.read(value.decode("latin-1"))
            except ValueError as error:
                raise HTTPRefused(400, f"{header} is not valid: {error}") from None
    terms = cast("SendTerms", given)
    try:
        to_terms(terms)
    except (ValueError, OverflowError, OSError) as error:
        raise HTTPRefused(400, f"the terms of the message are not valid: {error}") from None
    return terms


def seconds_until_due(terms: SendTerms, wall: float) -> float:
    """Return for how many seconds a message with some terms is delayed, by the wall clock; 0: not at all."""
    at = terms.get("at")
    if at is not None:
        return max(0.0, (at if isinstance(at, int | float) else at.timestamp()) - wall)
    return terms.get("delay", 0.0)

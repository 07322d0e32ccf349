"""Answers: status, headers and body, with the headers that every answer has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import msgspec
from twisted.internet.interfaces import IConsumer

from alaska.errors import HTTPRefused

JSON = b"application/json"
PROBLEM = b"application/problem+json"
OCTETS = b"application/octet-stream"
EVENTS = b"text/event-stream; charset=utf-8"
TEXT = b"text/plain; charset=utf-8"

SAFE_HEADERS: Mapping[bytes, bytes] = {
    # A browser must neither run an answer as a page, nor guess its type, nor show it in a frame, nor store it, nor
    # give it to a page of another origin.
    b"Content-Security-Policy": b"default-src 'none'; frame-ancestors 'none'; sandbox",
    b"X-Content-Type-Options": b"nosniff",
    b"X-Frame-Options": b"DENY",
    b"Cross-Origin-Resource-Policy": b"same-origin",
    b"Referrer-Policy": b"no-referrer",
    b"Cache-Control": b"no-store",
}


class Source(Protocol):
    """A body that is sent bit by bit while the connection lasts."""

    def begin(self, consumer: IConsumer) -> None:
        """Register with the consumer as a producer, and send."""

    def end(self) -> None:
        """Stop: the connection is lost."""


@dataclass(frozen=True)
class Answer:
    """What a call answers. With a ``source``, ``body`` is not used, and the answer has no length."""

    status: int = HTTPStatus.OK
    body: bytes = b""
    kind: bytes = JSON
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    source: Source | None = None


class Problem(msgspec.Struct, omit_defaults=True):
    """The body of every answer with a status from 400 on (RFC 9457).

    ``mlm_status`` is the status code of the broker or worker that refused a message (docs/protocol.md, section 2).
    """

    title: str
    status: int
    detail: str = ""
    mlm_status: int | None = None


def in_json(value: object, status: int = HTTPStatus.OK, headers: Mapping[bytes, bytes] | None = None) -> Answer:
    """Return a value as an answer in JSON."""
    return Answer(status, msgspec.json.encode(value), JSON, headers or {})


def problem(error: HTTPRefused) -> Answer:
    """Return the answer to a request that is refused."""
    title = HTTPStatus(error.http_status).phrase
    body = msgspec.json.encode(Problem(title, error.http_status, shown(str(error)), error.mlm_status))
    return Answer(error.http_status, body, PROBLEM, error.headers)


def shown(text: str) -> str:
    """Return a text for JSON: what stands for octets that are not UTF-8 is escaped."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def quoted(octets: bytes) -> bytes:
    """Return octets as the value of a header: all that is not printable ASCII, and ``%``, is percent-encoded."""
    return b"".join(b"%c" % octet if 0x20 <= octet <= 0x7E and octet != 0x25 else b"%%%02X" % octet for octet in octets)

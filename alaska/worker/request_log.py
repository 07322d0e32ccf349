"""The log lines of requests and of the messages that scripts send; ``worker/log/requests = "0"`` omits them.

Each has the request's id (its tracker) and attempt, so that all lines of a request can be found.
"""

from __future__ import annotations

from twisted.logger import Logger

from alaska.lua.request import Request
from alaska.names import printable
from alaska.system.frequent import Kind, Records, records

MOST_NAMES = 10_000
_log = Logger("alaska.worker.requests")


class _Names(dict[bytes, str]):
    """Names that occur often, as printable text. It is limited, since any client can use new names."""

    def __missing__(self, octets: bytes) -> str:
        if len(self) >= MOST_NAMES:
            self.clear()
        found = self[octets] = printable(octets)
        return found


_names = _Names()


def _request_fields(request: Request) -> dict[str, str | int | float]:
    return {
        "service": _names[request.address],
        "subject": _names[request.subject],
        "sender": _names[request.sender],
        "request": printable(request.tracker),
        "attempt": request.attempt,
    }


def _begun(request: Request) -> str:
    return (
        f"[SREQ]( address: {_names[request.address]}, subject: {_names[request.subject]}, "
        f"sender: {_names[request.sender]}, request: {printable(request.tracker)}, attempt: {request.attempt} )"
    )


def _ended(request: Request, outcome: str, seconds: float) -> str:
    return (
        f"[DONE]( address: {_names[request.address]}, subject: {_names[request.subject]}, "
        f"request: {printable(request.tracker)}, attempt: {request.attempt}, ms: {1000 * seconds:.3f}, "
        f"outcome: {outcome} )"
    )


def _ended_fields(request: Request, outcome: str, seconds: float) -> dict[str, str | int | float]:
    return {**_request_fields(request), "ms": round(1000 * seconds, 3), "outcome": outcome}


def _sent(what: str, request: Request, subject: bytes, topic: bytes) -> str:
    label, kind = what.split()
    return (
        f"[{label}]( subject: '{_names[subject]}', {kind}: '{_names[topic]}', request: {printable(request.tracker)} )"
    )


def _sent_fields(what: str, request: Request, subject: bytes, topic: bytes) -> dict[str, str | int | float]:
    kind = what.split()[1]
    return {"subject": _names[subject], kind: _names[topic], "request": printable(request.tracker)}


BEGUN = Kind(_log, _begun, _request_fields)
ENDED = Kind(_log, _ended, _ended_fields)
SENT = Kind(_log, _sent, _sent_fields)


class RequestLog:
    """Logs requests and the messages of scripts."""

    def __init__(self, to: Records = records) -> None:
        self._add = to.add

    def begun(self, request: Request) -> None:
        """Log a request that was received."""
        self._add(BEGUN, request)

    def ended(self, request: Request, outcome: str, seconds: float) -> None:
        """Log a request that has ended, with its outcome and the run time of its script."""
        self._add(ENDED, request, outcome, seconds)

    def mailed(self, request: Request, subject: bytes, mailbox: bytes) -> None:
        """Log mail of a script."""
        self._add(SENT, "MBOX mailbox", request, subject, mailbox)

    def published(self, request: Request, subject: bytes, stream: bytes) -> None:
        """Log a stream message of a script."""
        self._add(SENT, "STRM topic", request, subject, stream)

    def asked(self, request: Request, subject: bytes, service: bytes) -> None:
        """Log a request that a script has sent."""
        self._add(SENT, "SERV service", request, subject, service)

    def replied(self, request: Request) -> None:
        """Log the reply to the sender of a request."""
        self._add(SENT, "RPLY mailbox", request, request.subject, request.sender)

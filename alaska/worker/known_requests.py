"""Requests with an id that come a second time, since their broker was killed or has lost the connection meanwhile.

Such a request is not run again: if it runs, the second one is confirmed together with it, and if it has ended, at once.
It is the same request if it also arrived at the broker at the same time: one that was sent again later, such as a dead
letter, has another time.
"""

from __future__ import annotations

from typing import TypeAlias

from twisted.logger import Logger

from alaska.lua.request import Request
from alaska.names import printable

MOST_KNOWN = 10_000
"""The maximum number of requests that have ended and are remembered; the oldest are forgotten first."""
MOST_AGAIN = 16
"""The maximum number of deliveries that wait for the end of one request: the brokers of older ones have gone."""
MOST_REASON = 255

_Key: TypeAlias = "tuple[bytes, bytes, int]"


class _Known:
    """A request that runs, or has ended with a status; ``again`` are its later deliveries meanwhile."""

    __slots__ = ("again", "reason", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.reason = ""
        self.again: list[Request] = []


class KnownRequests:
    """Knows the requests with an id that this worker runs or has run."""

    _log = Logger()

    def __init__(self) -> None:
        self._known: dict[_Key, _Known] = {}

    def begin(self, request: Request) -> tuple[int, str] | bool:
        """Return True if a request is to be run, False if it runs already, or the status and reason of its end.

        In the second case, :meth:`end` will return it.
        """
        key = _key(request)
        known = self._known.get(key)
        if known is None:
            self._known[key] = _Known()
            self._forget_old()
            return True
        self._log.info(
            "the request {id} comes again, and is not run again: it {what}",
            id=printable(request.id), what="runs" if known.status is None else "has ended",
        )  # fmt: skip
        if known.status is not None:
            return known.status, known.reason
        del known.again[: -MOST_AGAIN + 1]
        known.again.append(request)
        return False

    def knows(self, request: Request) -> bool:
        """Return whether a request runs or has ended."""
        return _key(request) in self._known

    def end(self, request: Request, status: int, reason: str) -> list[Request]:
        """Remember how a request has ended; return its later deliveries, which have ended as well."""
        known = self._known.get(_key(request))
        if known is None or known.status is not None:
            return []
        known.status, known.reason = status, reason[:MOST_REASON]
        again, known.again = known.again, []
        return again

    def forget(self, request: Request) -> list[Request]:
        """Forget a request that has not ended, so that it is run if it comes again; return its later deliveries."""
        known = self._known.get(_key(request))
        if known is None or known.status is not None:
            return []
        del self._known[_key(request)]
        return known.again

    def _forget_old(self) -> None:
        if len(self._known) <= MOST_KNOWN:
            return
        key = next(iter(self._known))
        oldest = self._known.pop(key)
        if oldest.status is None:
            # It still runs, which only as many do as there is credit for.
            self._known[key] = oldest


def _key(request: Request) -> _Key:
    return request.address, request.id, request.since

"""Retries of failed requests, with exponential backoff; the requests stay unconfirmed meanwhile."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from alaska.errors import ScriptError
from alaska.interfaces import Reactor
from alaska.lua.request import Request
from alaska.names import printable

FIRST_BACKOFF_SECONDS = 1.0
MOST_BACKOFF_SECONDS = 300.0


class Retries:
    """The requests that wait for a retry. ``submit`` is called with each when its backoff is over."""

    _log = Logger()

    def __init__(self, reactor: Reactor, submit: Callable[[Request], None]) -> None:
        self._reactor = reactor
        self._submit = submit
        self._waiting: dict[IDelayedCall, tuple[Request, ScriptError]] = {}

    def schedule(self, request: Request, error: ScriptError) -> None:
        """Run a failed request again after its backoff."""
        delay = backoff(request.runs, random.random())  # noqa: S311  # the spread of retries is no secret
        self._log.warn(
            "{subject} failed, attempt {attempt}; retry in {delay:.1f} s: {text}",
            subject=printable(request.subject),
            attempt=request.attempt,
            delay=delay,
            text=printable(error.message),
        )
        again = request._replace(attempt=request.attempt + 1, runs=request.runs + 1, arrived=math.inf)

        def retry() -> None:
            del self._waiting[call]
            self._submit(again)

        call = self._reactor.callLater(delay, retry)
        self._waiting[call] = request, error

    def cancel(self) -> list[tuple[Request, ScriptError]]:
        """Cancel all retries; return the requests with the errors of their last attempts."""
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            call.cancel()
        return list(waiting.values())


def backoff(attempt: int, chance: float) -> float:
    """Return how many seconds to wait after a failed attempt, the first being 1; ``chance`` is from 0 to 1."""
    longest = min(MOST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(attempt - 1, 30))
    # Half of it is random, so that requests that failed together are not retried together.
    return longest * (0.5 + chance / 2)

"""Requests that are run again later, for brokers that cannot delay them: they stay unconfirmed in the worker."""

from __future__ import annotations

import math
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from alaska.errors import ScriptError
from alaska.interfaces import Reactor
from alaska.lua.request import Request
from alaska.worker.plans import Later


class Retries:
    """The requests that wait in the worker. ``submit`` is called with each when its wait is over."""

    def __init__(self, reactor: Reactor, submit: Callable[[Request], None]) -> None:
        self._reactor = reactor
        self._submit = submit
        self._waiting: dict[IDelayedCall, tuple[Request, ScriptError]] = {}

    def schedule(self, request: Request, later: Later) -> None:
        """Run a request again after its wait."""
        attempt, snoozes = request.attempt + later.is_spent, request.snoozes + (not later.is_spent)
        again = request._replace(attempt=attempt, snoozes=snoozes, runs=request.runs + 1, arrived=math.inf)

        def retry() -> None:
            del self._waiting[call]
            self._submit(again)

        call = self._reactor.callLater(later.seconds, retry)
        self._waiting[call] = request, later.error

    def take(self, is_meant: Callable[[Request], bool]) -> list[Request]:
        """Forget and return the requests that are meant."""
        calls = [call for call, (request, _) in self._waiting.items() if is_meant(request)]
        for call in calls:
            call.cancel()
        return [self._waiting.pop(call)[0] for call in calls]

    def cancel(self) -> list[tuple[Request, ScriptError]]:
        """Forget all requests that wait; return them, each with why it was to be run again."""
        waiting, self._waiting = self._waiting, {}
        for call in waiting:
            call.cancel()
        return list(waiting.values())

"""Requests that are cancelled while this worker has them.

Those that no thread has taken are confirmed at once. A script that runs learns of it (``alaska.cancelled``), or is
ended at its next check of the limits, where it asks (lua/world/cancelling.lua).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from alaska import errors
from alaska.client.delivery import Cancellation
from alaska.lua.request import Request
from alaska.names import printable
from alaska.pool.pool import AnyPool
from alaska.worker.intake import Intake
from alaska.worker.measures import WorkerMeasures

REASON = "cancelled"
ASKED, FORCED = 1, 2
TakeBack = Callable[[Callable[[Request], bool]], list[Request]]


class _Delivered(NamedTuple):
    """What identifies a request of this worker."""

    session: int
    lease: int | None


class Cancellations:
    """The cancelled requests that have not ended. All but :meth:`level` is for the reactor's thread.

    ``take_back`` takes out and returns requests that wait in the worker to be run again. ``end_wait`` ends the wait of
    a script for another service.
    """

    _log = Logger()

    def __init__(
        self,
        measures: WorkerMeasures,
        pool: Callable[[], AnyPool],
        intake: Callable[[], Intake],
        take_back: TakeBack,
        end_wait: Callable[[Request], None] = lambda _request: None,
    ) -> None:
        self._measures = measures
        self._take_back = take_back
        self._end_wait = end_wait
        self._pool = pool
        self._intake = intake
        self.levels: dict[_Delivered, int] = {}
        """How each is cancelled; asked for each run that ends, so without a call."""

    def cancel(self, cancellation: Cancellation) -> None:
        """Cancel the request of a lease; nothing happens if it has ended."""
        key = _Delivered(cancellation.session, cancellation.lease)
        pool = self._pool()
        # Leases of earlier sessions are not valid any more.
        self.levels = {each: level for each, level in self.levels.items() if each.session == cancellation.session}
        waiting = pool.withdraw()
        for request in waiting:
            if _key(request) != key:
                pool.submit(request)
        waiting += self._take_back(lambda request: _key(request) == key)
        for request in waiting:
            if _key(request) == key:
                self._log.info("{subject} is cancelled before its script has begun", subject=printable(request.subject))
                self.confirm(request)
        for request in pool.unfinished():
            if _key(request) == key:
                level = FORCED if cancellation.is_forced else ASKED
                self.levels[key] = max(level, self.levels.get(key, 0))
                words = "{subject} is cancelled; its script is ended" if level == FORCED else "{subject} is cancelled"
                self._log.info(words, subject=printable(request.subject))
                if level == FORCED:
                    self._end_wait(request)

    def level(self, request: Request) -> int:
        """Return 0, or 1 if a request is cancelled, 2 if its script is to be ended; any thread may call this."""
        return self.levels.get(_key(request), 0)

    def pop(self, request: Request) -> bool:
        """Forget a request that has ended; return whether it was cancelled."""
        return self.levels.pop(_key(request), 0) > 0

    def confirm(self, request: Request) -> None:
        """Confirm a request as cancelled."""
        self._measures.cancelled += 1
        self._intake().confirm(request, errors.CANCELLED, REASON)


def _key(request: Request) -> _Delivered:
    return _Delivered(request.session, request.lease)

"""How a worker that stops waits for its running scripts, and what becomes of those that do not end."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from alaska.pool.pool import AnyPool
from alaska.worker.descriptions import listed
from alaska.worker.requester import Requester

ASK_PART = 0.8
"""For which part of ``worker/stop/timeout`` scripts may wait for answers when the worker stops."""
ASK_ITSELF_PART = 0.2
"""The same for answers of its own service: only other workers can give them, and there may be none."""
_log = Logger()


async def finish_scripts(
    reactor: IReactorTime, pool: AnyPool, requester: Requester, service: bytes, seconds: float
) -> None:
    """Wait for running scripts, at most so many seconds, and end the threads; ``service`` is the worker's own.

    Before that, scripts that wait for the worker's own service, and later those that wait for others, get an error.
    """
    running = pool.unfinished()
    if running:
        _log.info(
            "stopping; waiting at most {seconds:g} s for {count} running scripts: {subjects}",
            seconds=seconds,
            count=len(running),
            subjects=listed(running),
        )
    calls = (
        reactor.callLater(seconds, _abandon, pool),
        reactor.callLater(ASK_ITSELF_PART * seconds, requester.refuse, service),
        reactor.callLater(ASK_PART * seconds, requester.close),
    )
    await pool.stop()
    for call in calls:
        if call.active():
            call.cancel()


def _abandon(pool: AnyPool) -> None:
    subjects = listed(pool.unfinished())
    count = pool.abandon()
    _log.error("{count} requests were not finished: {subjects}", count=count, subjects=subjects)

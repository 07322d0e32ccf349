"""A base class for tests of the asyncio client with a real broker, without sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from alaska.aio import Client
from alaska.broker.limits import Limits
from alaska.broker.service import BrokerService
from alaska.message import Retention
from alaska.store.memory import MemoryStore
from alaska.testing import MemoryLoop
from tests.network_case import ENDPOINT, NetworkCase

Case = TypeVar("Case", bound="AioCase")


def in_loop(test: Callable[[Case], Coroutine[Any, Any, None]]) -> Callable[[Case], None]:
    """Run an asynchronous test in the event loop of its case."""

    @wraps(test)
    def run(case: Case) -> None:
        case.loop.run_until_complete(test(case))

    return run


class _Lines(logging.Handler):
    """Appends log lines to a list."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


def keep_lines(case: SynchronousTestCase, lines: list[str]) -> None:
    """Append the lines that the clients log to a list during a test, instead of printing them."""
    logger, lines_of = logging.getLogger("alaska"), _Lines(lines)
    logger.addHandler(lines_of)
    case.addCleanup(logger.removeHandler, lines_of)


class AioCase(NetworkCase):
    """A broker that keeps the records of streams, and an event loop; after the test, no task must be left."""

    def setUp(self) -> None:
        super().setUp()
        self.lines: list[str] = []
        keep_lines(self, self.lines)
        self.loop = MemoryLoop(self.clock, self.network)
        self.addCleanup(self.end_loop)
        self.broker = self.start()

    def start(self) -> BrokerService:
        """Start a broker."""
        limits = Limits(retention=Retention(most_records=1000))
        service = BrokerService(self.reactor, self.process, MemoryStore, [ENDPOINT], limits)
        service.startService()
        self.network.run()
        return service

    def end_loop(self) -> None:
        """Check that no task is left, and close the loop."""
        left = asyncio.all_tasks(self.loop)
        self.loop.close()
        self.assertEqual(left, set())

    def aio(self, address: str | None = None, **options: Any) -> Client:
        """Return a client that is not connected yet."""
        return Client(ENDPOINT, address=address, network=self.network, **options)

    async def serving(self, client: Client, **options: Any) -> asyncio.Task[None]:
        """Return the task that serves the services of a client; they are offered."""
        started = asyncio.Event()
        task = asyncio.ensure_future(client.run(started=started.set, **options))
        waiting = asyncio.ensure_future(started.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        return task

    @staticmethod
    async def end(task: asyncio.Task[Any]) -> None:
        """Cancel a task, and wait until it has ended."""
        task.cancel()
        await asyncio.wait([task])

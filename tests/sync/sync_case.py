"""A base class for tests of the blocking client with a real broker and real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from alaska.broker.limits import Limits
from alaska.broker.service import BrokerService
from alaska.interfaces import Reactor
from alaska.links import Network
from alaska.message import Retention
from alaska.store.memory import MemoryStore
from alaska.sync import Client
from tests.aio.aio_case import keep_lines
from tests.ports import free_endpoint

Result = TypeVar("Result")
reactor = cast("Reactor", global_reactor)


class SyncCase(TestCase):
    """A broker in the reactor's thread; the tests use clients in another thread."""

    timeout = 60

    def setUp(self) -> None:
        self.lines: list[str] = []
        keep_lines(self, self.lines)
        self.endpoint = free_endpoint()
        self.broker = self.start()
        self.addCleanup(self.stop_broker)

    def start(self) -> BrokerService:
        """Start a broker."""
        limits = Limits(retention=Retention(most_records=1000))
        service = BrokerService(reactor, lambda: Network(reactor), MemoryStore, [self.endpoint], limits)
        service.startService()
        return service

    def stop_broker(self) -> Any:
        """Stop the broker that runs."""
        return self.broker.stopService()

    def restart(self) -> None:
        """Stop the broker, and start another one, from a thread."""
        self.in_reactor(self.broker.stopService)
        self.broker = self.in_reactor(self.start)

    @staticmethod
    def in_reactor(call: Callable[[], Any]) -> Any:
        """Make a call in the reactor's thread, and wait for its result."""
        from twisted.internet.threads import blockingCallFromThread  # noqa: PLC0415

        return blockingCallFromThread(reactor, lambda: maybeDeferred(call))

    def client(self, **options: Any) -> Client:
        """Return a client that is not connected yet."""
        return Client(self.endpoint, **options)


def in_thread(test: Callable[[Any], None]) -> Callable[[Any], Any]:
    """Run a test in a thread, while the reactor runs the broker."""

    def run(case: SyncCase) -> Any:
        return deferToThread(test, case)

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run

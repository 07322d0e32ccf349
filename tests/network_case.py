"""Base classes for tests with clients, a broker and a network in memory, a fake clock, and captured log lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from alaska.authentication import Attempt, Bind, Entry, Mechanism, Verdict
from alaska.broker.credentials import Credentials
from alaska.broker.limits import Limits
from alaska.broker.security import Security
from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.interfaces import Reactor
from alaska.store.memory import MemoryStore
from alaska.testing import MemoryNetwork, MemoryProcess, run_for

ENDPOINT = "tcp://127.0.0.1:9999"
"""The default endpoint of the worker's settings; in memory it is only a name."""


class LogCase(SynchronousTestCase):
    """Captures the log events of a test."""

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observer = cast("ILogObserver", self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def logged(self, least: LogLevel | None = None) -> list[str]:
        """Return the lines that Alaska has logged; with a level, only the lines of exactly this level."""
        return [
            formatEvent(event)
            for event in self.events
            if str(event["log_namespace"]).startswith("alaska.") and least in (None, event["log_level"])
        ]


class FunctionSecurity(Security):
    """Decides about user names and passwords by a function."""

    def __init__(self, accept: Callable[[bytes, bytes], bool]) -> None:
        super().__init__(Credentials)
        self._accept = accept

    def decide(self, attempt: Attempt, now: float, answer: Callable[[Verdict], None]) -> None:
        """See :class:`Security`."""
        del now
        is_right = self._accept(attempt.username, attempt.password)
        answer(Verdict(Entry.GRANTED if is_right else Entry.REFUSED, user=attempt.username))


class NetworkCase(LogCase):
    """A network in memory, and a clock that the test advances."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.reactor = cast("Reactor", self.clock)
        self.network = MemoryNetwork()

    def process(self) -> MemoryProcess:
        """Return the network as seen by another process."""
        return MemoryProcess(self.network)

    def start_broker(self, accept: Callable[[bytes, bytes], bool] | None = None) -> BrokerService:
        """Start a broker."""
        mechanism = Mechanism.NULL if accept is None else Mechanism.PLAIN
        security = None if accept is None else FunctionSecurity(accept)
        service = BrokerService(
            self.reactor, self.process, MemoryStore, [Bind(ENDPOINT, mechanism)], Limits(), security
        )
        service.startService()
        self.network.run()
        return service

    def client(self, address: str, deliver: Callable[[Delivery], None] | None = None, **options: Any) -> Client:
        """Return a connected client."""
        client = Client(ENDPOINT, address, network=self.network, reactor=self.reactor, deliver=deliver, **options)
        connecting = client.connect()
        self.network.run()
        self.successResultOf(connecting)
        return client

    def mailbox(self, address: str, **options: Any) -> list[Delivery]:
        """Return a list to which the deliveries to a mailbox are appended."""
        got: list[Delivery] = []
        self.client(address, got.append, **options)
        # The broker holds back the mail of a client that sends nothing for 100 ms.
        self.pass_time(0.2)
        return got

    def pass_time(self, seconds: float) -> None:
        """Advance the clock in small steps, and let the network transfer messages."""
        run_for(self.clock, self.network, seconds)

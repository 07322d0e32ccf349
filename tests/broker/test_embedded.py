"""The broker in a worker: when it serves, and when it leaves that to another."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import LogLevel

from alaska.broker import service
from alaska.broker.limits import Limits
from alaska.broker.service import EmbeddedBrokerService
from alaska.errors import CannotBind, StoreError
from alaska.interfaces import IStore
from alaska.store.memory import MemoryStore
from tests.network_case import ENDPOINT, NetworkCase


class EmbeddedTests(NetworkCase):
    """Several of them at one endpoint."""

    def start(self, make_store: Callable[[], IStore] = MemoryStore) -> EmbeddedBrokerService:
        """Start one more."""
        embedded = EmbeddedBrokerService(self.reactor, self.process, make_store, [ENDPOINT], Limits())
        embedded.startService()
        self.network.run()
        return embedded

    def hosts(self, *services: EmbeddedBrokerService) -> list[bool]:
        """Return who of them serves."""
        return [embedded.serves for embedded in services]

    def test_one_of_three(self) -> None:
        """The first serves, the others say that they join it; when it stops, exactly one of them takes over."""
        services = first, second, third = self.start(), self.start(), self.start()
        self.assertEqual(self.hosts(*services), [True, False, False])
        joining = f"another broker serves {ENDPOINT}; joining the broker there"
        self.assertEqual(self.logged(), [f"Broker ready ({ENDPOINT})", joining, joining])
        self.pass_time(10)
        first.stopService()
        self.pass_time(service.TAKE_OVER_SECONDS + 0.01)
        self.assertEqual(sorted(self.hosts(second, third)), [False, True])
        self.assertEqual(
            self.logged()[3:],
            [f"Broker ready ({ENDPOINT})", "the other broker has ended; this worker embeds the broker now"],
        )

    def test_joins_again(self) -> None:
        """One that comes back joins who has taken over, and takes over from that one again."""
        first, second = self.start(), self.start()
        first.stopService()
        self.pass_time(0.5)
        first.startService()
        self.assertEqual(self.hosts(first, second), [False, True])
        second.stopService()
        self.pass_time(0.5)
        self.assertEqual(self.hosts(first, second), [True, False])

    def test_clients_come_along(self) -> None:
        """A client of the first is one of the second within a second, and is given what comes then."""
        first, _second = self.start(), self.start()
        got = self.mailbox("box")
        first.stopService()
        self.pass_time(1)
        self.client("sender").send_to("box", "hello")
        self.pass_time(1)
        self.assertEqual([delivery.subject for delivery in got], ["hello"])

    def test_stopped_while_it_waits(self) -> None:
        """One that is stopped takes over from nobody."""
        first, second = self.start(), self.start()
        second.stopService()
        first.stopService()
        self.pass_time(1)
        self.assertEqual(self.hosts(first, second), [False, False])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_store_before_endpoint(self) -> None:
        """Who stops closes the store while the endpoint is still served: whoever gets that can open the store."""
        served: list[object] = []

        class Store(MemoryStore):
            def close(store) -> None:  # noqa: N805  # the test is self
                served.append(self.network.served(ENDPOINT))
                super().close()

        self.start(Store).stopService()
        self.assertEqual([router is not None for router in served], [True])
        self.assertIs(self.network.served(ENDPOINT), None)

    def test_store_in_use(self) -> None:
        """Who cannot open the store leaves the endpoint to others, says so once, and tries again."""
        first = self.start()
        faults = [StoreError("in use")] * 3

        def make_store() -> IStore:
            if faults:
                raise faults.pop()
            return MemoryStore()

        second = self.start(make_store)
        first.stopService()
        self.pass_time(2.5)
        self.assertEqual(faults, [])
        self.assertEqual(self.logged(LogLevel.error), ["cannot take over from the broker that has ended: in use"])
        self.pass_time(1)
        self.assertEqual(self.hosts(second), [True])

    def test_any_fault(self) -> None:
        """A fault of ours does not end the attempts."""
        first = self.start()
        second = self.start()
        faults = [ValueError("what?"), CannotBind("no such device")]
        make_network = self.process

        def fail_first() -> object:
            if faults:
                raise faults.pop()
            return make_network()

        second._make_network = fail_first  # type: ignore[assignment]  # no network fails as it should
        first.stopService()
        self.pass_time(3)
        self.assertEqual(len(self.logged(LogLevel.error)), 2)
        self.assertEqual(self.hosts(second), [True])

    def test_cannot_start(self) -> None:
        """At the start a store that cannot be opened is an error, and the endpoint is free again."""

        def make_store() -> IStore:
            raise StoreError("damaged")

        self.assertRaises(StoreError, self.start, make_store)
        self.assertIs(self.network.served(ENDPOINT), None)

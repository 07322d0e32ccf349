"""Embedded brokers: one of them serves, and the others wait to take over."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import LogLevel

from alaska.broker import measured
from alaska.broker.embedded import TAKE_OVER_SECONDS, EmbeddedBrokerService
from alaska.broker.figures import SERVING
from alaska.broker.limits import Limits
from alaska.errors import CannotBind, OperationFailed, StoreError
from alaska.interfaces import IStore
from alaska.store.memory import MemoryStore
from tests.network_case import ENDPOINT, NetworkCase


class EmbeddedTests(NetworkCase):
    """Several embedded brokers with the same endpoint."""

    def start(self, make_store: Callable[[], IStore] = MemoryStore) -> EmbeddedBrokerService:
        """Start another embedded broker."""
        embedded = EmbeddedBrokerService(self.reactor, self.process, make_store, [ENDPOINT], Limits())
        embedded.startService()
        self.network.run()
        return embedded

    def serving(self, *services: EmbeddedBrokerService) -> list[bool]:
        """Return for each broker whether it serves."""
        return [embedded.serves for embedded in services]

    def test_one_of_three(self) -> None:
        """The first broker serves, and the others log that they join it; when it stops, exactly one takes over."""
        services = first, second, third = self.start(), self.start(), self.start()
        self.assertEqual(self.serving(*services), [True, False, False])
        joining = f"another program serves {ENDPOINT}; joining the broker there"
        self.assertEqual(self.logged(), [f"Broker ready ({ENDPOINT})", joining, joining])
        self.pass_time(10)
        first.stopService()
        self.pass_time(TAKE_OVER_SECONDS + 0.01)
        self.assertEqual(sorted(self.serving(second, third)), [False, True])
        self.assertEqual(
            self.logged()[3:],
            [f"Broker ready ({ENDPOINT})", "the other broker has ended; this worker embeds the broker now"],
        )

    def test_joins_again(self) -> None:
        """A broker that is started again joins the one that has taken over, and later takes over from it."""
        first, second = self.start(), self.start()
        first.stopService()
        self.pass_time(0.5)
        first.startService()
        self.assertEqual(self.serving(first, second), [False, True])
        second.stopService()
        self.pass_time(0.5)
        self.assertEqual(self.serving(first, second), [True, False])

    def test_clients_come_along(self) -> None:
        """A client of the first broker reconnects to the second within a second, and gets new mail."""
        first, _second = self.start(), self.start()
        got = self.mailbox("box")
        first.stopService()
        self.pass_time(1)
        self.client("sender").send_to("box", "hello")
        self.pass_time(1)
        self.assertEqual([delivery.subject for delivery in got], ["hello"])

    def test_stopped_while_it_waits(self) -> None:
        """A broker that is stopped while it waits does not take over."""
        first, second = self.start(), self.start()
        second.stopService()
        first.stopService()
        self.pass_time(1)
        self.assertEqual(self.serving(first, second), [False, False])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_metrics_of_one_that_stops(self) -> None:
        """Metrics that are being made when a broker stops are not waited for; then they say that it does not serve."""
        first = self.start()
        self.patch(measured, "TURN_ITEMS", 1)
        self.patch(measured, "SUMMED_AT_ONCE", 1)
        for name in ("a", "b"):
            self.mailbox(name)
        asked = first.figures()
        self.assertNoResult(asked)
        first.stopService()
        self.failureResultOf(asked, OperationFailed)
        ((family, values),) = self.successResultOf(first.figures())
        self.assertEqual((family, list(values)), (SERVING, [((), False)]))

    def test_store_before_endpoint(self) -> None:
        """A stopping broker closes the store before the endpoint, so that the next one can open the store."""
        served: list[object] = []

        class Store(MemoryStore):
            def close(store) -> None:  # noqa: N805  # the test is self
                served.append(self.network.served(ENDPOINT))
                super().close()

        self.start(Store).stopService()
        self.assertEqual([router is not None for router in served], [True])
        self.assertIs(self.network.served(ENDPOINT), None)

    def test_store_in_use(self) -> None:
        """A broker that cannot open the store releases the endpoint, logs the error once, and retries."""
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
        self.assertEqual(self.serving(second), [True])

    def test_unexpected_exception(self) -> None:
        """An unexpected exception does not end the attempts to take over."""
        first = self.start()
        second = self.start()
        faults = [ValueError("what?"), CannotBind("no such device")]
        make_network = self.process

        def fail_first() -> object:
            if faults:
                raise faults.pop()
            return make_network()

        second._make_network = fail_first  # type: ignore[assignment]  # a network in memory does not fail
        first.stopService()
        self.pass_time(3)
        self.assertEqual(len(self.logged(LogLevel.error)), 2)
        self.assertEqual(self.serving(second), [True])

    def test_cannot_start(self) -> None:
        """If the store cannot be opened at startup, that is an error, and the endpoint is released."""

        def make_store() -> IStore:
            raise StoreError("damaged")

        self.assertRaises(StoreError, self.start, make_store)
        self.assertIs(self.network.served(ENDPOINT), None)

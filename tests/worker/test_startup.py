"""Startup of the worker."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from tests.network_case import ENDPOINT
from tests.worker.worker_case import WorkerCase


class BrokerTests(WorkerCase):
    """Startup with brokers that are late or refuse the worker."""

    def test_nothing_before_the_start(self) -> None:
        """A worker that is not started opens no connection and sets no timer."""
        self.start_broker()
        self.pass_time(5)
        self.assertEqual(self.logged(), [f"Broker ready ({ENDPOINT})"])

    def test_broker_is_late(self) -> None:
        """A worker without a broker warns once, after the timeout, and connects when the broker starts."""
        self.worker = self.make_worker(broker_timeout=1500)
        self.start()
        self.pass_time(1.4)
        self.assertEqual(self.logged(), [])
        self.pass_time(10)
        self.assertEqual(self.logged(LogLevel.warn), [f"no broker answers at {ENDPOINT} yet; the worker waits for it"])
        self.start_broker()
        self.pass_time(1)
        self.assertEqual(self.logged()[-1], "Alaska worker ready (pool:4)")
        self.assertEqual(self.refusals, [])

    def test_any_time(self) -> None:
        """With a timeout of 0 the worker waits without limit, and warns after a minute."""
        self.worker = self.make_worker(broker_timeout=0)
        self.start()
        self.pass_time(59)
        self.assertEqual(self.logged(), [])
        self.pass_time(2)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)

    def test_credentials(self) -> None:
        """The worker authenticates with the user name and password of the settings."""
        self.start_broker(accept=lambda username, password: (username, password) == (b"joe", b"secret"))
        self.worker = self.make_worker(plain_username="joe", plain_password="secret")
        self.start()
        self.assertEqual(self.logged()[-1], "Alaska worker ready (pool:4)")

    def test_refused(self) -> None:
        """A worker with wrong credentials logs this once and reports it."""
        self.start_broker(accept=lambda _username, _password: False)
        self.worker = self.make_worker(plain_username="joe", plain_password="wrong")
        self.start()
        self.pass_time(5)
        (refusal,) = self.refusals
        self.assertEqual(str(refusal), "the broker does not accept this user name and password")
        self.assertEqual(self.logged(LogLevel.critical), [f"the worker cannot work: {refusal}"])

    def test_offer_refused(self) -> None:
        """A worker whose offer is refused reports it."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.start()
        broker.send(mlm.Ok(200, b""))
        broker.send(mlm.Error(300, b"bad pattern"))
        self.assertEqual([str(refusal) for refusal in self.refusals], ["the broker refuses: bad pattern"])

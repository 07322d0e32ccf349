"""Startup of the worker."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.broker.service import BrokerService
from alaska.errors import ConnectTimeout, Refused
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
        warning = f"no broker answers at {ENDPOINT} yet; the worker waits for it; alas doctor looks for the reason"
        self.assertEqual(self.logged(LogLevel.warn), [warning])
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


class RefusedLaterTests(WorkerCase):
    """A worker that the broker accepted before, and does not any more."""

    def setUp(self) -> None:
        super().setUp()
        self.broker: BrokerService | None = None
        self.worker = self.make_worker(plain_username="joe", plain_password="secret")
        self.restart(accepts=True)
        self.start()

    def restart(self, accepts: bool) -> None:
        """Replace the broker by one that accepts the worker or not; this is also how the link tries again."""
        if self.broker is not None:
            self.broker.stopService()
            self.network.run()
        self.broker = self.start_broker(accept=lambda _username, _password: accepts)

    def test_refused(self) -> None:
        """A worker that is refused for some seconds reports it once."""
        for _ in range(3):
            self.restart(accepts=False)
            self.pass_time(0.9)
        self.assertEqual(self.refusals, [])
        for _ in range(5):
            self.restart(accepts=False)
            self.pass_time(0.9)
        (refusal,) = self.refusals
        self.assertEqual(str(refusal), "the broker does not accept this user name and password any more")
        self.assertEqual(self.logged(LogLevel.critical), [f"the worker cannot work: {refusal}"])

    def test_health(self) -> None:
        """Health says why the broker refuses the worker, until it is accepted again."""
        self.restart(accepts=False)
        self.pass_time(0.9)
        reason = "the broker does not accept this user name and password any more"
        self.assertEqual([each.reason for each in self.worker.readiness() if not each.ok], [reason])
        self.restart(accepts=True)
        self.pass_time(2)
        self.assertEqual([each for each in self.worker.readiness() if not each.ok], [])

    def test_accepted_again(self) -> None:
        """A worker that is refused while a file of passwords is replaced goes on."""
        for _ in range(5):
            self.restart(accepts=False)
            self.pass_time(2)
            self.restart(accepts=True)
            self.pass_time(2)
        self.assertEqual(self.refusals, [])


class RefusedOfferTests(WorkerCase):
    """A broker that takes the worker, but not what it offers any more; and one that does not come back."""

    def setUp(self) -> None:
        super().setUp()
        self.scripted = ScriptedBroker(self.network, ENDPOINT)

    def test_offer(self) -> None:
        """A worker whose offer is refused after a reconnect reports it."""
        self.start()
        self.scripted.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        self.scripted.send(mlm.Error(500, b""))
        self.scripted.send(mlm.Ok(200, b""), mlm.Error(401, b"joe may not offer default"))
        self.assertEqual(self.refusals, [])
        for _ in range(4):
            self.scripted.send(mlm.ConnectionPong())
            self.pass_time(1)
        self.assertEqual([error.status for error in self.refusals if isinstance(error, Refused)], [401])

    def test_offer_ended(self) -> None:
        """A worker whose offer the broker has ended reports it, unless its session ends and it may offer again."""
        self.start()
        self.scripted.send(mlm.Ok(200, b"alaska/1 credit confirm"), mlm.Ok(200, b""))
        refusal = mlm.Confirm(b"", 401, b"joe may not offer default")
        for is_undone in (True, False):
            self.scripted.send(refusal)
            self.pass_time(1)
            if is_undone:
                self.scripted.send(mlm.Error(500, b""))
                self.scripted.send(mlm.Ok(200, b"alaska/1 credit confirm"), mlm.Ok(200, b""))
            for _ in range(4):
                self.scripted.send(mlm.ConnectionPong())
                self.pass_time(1)
            self.assertEqual(len(self.refusals), not is_undone)

    def test_session(self) -> None:
        """A worker whose session cannot be opened again reports it."""
        self.start()
        self.scripted.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        self.scripted.send(mlm.Error(500, b""))
        for _ in range(8):
            self.scripted.send(mlm.Error(401, b"the password is not valid any more"))
            self.pass_time(1)
        self.assertEqual(len(self.refusals), 1)

    def test_gone(self) -> None:
        """With ``worker/broker/wait``, a worker ends after that time without a broker, at the start and later."""
        for is_answered in (False, True):
            self.worker = self.make_worker(broker_wait=5000)
            self.refusals.clear()
            self.start()
            if is_answered:
                for _ in range(9):
                    self.scripted.send(mlm.Ok(200, b""), mlm.ConnectionPong())
                    self.pass_time(1)
            self.pass_time(4.4)
            self.assertEqual(self.refusals, [])
            self.pass_time(5.5)
            self.assertEqual([type(error) for error in self.refusals], [ConnectTimeout])
            self.worker.stopService()
            self.pass_time(20)

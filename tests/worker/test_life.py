"""The worker's beginning and its end: brokers that are late or refuse, and leaving nothing behind."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from alaska.client import Delivery
from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from tests.network_case import ENDPOINT
from tests.worker.worker_case import ServedCase, WorkerCase, mail


class BrokerTests(WorkerCase):
    """Brokers that are late, or refuse."""

    def test_nothing_before_the_start(self) -> None:
        """A worker that is made but not started has opened nothing, and calls nothing later."""
        self.start_broker()
        self.pass_time(5)
        self.assertEqual(self.logged(), [f"Broker ready ({ENDPOINT})"])

    def test_broker_is_late(self) -> None:
        """A worker whose broker is late says so once, after the time of the settings, and works when it comes."""
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
        """With a timeout of 0 the broker may take any time, and is missed in the log only after a minute."""
        self.worker = self.make_worker(broker_timeout=0)
        self.start()
        self.pass_time(59)
        self.assertEqual(self.logged(), [])
        self.pass_time(2)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)

    def test_credentials(self) -> None:
        """A broker that asks for them gets user name and password of the settings."""
        self.start_broker(accept=lambda username, password: (username, password) == (b"joe", b"secret"))
        self.worker = self.make_worker(plain_username="joe", plain_password="secret")
        self.start()
        self.assertEqual(self.logged()[-1], "Alaska worker ready (pool:4)")

    def test_refused(self) -> None:
        """A worker that is not accepted says why, tells it and complains of nothing later; the broker says so, too."""
        self.start_broker(accept=lambda _username, _password: False)
        self.worker = self.make_worker(plain_username="joe", plain_password="wrong")
        self.start()
        self.pass_time(5)
        (refusal,) = self.refusals
        self.assertEqual(str(refusal), "the broker does not accept this user name and password")
        self.assertEqual(self.logged(LogLevel.critical), [f"the worker cannot work: {refusal}"])
        (line,) = self.logged(LogLevel.warn)
        self.assertIn("connections refused", line)

    def test_offer_refused(self) -> None:
        """A worker whose offer the broker does not take is refused as well."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.start()
        broker.send(mlm.Ok(200, b""))
        broker.send(mlm.Error(300, b"bad pattern"))
        self.assertEqual([str(refusal) for refusal in self.refusals], ["the broker refuses: bad pattern"])


class StopTests(ServedCase):
    """Leaving nothing behind."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = self.mailbox("box")
        self.script(b"job", mail(b"result"))
        self.start()

    def stop(self) -> Deferred[None]:
        """Begin to stop the worker."""
        stopped = self.worker.stopService()
        self.network.run()
        return stopped

    def assert_gone(self, stopped: Deferred[None]) -> None:
        """Expect that the worker has ended, and that its clients have left the broker."""
        self.successResultOf(stopped)
        assert self.broker.broker is not None
        self.assertEqual({client.name for client in self.broker.broker.clients}, {"requester", "box"})

    def test_at_rest(self) -> None:
        """A worker that has nothing to do stops at once, and its runners are closed."""
        self.assert_gone(self.stop())
        self.assertTrue(self.scripts.is_closed)

    def test_finishes_what_it_has(self) -> None:
        """What was begun ends, what it sends arrives, and only then the worker has stopped."""
        self.ask("job")
        self.pool.begin()
        stopped = self.stop()
        self.pass_time(5)
        self.assertNoResult(stopped)
        self.pool.run()
        self.assertNoResult(stopped)
        self.network.run()
        self.assertEqual([delivery.subject for delivery in self.got], ["result"])
        self.assert_gone(stopped)

    def test_takes_no_more(self) -> None:
        """What is asked while the worker stops is for others."""
        self.ask("job")
        self.pool.begin()
        stopped = self.stop()
        self.ask("job")
        self.run_scripts()
        self.assertEqual(len(self.scripts.requests), 1)
        self.successResultOf(stopped)
        others: list[Delivery] = []
        self.client("other", others.append).offer("default")
        self.network.run()
        self.assertEqual([delivery.subject for delivery in others], ["job"])

    def test_script_that_does_not_end(self) -> None:
        """Scripts have ten seconds; what is undone then is counted in the log."""
        self.ask("job")
        self.ask("job")
        self.pool.begin()
        stopped = self.stop()
        self.pass_time(9.8)
        self.assertNoResult(stopped)
        self.pass_time(0.4)
        self.assertEqual(self.logged(LogLevel.error), ["2 requests are left undone: job"])
        self.assert_gone(stopped)


class StopAloneTests(WorkerCase):
    """A worker that is stopped, and whose broker is no help."""

    def test_broker_without_goodbye(self) -> None:
        """A broker that does not answer any more costs a second, not what was taken."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.script(b"job", mail(b"result"))
        self.start()
        broker.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        broker.send(mlm.ServiceDeliver(b"requester", b"default", b"job", b"", ()))
        stopped = self.worker.stopService()
        self.pass_time(1.1)
        self.assertIn("did not take everything within 1 s", self.logged(LogLevel.warn)[0])
        self.assertNoResult(stopped)
        self.pool.run()
        self.assertEqual(len(self.scripts.requests), 1)
        self.assertNoResult(stopped)
        self.pass_time(5.1)
        self.successResultOf(stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_goodbye_behind_a_backlog(self) -> None:
        """As long as such a broker goes on to send what it had sent, it is not left, and all of it is run."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.script(b"job")
        self.start()
        broker.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        stopped = self.worker.stopService()
        for _ in range(5):
            self.pass_time(0.8)
            broker.send(mlm.ServiceDeliver(b"requester", b"default", b"job", b"", ()))
        broker.send(mlm.Ok(200, b""))
        self.pool.run()
        self.pass_time(1.1)
        self.assertEqual((len(self.scripts.requests), self.logged(LogLevel.warn)), (5, []))
        self.successResultOf(stopped)

    def test_retry_that_nobody_else_will_make(self) -> None:
        """What waits to be run again when the worker stops has failed, where no other worker will get it."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.worker = self.make_worker(errors_retries=3)
        self.script(b"job", error="no luck")
        self.start()
        broker.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        broker.send(mlm.ServiceDeliver(b"requester", b"default", b"job", b"", (b"context",)))
        self.pool.run()
        self.assertEqual(self.worker.failed, 0)
        self.worker.stopService()
        self.assertEqual((self.worker.failed, self.logged(LogLevel.error)), (1, ["job failed: no luck"]))
        self.pass_time(30)

    def test_broker_that_takes_nothing_back(self) -> None:
        """What such a broker gives is run, however long it has to wait for a thread, and whatever state they are in."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.script(b"job")
        self.start()
        broker.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        request = mlm.ServiceDeliver(b"requester", b"default", b"job", b"", ())
        broker.send(*[request] * 10)
        self.pool.begin(4)
        self.pass_time(1)
        self.pool.is_exhausted = True
        broker.send(request)
        self.pass_time(1)
        self.assertEqual(len(self.logged(LogLevel.critical)), 1)
        self.pool.run()
        self.assertEqual(len(self.scripts.requests), 11)

    def test_before_the_broker_came(self) -> None:
        """A worker that waits for its broker stops at once, without a complaint and without a timer."""
        self.start()
        self.successResultOf(self.worker.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.logged(), self.refusals), ([], []))

    def test_refused_by_nobody(self) -> None:
        """A worker that is stopped while its offer is not answered has not been refused."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.start()
        broker.send(mlm.Ok(200, b""))
        stopped = self.worker.stopService()
        self.pass_time(1.1)
        self.successResultOf(stopped)
        self.assertEqual(self.refusals, [])

    def test_never_started(self) -> None:
        """To stop a worker that was not started does nothing."""
        self.successResultOf(self.worker.stopService())

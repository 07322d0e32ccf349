"""Shutdown of the worker."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from alaska.client import Delivery
from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from tests.network_case import ENDPOINT
from tests.worker.worker_case import ConfirmCase, ServedCase, WorkerCase, mail


class StopTests(ServedCase):
    """Shutdown with a broker of ours."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = self.mailbox("box")
        self.script(b"job", mail(b"result"))
        self.start()

    def stop(self) -> Deferred[None]:
        """Start the shutdown of the worker."""
        stopped = self.worker.stopService()
        self.network.run()
        return stopped

    def assert_disconnected(self, stopped: Deferred[None]) -> None:
        """Check that the worker has stopped, and that its clients have disconnected."""
        self.successResultOf(stopped)
        assert self.broker.broker is not None
        self.assertEqual({client.name for client in self.broker.broker.clients}, {"requester", "box"})

    def test_idle(self) -> None:
        """An idle worker stops at once and closes its runners."""
        self.assert_disconnected(self.stop())
        self.assertTrue(self.scripts.is_closed)

    def test_finishes_what_it_has(self) -> None:
        """A worker stops only after its running scripts have ended and their messages are delivered."""
        self.ask("job")
        self.pool.begin()
        stopped = self.stop()
        self.pass_time(5)
        self.assertNoResult(stopped)
        self.pool.run()
        self.assertNoResult(stopped)
        self.network.run()
        self.assertEqual([delivery.subject for delivery in self.got], ["result"])
        self.assert_disconnected(stopped)

    def test_takes_no_more(self) -> None:
        """Requests that arrive during shutdown go to other workers."""
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
        """After ten seconds the worker stops; the unfinished requests are logged."""
        self.ask("job")
        self.ask("job")
        self.pool.begin()
        stopped = self.stop()
        self.pass_time(9.8)
        self.assertNoResult(stopped)
        self.pass_time(0.4)
        self.assertEqual(self.logged(LogLevel.error), ["2 requests were not finished: job"])
        self.assert_disconnected(stopped)


class ReturnTests(ConfirmCase):
    """Shutdown with a broker that redelivers returned requests."""

    def setUp(self) -> None:
        super().setUp()
        self.script(b"begun", mail(b"1"))
        self.start()

    def test_begun(self) -> None:
        """A running request is finished and confirmed before the worker has stopped."""
        asked = self.ask("begun")
        self.pool.begin()
        stopped = self.worker.stopService()
        self.pass_time(5)
        self.assertNoResult(stopped)
        self.run_scripts()
        self.successResultOf(stopped)
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertEqual(self.notes, ["mail 1"])

    def test_ended_before(self) -> None:
        """A request that has ended but whose messages are still in flight is confirmed."""
        asked = self.ask("begun")
        self.pool.run()
        self.clock.advance(0)
        stopped = self.worker.stopService()
        got = self.offer()
        self.pass_time(1)
        self.successResultOf(stopped)
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertEqual(got, [])

    def test_not_begun(self) -> None:
        """Requests that have not begun go to another worker at once, while running ones are finished."""
        self.ask("begun")
        self.pool.begin()
        self.ask("waiting")
        got = self.offer()
        stopped = self.worker.stopService()
        self.network.run()
        self.assertEqual([delivery.subject for delivery in got], ["waiting"])
        self.assertNoResult(stopped)
        self.run_scripts()
        self.assertEqual([request.subject for request in self.scripts.requests], [b"begun"])

    def test_late_delivery(self) -> None:
        """A request that is delivered to a stopping worker goes to another worker at once."""
        self.ask("begun")
        self.pool.begin()
        self.worker.stopService()
        self.ask("late")
        got = self.offer()
        self.assertEqual([delivery.subject for delivery in got], ["late"])


class StopAloneTests(WorkerCase):
    """Shutdown with a C broker, or before the worker has connected."""

    def test_broker_does_not_answer(self) -> None:
        """If the broker does not answer the disconnect, the requests that were received are still run."""
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

    def test_deliveries_before_the_answer(self) -> None:
        """While the broker still delivers requests before it answers the disconnect, all of them are run."""
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

    def test_stop_during_backoff(self) -> None:
        """With a broker that does not redeliver, a request in backoff fails when the worker stops."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.worker = self.make_worker(errors_retries=3)
        self.script(b"job", error="no luck")
        self.start()
        broker.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        broker.send(mlm.ServiceDeliver(b"requester", b"default", b"job", b"", (b"context",)))
        self.pool.run()
        self.assertEqual(self.worker.measures.failed, 0)
        self.worker.stopService()
        self.assertEqual((self.worker.measures.failed, self.logged(LogLevel.error)), (1, ["job failed: no luck"]))
        self.pass_time(30)

    def test_nothing_is_returned(self) -> None:
        """With a broker that does not redeliver, all requests are run, even if they must wait for stuck threads."""
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

    def test_before_connect(self) -> None:
        """A worker that waits for its broker stops at once, without a log line and without timers."""
        self.start()
        self.successResultOf(self.worker.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.logged(), self.refusals), ([], []))

    def test_during_offer(self) -> None:
        """A worker that is stopped before its offer is answered does not report a refusal."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.start()
        broker.send(mlm.Ok(200, b""))
        stopped = self.worker.stopService()
        self.pass_time(1.1)
        self.successResultOf(stopped)
        self.assertEqual(self.refusals, [])

    def test_never_started(self) -> None:
        """Stopping a worker that was not started does nothing."""
        self.successResultOf(self.worker.stopService())

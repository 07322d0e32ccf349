"""What a worker says of the requests that it was given: done, failed, or to be done by somebody else."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from alaska.client import Client
from alaska.client.delivery import Confirmation, Delivery
from alaska.errors import ScriptError, ScriptNotFound
from alaska.lua.request import Outcome
from alaska.worker.service import MOST_BACKOFF_SECONDS, NOT_TOLD, backoff
from tests.worker.worker_case import WorkerCase, mail


class ConfirmCase(WorkerCase):
    """A broker, a worker, and somebody who asks and hears what became of it."""

    def setUp(self) -> None:
        super().setUp()
        self.may_connect = True
        self.start_broker(accept=lambda _username, _password: self.may_connect)
        self.requester = self.connected("requester", credit=0)
        self.notes: list[str] = []
        self.connected("box", deliver=lambda delivery: self.notes.append(f"mail {delivery.subject}"))
        self.pass_time(0.2)

    def make_worker(self, **settings: Any) -> Any:
        """Make a worker that the broker accepts."""
        return super().make_worker(plain_username="user", plain_password="secret", **settings)

    def connected(self, address: str, **options: Any) -> Client:
        """Return a client that the broker has accepted."""
        return self.client(address, username="user", password="secret", **options)

    def ask(self, subject: str) -> Deferred[Confirmation]:
        """Send a request and let it come to the worker."""
        asked = self.requester.track_for("default", subject, b"context")
        self.network.run()
        return asked

    def run_scripts(self) -> None:
        """Let the threads do what they are to do, and what follows happen."""
        self.pool.run()
        self.pass_time(0.5)

    def confirmed(self, asked: Deferred[Confirmation]) -> tuple[int, str]:
        """Return what the requester has heard."""
        confirmation = self.successResultOf(asked)
        return confirmation.status, confirmation.reason

    def offer(self) -> list[Delivery]:
        """Let another worker offer the same; return the list that fills with what it gets."""
        got: list[Delivery] = []
        self.connected("other", deliver=got.append, credit=100).offer("default")
        self.network.run()
        return got


class ConfirmTests(ConfirmCase):
    """Scripts that come to their end, or do not."""

    def test_done(self) -> None:
        """A request is confirmed when its script has ended, not when it is taken."""
        self.script(b"job")
        self.start()
        asked = self.ask("job")
        self.pass_time(1)
        self.assertNoResult(asked)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))

    def test_after_what_it_sent(self) -> None:
        """A request is confirmed only when the broker has what its script sent."""
        self.script(b"job", mail(b"1"), mail(b"2"))
        self.start()
        self.ask("job").addCallback(lambda _: self.notes.append("confirmed"))
        self.run_scripts()
        self.assertEqual(self.notes, ["mail 1", "mail 2", "confirmed"])

    def test_failed(self) -> None:
        """A script that failed is refused for good, with the message as the reason and without the traceback."""
        self.script(b"job", error=ScriptError("oh no", traceback=("job.lua:1: in main chunk",)))
        self.start()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, "oh no"))

    def test_long_message(self) -> None:
        """Of a message that does not fit the wire as much is told as does."""
        self.script(b"job", error="x" * 300)
        self.start()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, "x" * 255))

    def test_not_found(self) -> None:
        """A subject that names no script is refused as not found, and never run again."""
        self.worker = self.make_worker(errors_retries=3)
        self.scripts.outcomes[b"job"] = Outcome(error=ScriptNotFound("no such script"))
        self.start()
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (404, "no such script"))

    def test_sends_lost(self) -> None:
        """A script whose messages cannot be sent, because the broker refuses their sender, has failed."""
        self.script(b"job", mail(b"1"))
        self.start()
        asked = self.ask("job")
        self.may_connect = False
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, "what it sent is lost"))


class RetryTests(ConfirmCase):
    """Scripts that are run again."""

    def setUp(self) -> None:
        super().setUp()
        self.worker = self.make_worker(errors_retries=2)
        self.start()

    def test_succeeds_at_last(self) -> None:
        """A script that fails is run again in a while, and nobody hears of it if it then comes to its end."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual((self.pool.pending, self.worker.failed), (0, 0))
        (line,) = self.logged(LogLevel.warn)
        self.assertRegex(line, r"^job failed, attempt 1, and is run again in (0\.[5-9]|1\.0) s: oh no$")
        self.script(b"job")
        self.pass_time(1)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2])

    def test_fails_for_good(self) -> None:
        """A script that fails as often as it may is reported and refused once."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        for _ in range(4):
            self.run_scripts()
            self.pass_time(4)
        self.assertEqual(self.confirmed(asked), (502, "oh no"))
        self.assertEqual([request.attempt for request in self.scripts.requests], [1, 2, 3])
        self.assertEqual(self.logged(LogLevel.error), ["job failed: oh no"])

    def test_equal_requests(self) -> None:
        """Two requests that are the same in every respect are run again both."""
        self.script(b"job", error="oh no")
        for _ in range(2):
            self.requester.send_for("default", "job", tracker="same")
        self.network.run()
        self.run_scripts()
        self.script(b"job")
        self.pass_time(1)
        self.run_scripts()
        self.assertEqual(self.worker.executed, 4)

    def test_others_come_meanwhile(self) -> None:
        """Requests that wait to be run again keep no other from being run, however many they are."""
        self.script(b"bad", error="oh no")
        self.script(b"good")
        for _ in range(20):
            self.ask("bad")
        asked = self.ask("good")
        for _ in range(10):
            self.pool.run()
            self.clock.advance(0)
            self.network.run()
        self.assertEqual(self.confirmed(asked), (200, ""))

    def test_stop_between(self) -> None:
        """A worker that stops before it would run a script again leaves the request to others."""
        self.script(b"job", error="oh no")
        asked = self.ask("job")
        self.run_scripts()
        stopped = self.worker.stopService()
        got = self.offer()
        self.pass_time(5)
        self.successResultOf(stopped)
        self.assertEqual([delivery.subject for delivery in got], ["job"])
        self.assertEqual(len(self.scripts.requests), 1)
        self.assertNoResult(asked)

    def test_backoff(self) -> None:
        """The wait doubles from one second on, half of it by chance, and has a limit."""
        self.assertEqual([backoff(attempt, 1.0) for attempt in (1, 2, 3)], [1.0, 2.0, 4.0])
        self.assertEqual([backoff(attempt, 0.0) for attempt in (1, 2, 3)], [0.5, 1.0, 2.0])
        self.assertEqual(backoff(1000, 1.0), MOST_BACKOFF_SECONDS)


class StopTests(ConfirmCase):
    """A worker that stops, at a broker that takes back what it does not do."""

    def setUp(self) -> None:
        super().setUp()
        self.script(b"begun", mail(b"1"))
        self.start()

    def test_begun(self) -> None:
        """What was begun ends and is confirmed before the worker has stopped."""
        asked = self.ask("begun")
        self.pool.begin()
        stopped = self.worker.stopService()
        self.pass_time(5)
        self.assertNoResult(stopped)
        self.run_scripts()
        self.successResultOf(stopped)
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertEqual(self.notes, ["mail 1"])

    def test_ended_a_moment_ago(self) -> None:
        """What had ended before, and waits for what it sent to arrive, is confirmed as well."""
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
        """What was not begun goes to another worker at once, while this one still ends what it has."""
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

    def test_comes_late(self) -> None:
        """What the broker sends to a worker that is stopping goes on to another one at once."""
        self.ask("begun")
        self.pool.begin()
        self.worker.stopService()
        self.ask("late")
        got = self.offer()
        self.assertEqual([delivery.subject for delivery in got], ["late"])


class StuckTests(ConfirmCase):
    """Threads that are all busy for long."""

    def test_handed_back(self) -> None:
        """What waits behind scripts that do not end is handed back, and another worker does it."""
        self.worker = self.make_worker(pool_size=2)
        self.script(b"quick")
        self.start()
        # A worker whose scripts are over in no time asks for more than it has threads.
        for _ in range(8):
            self.ask("quick")
        while self.pool.pending:
            self.pool.run()
            self.clock.advance(0)
            self.network.run()
        for number in range(4):
            self.ask(f"slow {number}")
        self.pool.begin(2)
        self.assertEqual(self.pool.pending, 4)
        got = self.offer()
        self.assertEqual(got, [])
        self.pass_time(0.3)
        self.assertEqual(sorted(delivery.subject for delivery in got), ["slow 2", "slow 3"])

    def test_all_handed_back(self) -> None:
        """A worker that has handed back all that it had asks for more: its threads were only held up."""
        self.worker = self.make_worker(pool_size=2)
        for subject in (b"quick", b"late"):
            self.script(subject)
        self.start()
        for _ in range(8):
            self.ask("quick")
        while self.pool.pending:
            self.pool.run()
            self.clock.advance(0)
            self.network.run()
        trackers = [self.ask("late") for _ in range(4)]
        self.pass_time(1)
        while self.pool.pending:
            self.pool.run()
            self.pass_time(0.05)
        self.assertEqual([self.confirmed(tracker) for tracker in trackers], [(200, "")] * 4)

    def test_pool_is_looked_after(self) -> None:
        """The pool is told the limit of scripts, and looked after as long as any run, also while the worker stops."""
        self.worker = self.make_worker(scripts_timeout=1500)
        self.script(b"job")
        self.start()
        self.assertEqual(self.pool.limit, 1.5)
        self.ask("job")
        self.pool.begin()
        self.pool.watched.clear()
        self.pass_time(1)
        self.assertEqual(len(self.pool.watched), 20)
        self.run_scripts()
        self.pass_time(1)
        self.pool.watched.clear()
        self.pass_time(1)
        self.assertEqual(self.pool.watched, [])
        self.ask("job")
        self.pool.begin()
        self.pool.watched.clear()
        stopped = self.worker.stopService()
        self.pass_time(1)
        self.assertEqual(len(self.pool.watched), 20)
        self.run_scripts()
        self.pass_time(1)
        self.successResultOf(stopped)

    def test_exhausted(self) -> None:
        """A worker with too many stuck threads says so once, and others do what it was asked and has not begun."""
        self.script(b"begun")
        self.start()
        self.assertTrue(self.worker.is_ready)
        self.ask("begun")
        self.pool.begin()
        self.ask("waiting")
        self.pool.is_exhausted = True
        got = self.offer()
        self.pass_time(1)
        self.ask("late")
        self.assertEqual([delivery.subject for delivery in got], ["waiting", "late"])
        self.assertFalse(self.worker.is_ready)
        (line,) = self.logged(LogLevel.critical)
        self.assertIn("takes no more requests", line)

    def test_recovered(self) -> None:
        """When enough of the stuck threads have ended, the worker takes requests again."""
        self.script(b"job")
        self.start()
        self.pool.is_exhausted = True
        self.pass_time(0.1)
        asked = self.ask("job")
        self.pool.is_exhausted = False
        self.pass_time(1)
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.assertTrue(self.worker.is_ready)


class FaultTests(ConfirmCase):
    """Faults of the worker itself while it tells what came of a request."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_showing(self) -> None:
        """A request whose output cannot be shown is confirmed as failed, and the next one is served."""
        self.script(b"job", output=b"text")
        output, self.worker._output = self.worker._output, None  # type: ignore[assignment]
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (502, NOT_TOLD))
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)
        self.worker._output = output
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked)[0], 200)

    def test_no_connection(self) -> None:
        """Where no connection can be opened for what a script sends, its request fails."""

        def no_more(_address: str) -> Client:
            raise OSError(24, "Too many open files")

        self.worker._senders._make_client = no_more
        self.script(b"job", mail(), error=None)
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked)[0], 502)
        self.assertTrue(self.flushLoggedErrors(OSError))

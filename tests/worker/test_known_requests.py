"""Requests with an id that come a second time, since their broker has lost the session of the worker."""

from __future__ import annotations

from alaska.admin.requests import OneClient
from alaska.errors import ScriptUnreadable
from alaska.lua.request import Outcome, Request
from alaska.worker import known_requests
from alaska.worker.known_requests import MOST_AGAIN, KnownRequests
from tests.worker.worker_case import ServedCase


def request(name: bytes = b"i", since: int = 1, lease: int = 1) -> Request:
    """Return a request with an id."""
    return Request(b"s", b"default", b"job", b"t", (b"x",), lease=lease, since=since, id=name)


class KnownRequestTests(ServedCase):
    """A worker whose session ends."""

    def setUp(self) -> None:
        super().setUp()
        self.script(b"job")
        self.start()
        self.pass_time(0.2)

    def ask_once(self) -> None:
        """Send a request with an id."""
        self.requester.send_for("default", "job", id="i")
        self.network.run()

    def lose_session(self) -> None:
        """End the session of the worker, which connects again, and gets its requests again."""
        broker = self.broker.broker
        assert broker is not None
        (worker,) = broker.queues.table.offered_by
        broker.administration.perform("close-client", OneClient(number=worker.number), "test")
        self.pass_time(1.0)

    def waiting(self) -> int:
        """Return how many requests the broker has."""
        broker = self.broker.broker
        assert broker is not None
        return sum(queue.waiting + queue.running for queue in broker.queues.table.services())

    def test_runs(self) -> None:
        """A request that comes again while it runs is run once, and confirmed with its outcome."""
        self.ask_once()
        self.lose_session()
        self.assertEqual(self.waiting(), 1)
        self.pool.run()
        self.pass_time(0.5)
        self.assertEqual((len(self.scripts.requests), self.waiting()), (1, 0))
        self.assertEqual(self.worker.intake.unconfirmed, 0)

    def test_room_for_others(self) -> None:
        """One that comes again takes no thread from others: the worker takes as many as it has threads."""
        self.ask_once()
        self.pool.begin()
        self.lose_session()
        for _ in range(5):
            self.ask("job")
        self.pass_time(0.2)
        self.assertEqual(self.pool.pending, self.pool.size)

    def test_drained(self) -> None:
        """A worker that is drained still knows the requests that it runs."""
        self.ask_once()
        self.pool.begin()
        self.worker.drain()
        self.lose_session()
        self.pool.run()
        self.pass_time(0.5)
        self.assertEqual((len(self.scripts.requests), self.waiting()), (1, 0))

    def test_without_id(self) -> None:
        """A request without an id is run again: it may go to any worker."""
        self.ask("job")
        self.lose_session()
        self.pool.run()
        self.pass_time(0.5)
        self.assertEqual(len(self.scripts.requests), 2)

    def test_failed(self) -> None:
        """A request that fails after it has come again becomes one dead letter."""
        self.script(b"job", error="oh no")
        self.ask_once()
        self.lose_session()
        self.pool.run()
        self.pass_time(0.5)
        assert self.broker.broker is not None
        self.assertEqual((len(self.scripts.requests), len(self.broker.broker.queues.dead_letters)), (1, 1))

    def test_returned(self) -> None:
        """A request that the worker returns, since it cannot read the script now, is run when it comes again."""
        self.scripts.outcomes[b"job"] = Outcome(error=ScriptUnreadable("no descriptors"))
        self.ask_once()
        self.pool.run()
        self.script(b"job")
        self.pass_time(0.5)
        self.pool.run()
        self.pass_time(0.5)
        self.assertEqual((len(self.scripts.requests), self.waiting()), (2, 0))


class MemoryTests(ServedCase):
    """What is remembered."""

    def test_ended(self) -> None:
        """A request that has ended is known with its outcome, one with another id or time is not."""
        known = KnownRequests()
        self.assertIs(known.begin(request()), True)
        self.assertEqual(known.end(request(), 502, "oh no"), [])
        self.assertEqual(known.begin(request(lease=2)), (502, "oh no"))
        self.assertIs(known.begin(request(since=2)), True)
        self.assertIs(known.begin(request(b"j")), True)

    def test_again(self) -> None:
        """Later deliveries end together with the first one; of many, the newest are kept."""
        known = KnownRequests()
        known.begin(request())
        for lease in range(2, 50):
            self.assertIs(known.begin(request(lease=lease)), False)
        later = known.end(request(), 200, "")
        self.assertEqual([each.lease for each in later], list(range(50 - MOST_AGAIN, 50)))
        self.assertEqual(known.end(request(lease=49), 200, ""), [])

    def test_forgotten(self) -> None:
        """A request that has not ended is run if it comes again."""
        known = KnownRequests()
        known.begin(request())
        self.assertEqual(known.forget(request()), [])
        self.assertIs(known.begin(request()), True)

    def test_bounded(self) -> None:
        """Of many that have ended, the oldest are forgotten; one that runs is not."""
        self.patch(known_requests, "MOST_KNOWN", 3)
        known = KnownRequests()
        known.begin(request(b"runs"))
        for name in (b"a", b"b", b"c", b"d", b"e"):
            known.begin(request(name))
            known.end(request(name), 200, "")
        self.assertIs(known.begin(request(b"a")), True)
        self.assertIs(known.begin(request(b"runs", lease=2)), False)

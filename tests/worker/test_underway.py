"""What scripts leave while they run."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import cast

from twisted.internet.interfaces import IReactorFromThreads

from alaska.client import Client
from alaska.errors import ScriptError
from alaska.lua.request import Outcome, Request
from alaska.worker.senders import Sink
from alaska.worker.underway import UnderWay
from tests.network_case import NetworkCase
from tests.worker.test_asking import SECONDS, HandReactor
from tests.worker.worker_case import mail

REQUEST = Request(b"me", b"default", b"job", b"t", ())


class UnderWayTests(NetworkCase):
    """A client that sends, and a request."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker()
        self.sender: Client = self.client("LU")
        self.from_threads = HandReactor()
        self.error: ScriptError | None = None
        reactor = cast("IReactorFromThreads", self.from_threads)
        self.under_way = UnderWay(reactor, lambda call: call(), self.pass_on)

    def pass_on(self, _request: Request, told: Outcome, uses: Callable[[Sink], None]) -> ScriptError | None:
        """Send what was told."""
        for send in told.sends:
            self.sender.send_to(send.topic, send.subject)
            uses(self.sender)
        return self.error

    def arrive(self) -> Thread:
        """Wait, in a thread, for what was sent to arrive."""
        thread = Thread(target=lambda: self.under_way.arrive(REQUEST, SECONDS))
        thread.start()
        return thread

    def test_known_at_the_end(self) -> None:
        """By what a request has sent, and that something was lost, is known at its end, and no longer."""
        self.assertIsNone(self.under_way.ended(REQUEST))
        self.error = ScriptError("lost")
        self.under_way.told(REQUEST, Outcome((mail(),)))
        self.error = None
        self.under_way.told(REQUEST, Outcome((mail(),)))
        left = self.under_way.ended(REQUEST)
        assert left is not None
        self.assertEqual((left.senders, str(left.error)), ({self.sender}, "lost"))
        self.assertIsNone(self.under_way.ended(REQUEST))

    def test_arrives(self) -> None:
        """A question waits until the broker has what its script has sent."""
        self.under_way.told(REQUEST, Outcome((mail(),)))
        thread = self.arrive()
        self.from_threads.calls.get(timeout=SECONDS)()
        self.assertTrue(thread.is_alive())
        self.network.run()
        thread.join(SECONDS)
        self.assertEqual((thread.is_alive(), self.sender.unproven), (False, 0))

    def test_nothing_to_wait_for(self) -> None:
        """A script that has sent nothing waits for nobody, nor one that has printed."""
        self.arrive().join(SECONDS)
        self.under_way.told(REQUEST, Outcome(output=b"x"))
        self.arrive().join(SECONDS)
        self.assertTrue(self.from_threads.calls.empty())

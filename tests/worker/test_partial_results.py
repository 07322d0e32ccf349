"""Partial results of running scripts."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import cast

from twisted.internet.interfaces import IReactorFromThreads

from alaska.client import Client
from alaska.errors import ScriptError
from alaska.lua.request import Outcome, Request
from alaska.worker.partial_results import PartialResults
from alaska.worker.senders import Sink
from tests.network_case import NetworkCase
from tests.pool.hand_reactor import SECONDS, HandReactor
from tests.worker.worker_case import mail

REQUEST = Request(b"me", b"default", b"job", b"t", ())


class PartialResultsTests(NetworkCase):
    """Partial results that send mail over a client."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker()
        self.sender: Client = self.client("LU")
        self.from_threads = HandReactor()
        self.error: ScriptError | None = None
        reactor = cast("IReactorFromThreads", self.from_threads)
        self.results = PartialResults(reactor, lambda call: call(), self.process_partial)

    def process_partial(
        self, _request: Request, outcome: Outcome, record_sender: Callable[[Sink], None]
    ) -> ScriptError | None:
        """Send the messages of a partial result."""
        for send in outcome.sends:
            self.sender.send_to(send.topic, send.subject)
            record_sender(self.sender)
        return self.error

    def flush(self) -> Thread:
        """Flush in a thread."""
        thread = Thread(target=lambda: self.results.flush(REQUEST, SECONDS))
        thread.start()
        return thread

    def test_summary(self) -> None:
        """At the end of a request, its connections and its last error are returned once."""
        self.assertIsNone(self.results.pop(REQUEST))
        self.error = ScriptError("lost")
        self.results.add(REQUEST, Outcome((mail(),)))
        self.error = None
        self.results.add(REQUEST, Outcome((mail(),)))
        summary = self.results.pop(REQUEST)
        assert summary is not None
        self.assertEqual((summary.senders, str(summary.error)), ({self.sender}, "lost"))
        self.assertIsNone(self.results.pop(REQUEST))

    def test_flush(self) -> None:
        """A flush waits until the broker has the messages that the script has sent."""
        self.results.add(REQUEST, Outcome((mail(),)))
        thread = self.flush()
        self.from_threads.calls.get(timeout=SECONDS)()
        self.assertTrue(thread.is_alive())
        self.network.run()
        thread.join(SECONDS)
        self.assertEqual((thread.is_alive(), self.sender.unproven), (False, 0))

    def test_flush_without_sends(self) -> None:
        """A flush does not wait for a script that has sent nothing, even if it has printed something."""
        self.flush().join(SECONDS)
        self.results.add(REQUEST, Outcome(output=b"x"))
        self.flush().join(SECONDS)
        self.assertTrue(self.from_threads.calls.empty())

    def test_flush_after_the_end(self) -> None:
        """A flush does not wait for the messages of a request that has ended."""
        self.results.add(REQUEST, Outcome((mail(),)))
        self.results.pop(REQUEST)
        self.flush().join(SECONDS)
        self.assertTrue(self.from_threads.calls.empty())

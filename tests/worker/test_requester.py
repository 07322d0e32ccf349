"""Requests of scripts to other services, with real threads and a network in memory."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from alaska.client import Client, Delivery
from alaska.lua.questions import NONE, OK, Frames
from alaska.lua.request import Request
from alaska.traces.context import TraceContext
from alaska.worker.requester import MOST_FRAMES, Asked, Requester
from tests.network_case import NetworkCase
from tests.pool.hand_reactor import SECONDS, HandReactor


class RequesterTests(NetworkCase):
    """A broker, a service whose answers the test sends, and threads that send requests."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker()
        self.deliveries: list[Delivery] = []
        self.service = self.client("service", self.deliveries.append, credit=100)
        self.from_threads = HandReactor()
        self.requester = Requester(cast("IReactorFromThreads", self.from_threads), self.make_client, threads=2)
        self.answers: SimpleQueue[Frames] = SimpleQueue()

    def make_client(self, deliver: Callable[[Delivery], None]) -> Client:
        """Make the client that sends the requests."""
        return Client(
            self.service.endpoint, "requester", network=self.network, reactor=self.reactor, deliver=deliver, credit=0
        )

    def ask(self, service: bytes = b"svc", seconds: float = 5.0, trace: TraceContext | None = None) -> None:
        """Send a request from a thread, and deliver it."""
        self.ask_all([Asked(service, b"job", (b"content",), seconds)], trace)

    def ask_all(self, requests: list[Asked], trace: TraceContext | None = None, owner: Request | None = None) -> None:
        """Send requests at once from a thread, and deliver them."""

        def wait() -> None:
            for answer in self.requester.ask_all(requests, trace, owner):
                self.answers.put(answer)

        thread = Thread(target=wait)
        thread.start()
        self.addCleanup(thread.join, SECONDS)
        self.from_threads.calls.get(timeout=SECONDS)()
        self.network.run()

    def answer(self) -> Frames:
        """Return the answer that a thread has got."""
        return self.answers.get(timeout=SECONDS)

    def reply(self, *content: bytes) -> None:
        """Answer and confirm the oldest request."""
        request = self.deliveries.pop(0)
        self.service.send_to(request.sender, request.subject, *content, tracker=request.tracker)
        self.service.confirm(request)
        self.network.run()

    def test_answer(self) -> None:
        """Each thread gets the frames of the answer to its own request."""
        self.service.offer("svc")
        self.ask()
        self.ask()
        self.reply(b"first", b"", b"\0")
        self.reply()
        self.assertEqual({self.answer(), self.answer()}, {(OK, b"first", b"", b"\0"), (OK, b"")})

    def test_trace(self) -> None:
        """A request has the trace context of the script that sends it."""
        self.service.offer("svc")
        context = TraceContext(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        self.ask(trace=context)
        self.assertEqual([delivery.trace for delivery in self.deliveries], [context])

    def test_nobody_offers(self) -> None:
        """A request to a service without workers fails at once."""
        self.ask()
        self.assertEqual(self.answer(), (NONE, b"nobody offers the service"))

    def test_refused(self) -> None:
        """If a worker fails a request, the requester gets the reason."""
        self.service.offer("svc")
        self.ask()
        self.service.confirm(self.deliveries[0], 502, "the script failed")
        self.network.run()
        self.assertEqual(self.answer(), (NONE, b"no answer: the script failed"))

    def test_no_answer(self) -> None:
        """A request that is confirmed without an answer gets an empty string at once."""
        self.service.offer("svc")
        self.ask()
        self.service.confirm(self.deliveries.pop())
        self.network.run()
        self.assertEqual(self.answer(), (OK, b""))

    def test_timeout(self) -> None:
        """A timeout says if all threads of the worker wait for answers; late answers are dropped."""
        self.service.offer("svc")
        self.ask(seconds=1.0)
        self.ask(seconds=2.0)
        self.pass_time(1.1)
        late = b"no answer from svc within 1 s, and all threads of this worker (2) wait for answers"
        self.assertEqual(self.answer(), (NONE, late))
        self.pass_time(1.0)
        self.assertTrue(self.answer()[1].startswith(b"no answer from svc within 2 s"))
        self.reply(b"late")
        self.ask()
        self.reply(b"late as well")
        self.reply(b"in time")
        self.assertEqual(self.answer(), (OK, b"in time"))

    def test_other_mail(self) -> None:
        """Of much mail that is no answer, the first, the tenth and so on are logged."""
        self.service.offer("svc")
        self.ask()
        for _ in range(150):
            self.service.send_to("requester", "news")
        self.network.run()
        self.reply(b"here")
        self.assertEqual(self.answer(), (OK, b"here"))
        dropped = [line for line in self.logged() if line.startswith("dropped mail from service: no script waits")]
        self.assertEqual([line.partition("(")[2] for line in dropped], ["1 so far)", "10 so far)", "100 so far)"])

    def test_several_at_once(self) -> None:
        """Requests that are sent at once are all on their way before the first answer, and are answered in order."""
        self.service.offer("svc")
        nowhere, late = Asked(b"nowhere", b"job", (), 5.0), Asked(b"svc", b"late", (), 1.0)
        self.ask_all([Asked(b"svc", b"first", (b"x", b"y"), 5.0), nowhere, late, Asked(b"svc", b"last", (), 5.0)])
        self.assertEqual([each.subject for each in self.deliveries], ["first", "late", "last"])
        self.assertEqual(self.deliveries[0].content, (b"x", b"y"))
        self.deliveries.reverse()
        self.reply(b"3")
        self.deliveries.reverse()
        self.reply(b"1", b"more")
        self.pass_time(1.1)
        answers = [self.answer() for _ in range(4)]
        self.assertEqual(answers[:2], [(OK, b"1", b"more"), (NONE, b"nobody offers the service")])
        self.assertEqual(answers[2:], [(NONE, b"no answer from svc within 1 s"), (OK, b"3")])

    def test_several_count_as_one_that_waits(self) -> None:
        """A thread that waits for several answers is one of those that wait."""
        self.service.offer("svc")
        self.ask_all([Asked(b"svc", b"job", (), 1.0)] * 2)
        self.pass_time(1.1)
        self.assertEqual([self.answer() for _ in range(2)], [(NONE, b"no answer from svc within 1 s")] * 2)

    def test_cancelled(self) -> None:
        """The wait of a script whose request is cancelled ends; others go on."""
        self.service.offer("svc")
        one, other = (Request(b"me", b"default", b"job", b"t", ()) for _ in range(2))
        self.ask_all([Asked(b"svc", b"job", (), 1000.0)] * 2, owner=one)
        self.ask_all([Asked(b"svc", b"job", (), 1000.0)], owner=other)
        self.requester.cancel(one)
        ended = NONE, b"the request of this script is cancelled"
        self.assertEqual([self.answer() for _ in range(2)], [ended] * 2)
        self.deliveries = self.deliveries[2:]
        self.reply(b"in time")
        self.assertEqual(self.answer(), (OK, b"in time"))

    def test_no_time_left(self) -> None:
        """A request with a timeout of 0 is not sent."""
        self.assertEqual(
            self.requester.ask_all([Asked(b"svc", b"job", (), 0.0)]), [(NONE, b"no answer from svc within 0 s")]
        )
        self.assertRaises(Empty, self.from_threads.calls.get_nowait)

    def test_too_many_frames(self) -> None:
        """An answer with too many frames is refused."""
        self.service.offer("svc")
        self.ask()
        self.reply(*[b""] * (MOST_FRAMES + 1))
        self.assertEqual(self.answer(), (NONE, b"the answer has 1001 frames; the limit is 1000"))

    def test_name_too_long(self) -> None:
        """A service name that is too long for the wire is an error."""
        self.ask(service=b"x" * 300)
        self.assertEqual(self.answer()[0], NONE)

    def test_close(self) -> None:
        """Closing answers all pending and later requests that the worker is stopping."""
        self.service.offer("svc")
        self.ask(seconds=1000.0)
        closing = self.requester.close()
        self.assertEqual(self.answer(), (NONE, b"the worker is stopping"))
        self.network.run()
        self.successResultOf(closing)
        self.ask()
        self.assertEqual(self.answer(), (NONE, b"the worker is stopping"))

    def test_refuse(self) -> None:
        """Requests to a service that is refused end, and those to others go on."""
        for service in ("svc", "other"):
            self.service.offer(service)
            self.ask(service.encode(), seconds=1000.0)
        self.requester.refuse(b"svc")
        self.assertEqual(self.answer(), (NONE, b"the worker is stopping"))
        self.ask(b"svc", seconds=1000.0)
        self.assertEqual(self.answer(), (NONE, b"the worker is stopping"))
        self.deliveries.pop(0)
        self.reply(b"1")
        self.assertEqual(self.answer(), (OK, b"1"))

    def test_close_without_requests(self) -> None:
        """Closing an unused requester fires at once."""
        self.assertIsInstance(self.requester.close(), Deferred)
        self.successResultOf(self.requester.close())

    def test_reactor_has_stopped(self) -> None:
        """The timeout also holds if the reactor has stopped."""
        self.assertTrue(
            self.requester.ask_all([Asked(b"svc", b"job", (), 0.01)])[0][1].startswith(
                b"no answer from svc within 0.01 s"
            )
        )

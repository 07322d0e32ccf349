"""Asking other services in the name of scripts: real threads, and a network in memory."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from alaska.client import Client, Delivery
from alaska.lua.questions import NONE, OK, Frames
from alaska.worker.asking import MOST_FRAMES, Asking
from tests.network_case import NetworkCase

SECONDS = 20.0


class HandReactor:
    """What threads want called, until the test calls it."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., None], *arguments: Any) -> None:  # noqa: N802  # Twisted's name
        """Note a call."""
        self.calls.put(lambda: call(*arguments))


class AskingTests(NetworkCase):
    """A broker, a service that answers what the test says, and threads that ask."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker()
        self.taken: list[Delivery] = []
        self.service = self.client("service", self.taken.append, credit=100)
        self.from_threads = HandReactor()
        self.asking = Asking(cast("IReactorFromThreads", self.from_threads), self.make_client, threads=2)
        self.answers: SimpleQueue[Frames] = SimpleQueue()

    def make_client(self, deliver: Callable[[Delivery], None]) -> Client:
        """Make the client that asks."""
        return Client(
            self.service.endpoint, "asker", network=self.network, reactor=self.reactor, deliver=deliver, credit=0
        )

    def ask(self, service: bytes = b"svc", seconds: float = 5.0) -> None:
        """Ask in a thread, until the question is on its way."""
        thread = Thread(target=lambda: self.answers.put(self.asking.ask(service, b"job", b"content", seconds)))
        thread.start()
        self.addCleanup(thread.join, SECONDS)
        self.from_threads.calls.get(timeout=SECONDS)()
        self.network.run()

    def answer(self) -> Frames:
        """Return what a thread has been answered."""
        return self.answers.get(timeout=SECONDS)

    def reply(self, *content: bytes) -> None:
        """Answer the oldest question."""
        request = self.taken.pop(0)
        self.service.send_to(request.sender, request.subject, *content, tracker=request.tracker)
        self.service.confirm(request)
        self.network.run()

    def test_answer(self) -> None:
        """A thread gets the frames of the mail that answers its question, whoever else asks."""
        self.service.offer("svc")
        self.ask()
        self.ask()
        self.reply(b"first", b"", b"\0")
        self.reply()
        self.assertEqual({self.answer(), self.answer()}, {(OK, b"first", b"", b"\0"), (OK, b"")})

    def test_nobody_offers(self) -> None:
        """A service that nobody offers is known at once."""
        self.ask()
        self.assertEqual(self.answer(), (NONE, b"nobody offers the service"))

    def test_refused(self) -> None:
        """What the worker refuses is told with its reason."""
        self.service.offer("svc")
        self.ask()
        self.service.confirm(self.taken[0], 502, "the script failed")
        self.network.run()
        self.assertEqual(self.answer(), (NONE, b"no answer: the script failed"))

    def test_no_answer(self) -> None:
        """A request that is done without an answer is answered at once, with an empty string."""
        self.service.offer("svc")
        self.ask()
        self.service.confirm(self.taken.pop())
        self.network.run()
        self.assertEqual(self.answer(), (OK, b""))

    def test_too_late(self) -> None:
        """Without an answer in time there is none, and when all threads wait that is said; the late one is dropped."""
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

    def test_no_time_left(self) -> None:
        """A question without any time asks nobody."""
        self.assertEqual(self.asking.ask(b"svc", b"job", b"", 0.0), (NONE, b"no answer from svc within 0 s"))
        self.assertRaises(Empty, self.from_threads.calls.get_nowait)

    def test_too_many_frames(self) -> None:
        """An answer of more frames than Lua can take at once is refused."""
        self.service.offer("svc")
        self.ask()
        self.reply(*[b""] * (MOST_FRAMES + 1))
        self.assertEqual(self.answer(), (NONE, b"the answer has 1001 frames, and 1000 is the limit"))

    def test_name_too_long(self) -> None:
        """What fits no wire is told to the script."""
        self.ask(service=b"x" * 300)
        self.assertEqual(self.answer()[0], NONE)

    def test_close(self) -> None:
        """Closing wakes all that wait, and who asks later is told the same."""
        self.service.offer("svc")
        self.ask(seconds=1000.0)
        closing = self.asking.close()
        self.assertEqual(self.answer(), (NONE, b"the worker is stopping"))
        self.network.run()
        self.successResultOf(closing)
        self.ask()
        self.assertEqual(self.answer(), (NONE, b"the worker is stopping"))

    def test_close_without_questions(self) -> None:
        """Closing what was never asked is done at once."""
        self.assertIsInstance(self.asking.close(), Deferred)
        self.successResultOf(self.asking.close())

    def test_reactor_is_gone(self) -> None:
        """A thread whose reactor does nothing any more is not stuck."""
        self.assertTrue(self.asking.ask(b"svc", b"job", b"", 0.01)[1].startswith(b"no answer from svc within 0.01 s"))

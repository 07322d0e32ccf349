"""What the tests of the pool share: fake runners, and a pool under a reactor that the test drives."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread, current_thread
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import Reactor
from alaska.lua.request import Outcome, Request
from alaska.pool.pool import Pool
from tests.pool.hand_reactor import SECONDS, HandReactor


class FakeRunners:
    """Makes fake runners and records their calls; ``work`` has a function to call for each subject."""

    def __init__(self) -> None:
        self.made: list[Thread] = []
        self.ran: list[tuple[bytes, Thread]] = []
        self.closed: list[Thread] = []
        self.work: dict[bytes, Callable[[], object]] = {}

    def make_runner(self) -> FakeRunner:
        """Make a runner in the calling thread."""
        self.made.append(current_thread())
        return FakeRunner(self)


class FakeRunner:
    """A runner without Lua; the output is the subject in capital letters."""

    def __init__(self, runners: FakeRunners) -> None:
        self._runners = runners

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.pool.Runner`."""
        self._runners.ran.append((request.subject, current_thread()))
        self._runners.work.get(request.subject, lambda: None)()
        return Outcome(output=request.subject.upper())

    def close(self) -> None:
        """See :class:`alaska.pool.pool.Runner`."""
        self._runners.closed.append(current_thread())


class PoolCase(SynchronousTestCase):
    """A pool with fake runners, which is abandoned after the test."""

    size = 1
    limit: float | None = None

    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.runners = FakeRunners()
        self.finished: list[tuple[bytes, bytes | None]] = []
        self.pool = self.make_pool(self.runners.make_runner, self.note)
        self.pool.start()
        self.addCleanup(self.pool.abandon)

    def make_pool(
        self, make_runner: Callable[[], FakeRunner], finished: Callable[[Request, Outcome | None], None]
    ) -> Pool:
        """Make a pool under the reactor that the test drives."""
        return Pool(cast("Reactor", self.reactor), self.size, make_runner, finished, self.limit)

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Record the subject and the output of a finished request."""
        self.finished.append((request.subject, None if outcome is None else outcome.output))

    def submit(self, *subjects: bytes) -> None:
        """Submit requests."""
        for subject in subjects:
            self.pool.submit(Request(b"sender", b"service", subject, b"", ()))
        self.reactor.turn()

    def finish(self, count: int) -> None:
        """Run the reactor until this number of requests are finished."""
        while len(self.finished) < count:
            self.reactor.step()

    def stop(self) -> None:
        """Stop the pool, and run the reactor until it has stopped."""
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        while not stopped:
            self.reactor.step()

    def work_until_ended(self, count: int) -> None:
        """Run the reactor until this number of runners are closed and their threads have ended."""
        while len(self.runners.closed) < count or not self.reactor.calls.empty():
            self.reactor.step()

    def hold(self, subject: bytes) -> Event:
        """Submit a request that runs until the returned event is set; return when it has begun."""
        begun, release = self.make_held(subject)
        self.submit(subject)
        self.assertTrue(begun.wait(SECONDS))
        return release

    def make_held(self, subject: bytes) -> tuple[Event, Event]:
        """Let requests with a subject set the first event when they begin, and run until the second one is set."""
        begun, release = Event(), Event()

        def work() -> None:
            begun.set()
            release.wait(SECONDS)

        self.addCleanup(release.set)
        self.runners.work[subject] = work
        return begun, release

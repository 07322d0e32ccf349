"""Prefetching by child processes: no request is lost or run twice, even if children crash or are killed."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import ClassVar, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import InterpreterLost, LimitExceeded
from alaska.interfaces import Reactor
from alaska.lua.request import Outcome, Request
from alaska.pool.isolated import MOST_PREFETCHED
from alaska.pool.pool import Pool
from tests import examples
from tests.pool.hand_reactor import SECONDS, HandReactor
from tests.pool.isolated_case import ODD, HastyRunner
from tests.processes import children_of, is_alive


class PrefetchCase(SynchronousTestCase):
    """A pool with real child processes, under a reactor that the test drives."""

    size: ClassVar[int] = 2
    limit: ClassVar[float | None] = None

    def setUp(self) -> None:
        self.others = children_of(os.getpid())
        self.begin()

    def begin(self) -> None:
        """Make a new pool and clear all records."""
        self.log = Path(self.mktemp()).absolute()
        self.log.touch()
        self.reactor = HandReactor()
        self.finished: dict[bytes, Outcome | None] = {}
        self.twice: list[bytes] = []
        self.runners: list[HastyRunner] = []
        self.pool = Pool(cast("Reactor", self.reactor), self.size, self.make_runner, self.note, self.limit)
        self.pool.start()
        self.addCleanup(self.pool.abandon)

    def make_runner(self) -> HastyRunner:
        """Make a runner."""
        runner = HastyRunner(ODD, str(self.log).encode(), self.limit, 0, self.answer)
        self.runners.append(runner)
        return runner

    def answer(self, _request: Request, octets: bytes) -> bytes:
        """Answer a call with its question."""
        return octets

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Record the outcome of a request by its tracker."""
        if request.tracker in self.finished:
            self.twice.append(request.tracker)
        self.finished[request.tracker] = outcome

    def submit(self, tracker: str, subject: bytes, context: bytes = b"") -> None:
        """Submit a request."""
        self.pool.submit(Request(b"", b"", subject, tracker.encode(), (context,)))
        self.reactor.turn()

    def until(self, holds: Callable[[], bool]) -> None:
        """Run the reactor until a condition holds."""
        while not holds():
            self.reactor.step()

    def stop(self) -> None:
        """Stop the pool, and run the reactor until it has stopped."""
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        self.until(lambda: bool(stopped))

    def began(self) -> Counter[bytes]:
        """Return how often each request has begun, by tracker."""
        return Counter(self.log.read_bytes().split())

    def warm_up(self) -> None:
        """Let the runners measure that requests are short, so that they prefetch many."""
        for number in range(200):
            self.submit(f"warm{number}", b"quick")
        self.until(lambda: len(self.finished) == 200)


class OnceTests(PrefetchCase):
    """Each request begins once."""

    @given(st.lists(st.sampled_from([b"quick", b"quick", b"quick", b"abort", b"exit", b"call", b"large"]), max_size=60))
    @settings(max_examples=examples(12))
    def test_any_crashes(self, subjects: list[bytes]) -> None:
        """Each request begins once, whichever requests crash their process, and all others succeed."""
        self.begin()
        contexts = {b"exit": b"3", b"large": b"x" * 100_000}
        for number, subject in enumerate(subjects):
            self.submit(f"{number}", subject, contexts.get(subject, b""))
        self.stop()
        self.assertEqual((self.twice, self.pool.pending), ([], 0))
        self.assertEqual(self.began(), {b"%d" % number: 1 for number in range(len(subjects))})
        for number, subject in enumerate(subjects):
            outcome = self.finished[b"%d" % number]
            assert outcome is not None
            self.assertEqual(isinstance(outcome.error, InterpreterLost), subject in (b"abort", b"exit"), subject)

    def test_killed_at_any_time(self) -> None:
        """At most one request fails for each child that is killed while it is busy; none is lost or run twice."""
        self.warm_up()
        kills = 0
        for number in range(3000):
            self.submit(f"{number}", b"quick")
            if number % 1000 == 500:
                for pid in children_of(os.getpid()):
                    if pid not in self.others:
                        # The process may have ended. A module name "suppress" would have a meaning for trial.
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, 9)
                        kills += 1
        self.stop()
        self.assertGreater(kills, 0)
        self.assertEqual((len(self.finished), self.twice), (3200, []))
        self.assertEqual(max(self.began().values()), 1)
        lost = [outcome for outcome in self.finished.values() if outcome is None or outcome.error is not None]
        self.assertLessEqual(len(lost), kills)

    def test_forged_outcomes(self) -> None:
        """A child that sends outcomes of requests that it has not begun loses no requests."""
        self.warm_up()
        for number in range(20):
            self.submit(f"forges{number}", b"forges", b"3")
            for other in range(10):
                self.submit(f"{number}-{other}", b"quick")
        self.stop()
        self.assertEqual((len(self.finished), self.twice, self.pool.pending), (420, [], 0))
        outputs = {outcome and outcome.output for outcome in self.finished.values()}
        self.assertLessEqual(outputs, {b"QUICK", b"forged", b""})

    def test_reaped(self) -> None:
        """A stopped pool leaves no child processes and no zombies."""
        for number in range(10):
            self.submit(f"{number}", b"abort" if number % 3 == 0 else b"quick")
        self.stop()
        self.assertLessEqual(set(children_of(os.getpid())), set(self.others))


class StuckTests(PrefetchCase):
    """Slow scripts with prefetched requests behind them."""

    def test_others_go_on(self) -> None:
        """Requests that were prefetched behind a script that does not end are run by another child."""
        self.warm_up()
        self.submit("stuck", b"sleep")
        for number in range(2 * MOST_PREFETCHED):
            self.submit(f"{number}", b"quick")
        self.until(lambda: len(self.finished) == 200 + 2 * MOST_PREFETCHED and b"stuck" in self.began())
        self.assertNotIn(b"stuck", self.finished)
        self.assertEqual(self.began()[b"stuck"], 1)

    def test_result_is_heard(self) -> None:
        """The outcome of a slow script arrives promptly after the requests behind it were taken back."""
        self.warm_up()
        for number in range(8):
            self.submit(f"nap{number}", b"nap", b"0.03")
            self.submit(f"{number}", b"quick")
        started = time.monotonic()
        self.until(lambda: len(self.finished) == 216)
        self.assertLess(time.monotonic() - started, SECONDS / 2)

    def test_abandon(self) -> None:
        """Abandoning a pool kills its children."""
        self.submit("stuck", b"sleep")
        while b"stuck" not in self.began():
            time.sleep(0.01)
        (pid,) = set(children_of(os.getpid())) - set(self.others)
        stopped = self.pool.stop()
        self.assertEqual(self.pool.abandon(), 1)
        self.successResultOf(stopped)
        self.until(lambda: not self.pool._slots)
        self.assertFalse(is_alive(pid))
        self.assertEqual(self.finished, {})


class LimitTests(PrefetchCase):
    """Time limits with prefetched requests behind the script."""

    limit = 0.2

    def test_killed(self) -> None:
        """A script that does not end is killed at its limit, and the requests behind it succeed."""
        self.warm_up()
        for number in range(4):
            self.submit(f"stuck{number}", b"sleep")
            self.submit(f"{number}", b"quick")
        self.stop()
        for number in range(4):
            stuck, quick = self.finished[b"stuck%d" % number], self.finished[b"%d" % number]
            assert stuck is not None and quick is not None
            self.assertIsInstance(stuck.error, LimitExceeded)
            self.assertEqual(quick.output, b"QUICK")
        self.assertEqual(self.pool.replaced, 0)


class CallTests(PrefetchCase):
    """Calls of scripts that block a thread of the pool."""

    size = 1
    limit = 0.2

    def setUp(self) -> None:
        super().setUp()
        self.asked, self.release = Event(), Event()
        self.addCleanup(self.release.set)

    def answer(self, _request: Request, octets: bytes) -> bytes:
        """Answer when the test allows it."""
        self.asked.set()
        self.release.wait(SECONDS)
        return octets

    def test_never_answered(self) -> None:
        """A thread whose call is never answered is replaced, and its replacement runs the next request."""
        self.warm_up()
        self.submit("call", b"call")
        self.submit("behind", b"quick")
        self.assertTrue(self.asked.wait(SECONDS))
        now = 0.0
        while not self.pool.replaced:
            now += 1.0
            self.assertLess(now, 100)
            self.pool.watch(now)
        self.until(lambda: len(self.finished) == 202)
        outcome = self.finished[b"call"]
        assert outcome is not None
        self.assertIsInstance(outcome.error, LimitExceeded)
        self.release.set()
        self.until(lambda: not self.pool.stuck)
        self.assertEqual(self.twice, [])

"""The pool with real threads, under a reactor that the test drives."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Event, current_thread

from alaska.lua.request import Outcome, Request
from alaska.pool.pool import PoolState
from tests.pool.hand_reactor import SECONDS
from tests.pool.pool_case import FakeRunner, PoolCase


class OneThreadTests(PoolCase):
    """A pool of one thread."""

    def test_in_order(self) -> None:
        """One thread finishes requests in the order of their submission, each with its own outcome."""
        self.submit(b"a", b"b", b"c")
        self.finish(3)
        self.assertEqual(self.finished, [(b"a", b"A"), (b"b", b"B"), (b"c", b"C")])

    def test_finished_in_the_reactors_thread(self) -> None:
        """Requests are reported as finished only in the reactor's thread."""
        self.submit(b"a")
        call = self.reactor.calls.get(timeout=SECONDS)
        self.assertEqual(self.finished, [])
        call()
        self.assertEqual(self.finished, [(b"a", b"A")])

    def test_pending(self) -> None:
        """A submitted request is pending until it is finished, also while it runs."""
        release = self.hold(b"a")
        self.submit(b"b")
        self.assertEqual(self.pool.pending, 2)
        release.set()
        self.finish(2)
        self.assertEqual(self.pool.pending, 0)

    def test_one_wake_up_for_many(self) -> None:
        """The reactor is woken once for all requests that finish before it collects them."""
        release = self.hold(b"first")
        self.submit(*(b"%d" % number for number in range(50)))
        begun, _ = self.make_held(b"last")
        self.submit(b"last")
        release.set()
        self.assertTrue(begun.wait(SECONDS))
        self.assertEqual(self.reactor.calls.qsize(), 1)
        self.reactor.step()
        self.assertEqual(len(self.finished), 51)

    def test_woken_again(self) -> None:
        """A request that finishes after the reactor has collected wakes it again."""
        for number in range(1, 4):
            self.submit(b"again")
            self.reactor.step()
            self.assertEqual(len(self.finished), number)

    def test_runner_fails(self) -> None:
        """If a runner raises, this is logged, the request is finished without an outcome, and the thread continues."""
        self.runners.work[b"bad"] = lambda: int("no number")
        self.submit(b"bad", b"good")
        self.finish(2)
        self.assertEqual(self.finished, [(b"bad", None), (b"good", b"GOOD")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_finished_fails(self) -> None:
        """If ``finished`` raises, this is logged, and the other requests are still finished."""
        finished: list[bytes] = []

        def fail_once(request: Request, _outcome: Outcome | None) -> None:
            finished.append(request.subject)
            if request.subject == b"a":
                raise OSError("the terminal is gone")

        self.pool = self.make_pool(self.runners.make_runner, fail_once)
        self.pool.start()
        self.submit(b"a", b"b")
        self.stop()
        self.assertEqual(finished, [b"a", b"b"])
        self.assertEqual(self.pool.pending, 0)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class StateTests(PoolCase):
    """The state of the slots."""

    size = 2

    def test_states(self) -> None:
        """Slots are idle or running, and requests that no slot has taken are queued."""
        begun, may_end = Event(), Event()

        def work() -> None:
            begun.set()
            may_end.wait(SECONDS)

        self.runners.work[b"slow"] = work
        self.assertEqual(self.pool.state(), PoolState(idle=2))
        self.submit(b"slow")
        begun.wait(SECONDS)
        self.assertEqual(self.pool.state(), PoolState(idle=1, running=1))
        may_end.set()
        self.finish(1)
        self.assertEqual(self.pool.state(), PoolState(idle=2))

    def test_memory(self) -> None:
        """The memory is that of the runners that know theirs."""

        class Large(FakeRunner):
            memory = 1000

        self.pool = self.make_pool(lambda: Large(self.runners), self.note)
        self.pool.start()
        self.addCleanup(self.pool.abandon)
        self.submit(b"one")
        self.finish(1)
        self.assertEqual(self.pool.state().memory, 1000)


class TellTests(PoolCase):
    """Calls in the reactor before the end of a request."""

    limit = 0.1

    def test_order(self) -> None:
        """The call is made before the request is finished, and after the request before it is."""

        def tell(text: bytes) -> Callable[[], None]:
            return lambda: self.pool.tell(lambda: self.finished.append((text, None)))

        self.runners.work[b"b"] = tell(b"of b")
        self.runners.work[b"c"] = tell(b"of c")
        self.submit(b"a", b"b", b"c")
        self.finish(5)
        self.assertEqual([text for text, _ in self.finished], [b"a", b"of b", b"b", b"of c", b"c"])

    def test_given_up(self) -> None:
        """A call from a thread that was given up is not made."""
        begun, may_go_on = Event(), Event()
        told: list[str] = []

        def tell() -> None:
            begun.set()
            may_go_on.wait(SECONDS)
            self.pool.tell(lambda: told.append("late"))

        self.runners.work[b"stuck"] = tell
        self.submit(b"stuck")
        self.assertTrue(begun.wait(SECONDS))
        for second in range(5):
            self.pool.watch(float(second))
            self.reactor.turn()
        self.finish(1)
        may_go_on.set()
        self.submit(b"next")
        self.finish(2)
        self.stop()
        self.assertEqual((told, self.finished[-1]), ([], (b"next", b"NEXT")))


class RunnerTests(PoolCase):
    """The threads that make, use and close runners."""

    size = 2

    def test_concurrent(self) -> None:
        """As many requests run concurrently as there are threads."""
        barrier = Barrier(self.size)
        self.runners.work[b"meet"] = lambda: barrier.wait(SECONDS)
        self.submit(b"meet", b"meet")
        self.finish(2)
        self.assertEqual(self.finished, [(b"meet", b"MEET")] * 2)

    def test_few_threads(self) -> None:
        """Short requests are run by one thread, while the others sleep."""
        made: list[int] = []
        # On a busy machine a thread may be so slow that another is woken, but not in every round.
        while 1 not in made and len(made) < 20:
            self.setUp()
            for _ in range(20):
                self.submit(*[b"quick"] * 50)
                self.finish(len(self.runners.ran))
            self.stop()
            self.assertEqual(len(self.runners.ran), 1000)
            made.append(len(self.runners.made))
        self.assertIn(1, made)

    def test_spread(self) -> None:
        """A request that waits behind a slow one is run by a thread that is woken for it."""
        release = self.hold(b"long")
        self.submit(b"quick")
        self.finish(1)
        self.assertEqual(self.finished, [(b"quick", b"QUICK")])
        release.set()
        self.finish(2)

    def test_one_runner_a_thread(self) -> None:
        """Each thread has one runner, which it makes, uses and closes itself."""
        barrier = Barrier(self.size)
        self.runners.work[b"meet"] = lambda: barrier.wait(SECONDS)
        self.submit(*[b"meet"] * 6)
        self.stop()
        threads = {thread for _, thread in self.runners.ran}
        self.assertEqual(len(threads), 2)
        self.assertEqual(set(self.runners.made), threads)
        self.assertEqual(set(self.runners.closed), threads)
        self.assertEqual((len(self.runners.made), len(self.runners.closed)), (2, 2))
        self.assertNotIn(current_thread(), threads)

    def test_runner_cannot_be_made(self) -> None:
        """If a runner cannot be made, the request has no outcome, and another runner is made for the next request."""
        makers: list[Callable[[], FakeRunner]] = [self.runners.make_runner, self.fail]

        def make_runner() -> FakeRunner:
            return makers.pop()()

        self.size = 1
        self.pool = self.make_pool(make_runner, self.note)
        self.pool.start()
        self.submit(b"first", b"second")
        self.stop()
        self.assertEqual(self.finished, [(b"first", None), (b"second", b"SECOND")])
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 1)

    def test_threads_do_not_keep_the_process(self) -> None:
        """A script that never ends does not keep the process from exiting."""
        self.hold(b"endless")
        ((_, thread),) = self.runners.ran
        self.assertTrue(thread.daemon)

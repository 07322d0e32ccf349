"""The pool: real threads, and a reactor that does what threads ask of it when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Event, Thread, current_thread
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import LimitExceeded
from alaska.interfaces import Reactor
from alaska.lua.request import Outcome, Request
from alaska.pool.pool import MOST_LOST, PATIENCE_SECONDS, Pool
from tests.pool.hand_reactor import SECONDS, HandReactor


class Workbench:
    """What the runners of a pool do: note who did what, and what ``work`` says for a subject."""

    def __init__(self) -> None:
        self.made: list[Thread] = []
        self.ran: list[tuple[bytes, Thread]] = []
        self.closed: list[Thread] = []
        self.work: dict[bytes, Callable[[], object]] = {}

    def make_runner(self) -> Bench:
        """Make a runner in the thread that calls."""
        self.made.append(current_thread())
        return Bench(self)


class Bench:
    """One runner: its output is the subject in capital letters."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.pool.Runner`."""
        self._workbench.ran.append((request.subject, current_thread()))
        self._workbench.work.get(request.subject, lambda: None)()
        return Outcome(output=request.subject.upper())

    def close(self) -> None:
        """See :class:`alaska.pool.pool.Runner`."""
        self._workbench.closed.append(current_thread())


class PoolTestCase(SynchronousTestCase):
    """A workbench, and a pool that is stopped after the test."""

    size = 1
    limit: float | None = None

    def setUp(self) -> None:
        self.reactor = HandReactor()
        self.workbench = Workbench()
        self.finished: list[tuple[bytes, bytes | None]] = []
        self.pool = self.make_pool(self.workbench.make_runner, self.note)
        self.pool.start()
        self.addCleanup(self.pool.abandon)

    def make_pool(self, make_runner: Callable[[], Bench], finished: Callable[[Request, Outcome | None], None]) -> Pool:
        """Make a pool under the reactor in the test's hand."""
        return Pool(cast("Reactor", self.reactor), self.size, make_runner, finished, self.limit)

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Note a finished request, by its subject, and its output."""
        self.finished.append((request.subject, None if outcome is None else outcome.output))

    def submit(self, *subjects: bytes) -> None:
        """Submit requests."""
        for subject in subjects:
            self.pool.submit(Request(b"sender", b"service", subject, b"", ()))
        self.reactor.turn()

    def finish(self, count: int) -> None:
        """Let the reactor work until so many requests are finished."""
        while len(self.finished) < count:
            self.reactor.step()

    def stop(self) -> None:
        """Stop the pool, and let the reactor work until it has stopped."""
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        while not stopped:
            self.reactor.step()

    def work_until_ended(self, count: int) -> None:
        """Let the reactor work until so many runners are closed and their threads have said that they end."""
        while len(self.workbench.closed) < count or not self.reactor.calls.empty():
            self.reactor.step()

    def hold(self, subject: bytes) -> Event:
        """Let the request with this subject last until the returned event is set; return when it has begun."""
        begun, release = Event(), Event()

        def work() -> None:
            begun.set()
            release.wait(SECONDS)

        self.addCleanup(release.set)
        self.workbench.work[subject] = work
        self.submit(subject)
        self.assertTrue(begun.wait(SECONDS))
        return release


class OneThreadTests(PoolTestCase):
    """A pool of one thread."""

    def test_in_order(self) -> None:
        """One thread finishes requests in the order in which they were submitted, each with its own outcome."""
        self.submit(b"a", b"b", b"c")
        self.finish(3)
        self.assertEqual(self.finished, [(b"a", b"A"), (b"b", b"B"), (b"c", b"C")])

    def test_finished_in_the_reactors_thread(self) -> None:
        """Nothing is told to be finished before the reactor does what the threads asked it to do."""
        self.submit(b"a")
        call = self.reactor.calls.get(timeout=SECONDS)
        self.assertEqual(self.finished, [])
        call()
        self.assertEqual(self.finished, [(b"a", b"A")])

    def test_pending(self) -> None:
        """What is submitted is pending until it is finished, also while it runs."""
        release = self.hold(b"a")
        self.submit(b"b")
        self.assertEqual(self.pool.pending, 2)
        release.set()
        self.finish(2)
        self.assertEqual(self.pool.pending, 0)

    def test_one_wake_up_for_many(self) -> None:
        """The reactor is woken once for all that is finished before it gets to look."""
        release = self.hold(b"first")
        self.submit(*(b"%d" % number for number in range(50)))
        release.set()
        collect = self.reactor.calls.get(timeout=SECONDS)
        collect()
        self.assertEqual(len(self.finished), 51)
        self.assertTrue(self.reactor.calls.empty())

    def test_woken_again(self) -> None:
        """What is finished after the reactor has looked wakes it again."""
        for number in range(1, 4):
            self.submit(b"again")
            self.reactor.step()
            self.assertEqual(len(self.finished), number)

    def test_runner_fails(self) -> None:
        """A runner that raises is logged, its request is finished without an outcome, and the thread goes on."""
        self.workbench.work[b"bad"] = lambda: int("no number")
        self.submit(b"bad", b"good")
        self.finish(2)
        self.assertEqual(self.finished, [(b"bad", None), (b"good", b"GOOD")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_finished_fails(self) -> None:
        """A request whose end cannot be dealt with is logged and costs no other its end."""
        finished: list[bytes] = []

        def fail_once(request: Request, _outcome: Outcome | None) -> None:
            finished.append(request.subject)
            if request.subject == b"a":
                raise OSError("the terminal is gone")

        self.pool = self.make_pool(self.workbench.make_runner, fail_once)
        self.pool.start()
        self.submit(b"a", b"b")
        self.stop()
        self.assertEqual(finished, [b"a", b"b"])
        self.assertEqual(self.pool.pending, 0)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)


class TellTests(PoolTestCase):
    """What is told of a request before its end."""

    limit = 0.1

    def test_order(self) -> None:
        """It is told before the end of the request, and behind the end of the one before."""

        def tell(text: bytes) -> Callable[[], None]:
            return lambda: self.pool.tell(lambda: self.finished.append((text, None)))

        self.workbench.work[b"b"] = tell(b"of b")
        self.workbench.work[b"c"] = tell(b"of c")
        self.submit(b"a", b"b", b"c")
        self.finish(5)
        self.assertEqual([text for text, _ in self.finished], [b"a", b"of b", b"b", b"of c", b"c"])

    def test_given_up(self) -> None:
        """What a thread has to tell that was given up is told to nobody."""
        begun, may_go_on = Event(), Event()
        told: list[str] = []

        def tell() -> None:
            begun.set()
            may_go_on.wait(SECONDS)
            self.pool.tell(lambda: told.append("late"))

        self.workbench.work[b"stuck"] = tell
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


class RunnerTests(PoolTestCase):
    """Who makes, uses and closes runners."""

    size = 2

    def test_at_once(self) -> None:
        """As many requests run at once as there are threads."""
        barrier = Barrier(self.size)
        self.workbench.work[b"meet"] = lambda: barrier.wait(SECONDS)
        self.submit(b"meet", b"meet")
        self.finish(2)
        self.assertEqual(self.finished, [(b"meet", b"MEET")] * 2)

    def test_few_threads(self) -> None:
        """What is over in no time is done by one thread, while the others sleep."""
        made: list[int] = []
        # On a busy machine a thread may be held up for so long that another is woken; not every time.
        while 1 not in made and len(made) < 20:
            self.setUp()
            for _ in range(20):
                self.submit(*[b"quick"] * 50)
                self.finish(len(self.workbench.ran))
            self.stop()
            self.assertEqual(len(self.workbench.ran), 1000)
            made.append(len(self.workbench.made))
        self.assertIn(1, made)

    def test_spread(self) -> None:
        """A request that waits behind one that takes long is done by a thread that is woken for it."""
        release = self.hold(b"long")
        self.submit(b"quick")
        self.finish(1)
        self.assertEqual(self.finished, [(b"quick", b"QUICK")])
        release.set()
        self.finish(2)

    def test_one_runner_a_thread(self) -> None:
        """Each runner is made, used and closed in one and the same thread, which has no other."""
        barrier = Barrier(self.size)
        self.workbench.work[b"meet"] = lambda: barrier.wait(SECONDS)
        self.submit(*[b"meet"] * 6)
        self.stop()
        threads = {thread for _, thread in self.workbench.ran}
        self.assertEqual(len(threads), 2)
        self.assertEqual(set(self.workbench.made), threads)
        self.assertEqual(set(self.workbench.closed), threads)
        self.assertEqual((len(self.workbench.made), len(self.workbench.closed)), (2, 2))
        self.assertNotIn(current_thread(), threads)

    def test_runner_cannot_be_made(self) -> None:
        """While no runner can be made, each request is finished without an outcome; later ones find a new one."""
        makers: list[Callable[[], Bench]] = [self.workbench.make_runner, self.fail]

        def make_runner() -> Bench:
            return makers.pop()()

        self.size = 1
        self.pool = self.make_pool(make_runner, self.note)
        self.pool.start()
        self.submit(b"first", b"second")
        self.stop()
        self.assertEqual(self.finished, [(b"first", None), (b"second", b"SECOND")])
        self.assertEqual(len(self.flushLoggedErrors(self.failureException)), 1)

    def test_threads_do_not_keep_the_process(self) -> None:
        """A script that never ends does not keep the process from ending."""
        self.hold(b"endless")
        ((_, thread),) = self.workbench.ran
        self.assertTrue(thread.daemon)


class StopTests(PoolTestCase):
    """Ends, in order and in haste."""

    def test_stop_finishes(self) -> None:
        """Stop fires when all that was submitted is finished, not before."""
        release = self.hold(b"a")
        self.submit(b"b")
        stopped = self.pool.stop()
        self.assertNoResult(stopped)
        finished_by_then = stopped.addCallback(lambda _: list(self.finished))
        release.set()
        while not stopped.called:
            self.reactor.step()
        self.assertEqual(self.successResultOf(finished_by_then), [(b"a", b"A"), (b"b", b"B")])

    def test_stop_with_nothing_to_do(self) -> None:
        """A pool that was never given anything stops, without a runner having been made."""
        self.stop()
        self.assertEqual(self.workbench.made, [])

    def test_stop_before_start(self) -> None:
        """A pool that was never started stops at once."""
        pool = self.make_pool(self.workbench.make_runner, self.note)
        self.successResultOf(pool.stop())

    def test_abandon(self) -> None:
        """What is abandoned is counted, begun or not, and none of it is finished later."""
        release = self.hold(b"begun")
        self.submit(b"waiting", b"waiting")
        self.assertEqual(self.pool.abandon(), 3)
        self.assertEqual(self.pool.pending, 0)
        release.set()
        self.work_until_ended(1)
        self.assertEqual(self.finished, [])
        self.assertEqual([subject for subject, _ in self.workbench.ran], [b"begun"])

    def test_abandon_collects_first(self) -> None:
        """What was done before is finished, even if the reactor had not got to it."""
        self.submit(b"done")
        self.hold(b"begun")
        self.assertEqual(self.pool.abandon(), 1)
        self.assertEqual(self.finished, [(b"done", b"DONE")])

    def test_abandon_ends_a_stop(self) -> None:
        """A stop that takes too long fires when the pool is abandoned; threads end all the same when they can."""
        release = self.hold(b"begun")
        stopped = self.pool.stop()
        self.assertNoResult(stopped)
        self.assertEqual(self.pool.abandon(), 1)
        self.successResultOf(stopped)
        release.set()
        self.work_until_ended(1)
        self.assertEqual(self.finished, [])


class StuckTests(PoolTestCase):
    """Threads that do not come back."""

    limit: float | None = 1.0

    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        self.pool.watch(self.now)
        self.outcomes: dict[bytes, Outcome | None] = {}

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Note a finished request with all that came of it."""
        super().note(request, outcome)
        self.outcomes[request.subject] = outcome

    def pass_time(self, seconds: float) -> None:
        """Let the pool be looked after for so long."""
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            self.pool.watch(self.now)

    def lose(self, subject: bytes) -> Event:
        """Let a thread be stuck for so long that it is given up; return what frees it."""
        release = self.hold(subject)
        self.pass_time(0.1)
        self.pass_time(self.limit or 0.0)
        self.pass_time(PATIENCE_SECONDS)
        return release

    def test_reported(self) -> None:
        """A request is reported when its time is over and some more; not before, and with the limit named."""
        self.hold(b"stuck")
        self.pass_time(1.4)
        self.assertEqual((self.finished, self.pool.replaced), ([], 0))
        self.pass_time(0.2)
        outcome = self.outcomes[b"stuck"]
        assert outcome is not None
        self.assertIsInstance(outcome.error, LimitExceeded)
        self.assertEqual(
            str(outcome.error), "it did not end within 1 s, and nothing could end it (worker/scripts/timeout)"
        )
        self.assertGreater(outcome.seconds, 1.4)
        self.assertEqual((self.pool.pending, self.pool.replaced, self.pool.lost), (0, 1, 1))

    def test_replaced(self) -> None:
        """Another thread with another runner does what comes next."""
        self.lose(b"stuck")
        self.submit(b"next")
        self.finish(2)
        self.assertEqual(self.finished[1:], [(b"next", b"NEXT")])
        self.assertEqual(len(self.workbench.made), 2)

    def test_comes_back(self) -> None:
        """What comes of it after all is dropped; the thread closes its runner and ends, and is counted no longer."""
        release = self.lose(b"stuck")
        release.set()
        self.work_until_ended(1)
        self.assertEqual(self.finished, [(b"stuck", b"")])
        self.assertEqual((self.pool.replaced, self.pool.lost), (1, 0))
        self.submit(b"next")
        self.finish(2)
        self.assertNotEqual(self.workbench.ran[1][1], self.workbench.ran[0][1])

    def test_slow_ones(self) -> None:
        """The time is that of one request: a thread that ends one after the other is not stuck."""
        for number in range(5):
            release = self.hold(b"%d" % number)
            self.pass_time(1.3)
            release.set()
            self.finish(number + 1)
        self.assertEqual((self.pool.replaced, len(self.finished)), (0, 5))

    def test_at_rest(self) -> None:
        """A thread with nothing to do is not stuck, however long that takes."""
        self.pass_time(10)
        self.submit(b"next")
        self.finish(1)
        self.assertEqual(self.pool.replaced, 0)

    def test_clock_is_set(self) -> None:
        """A clock that is set, or a machine that slept, costs nobody a thread."""
        self.hold(b"work")
        self.pool.watch(self.now)
        self.pool.watch(self.now + 3600)
        self.pool.watch(self.now - 3600)
        self.assertEqual(self.pool.replaced, 0)

    def test_no_limit(self) -> None:
        """Without a limit, scripts may take any time."""
        self.limit = None
        self.pool = self.make_pool(self.workbench.make_runner, self.note)
        self.pool.start()
        self.hold(b"long")
        self.pass_time(100)
        self.assertEqual(self.pool.replaced, 0)

    def test_stop(self) -> None:
        """A pool stops without waiting for threads that were given up."""
        self.lose(b"stuck")
        self.submit(b"last")
        self.stop()
        self.assertEqual([subject for subject, _ in self.finished], [b"stuck", b"last"])

    def test_stuck_while_it_stops(self) -> None:
        """A thread that is stuck while the pool stops is given up as well, and what waits is finished."""
        self.hold(b"stuck")
        self.submit(b"last")
        stopped: list[None] = []
        self.pool.stop().addCallback(stopped.append)
        self.pass_time(2)
        while not stopped:
            self.reactor.step()
        self.assertEqual([subject for subject, _ in self.finished], [b"stuck", b"last"])

    def test_exhausted(self) -> None:
        """With so many threads given up and still running there are too many; with one less there are not."""
        releases = [self.lose(b"%d" % number) for number in range(MOST_LOST)]
        self.assertTrue(self.pool.is_exhausted)
        releases[0].set()
        self.work_until_ended(1)
        self.assertFalse(self.pool.is_exhausted)
        self.assertEqual(self.pool.lost, MOST_LOST - 1)

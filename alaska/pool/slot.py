"""A slot of the pool: a thread with its runner and the requests that it has taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Protocol, runtime_checkable

from twisted.logger import Logger

from alaska.lua.request import Outcome, Request
from alaska.pool.claims import Batch, Claims
from alaska.pool.queue import Queue

Ended = tuple[Request, "Outcome | None"]
"""A request and its outcome; None if the runner itself failed."""


class Runner(Protocol):
    """Runs scripts for one thread of the pool, which alone makes, uses and closes it."""

    def run(self, request: Request) -> Outcome:
        """Run the script of a request. An exception is a fault of the runner; the outcome has the script's errors."""

    def close(self) -> None:
        """Free the runner's resources."""


@runtime_checkable
class SupportsMemory(Runner, Protocol):
    """A runner that knows how much memory it uses."""

    @property
    def memory(self) -> int:
        """The memory in octets; any thread may read it."""


class Work(Protocol):
    """The interface of a slot for a prefetching runner.

    All methods may raise :class:`Abandoned`, which the runner must not catch.
    """

    def take(self, most: int) -> list[Request]:
        """Take up to ``most`` requests from the queue without waiting, and return them."""

    def finished(self, outcomes: list[Outcome]) -> None:
        """Record the outcomes of the oldest requests that the slot has taken."""

    def requeue(self, count: int) -> None:
        """Return the newest ``count`` requests that the slot has taken to the queue; none of them has begun."""


@runtime_checkable
class SupportsPrefetch(Runner, Protocol):
    """A runner that prefetches requests from the queue, and that can be killed while it runs."""

    patience: float
    """How many seconds after the time limit the pool waits before it gives the slot up."""

    def run_prefetching(self, request: Request, work: Work) -> None:
        """Run a request and others from the queue; on return all taken requests are finished or requeued."""

    def prepare(self) -> None:
        """Get ready for the next request while there is none."""

    def kill(self) -> None:
        """End the running script at once. This is the only method that other threads may call."""


@runtime_checkable
class SupportsBatches(Runner, Protocol):
    """A runner that can run several requests as one batch, and shows other threads its progress by claims."""

    claims: Claims

    def depth(self, request: Request) -> int:
        """Return the best size of a batch that begins with this request, estimated from earlier run times."""

    def fit(self, requests: Sequence[Request]) -> int:
        """Return how many of these requests, from the first on, can run as one batch."""

    def run_batch(self, requests: Sequence[Request]) -> Outcome | None:
        """Run the requests that :meth:`fit` accepted last, in order, until one produces output, sends or an error.

        A claim is taken before each request but the first; the batch ends where there is none. Return the outcome of
        the last request that has begun; None if it, like all before it, ended without anything to report.
        """


class Abandoned(Exception):
    """The slot was given up: the results of its thread are ignored."""


class Slot:
    """A thread that takes requests from a queue and runs them in order.

    ``deliver`` is called with ended requests, in the thread or in the reactor. The thread calls ``ending`` before it
    ends, and ``request_check`` when it has taken a batch, so that the pool soon checks its progress. ``share`` is the
    number of slots, so that one slot does not take all requests.
    """

    _log = Logger()

    def __init__(
        self,
        queue: Queue,
        share: int,
        make_runner: Callable[[], Runner],
        deliver: Callable[[Sequence[Ended | Callable[[], None]]], None],
        ending: Callable[[Slot], None],
        request_check: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._share = share
        self._make_runner = make_runner
        self._deliver = deliver
        self._ending = ending
        self._request_check = request_check
        self._runner: Runner | None = None
        self._prefetcher: SupportsPrefetch | None = None
        self._batcher: SupportsBatches | None = None
        self._batch: Batch | None = None
        # The thread holds it to report requests, the reactor to give the slot up: so each request is reported once.
        self._lock = Lock()
        self._taken: deque[Request] = deque()
        self._ended = 0
        self._is_abandoned = False
        self._ended_at_check = -1
        self._counted = 0
        self._stalled_seconds = 0.0

    def start(self, name: str) -> None:
        """Start the thread."""
        # A daemon thread, so that a script that never ends cannot keep the process from exiting.
        Thread(target=self._work, name=name, daemon=True).start()

    # In the reactor

    @property
    def is_running(self) -> bool:
        """Whether there are requests that it has taken and not ended."""
        return bool(self._taken)

    @property
    def memory(self) -> int:
        """The memory of its runner in octets; 0 if that is unknown."""
        return self._runner.memory if isinstance(self._runner, SupportsMemory) else 0

    @property
    def taken(self) -> list[Request]:
        """The requests that it has taken and not ended."""
        with self._lock:
            return list(self._taken)

    @property
    def is_in_batch(self) -> bool:
        """Whether it runs a batch, so that requests may wait behind a slow script."""
        return self._batch is not None

    def count_ended(self) -> int:
        """Return the number of requests that it has ended since the last call."""
        self._report_batch_progress()
        ended = self._ended
        since, self._counted = ended - self._counted, ended
        return since

    def release(self) -> None:
        """Return the requests of its batch that have not begun to the queue."""
        with self._lock:
            if self._batch is not None:
                self._queue.requeue(self._withdraw(self._batch))

    def _report_batch_progress(self) -> None:
        """Deliver the requests of the running batch that have ended."""
        ended: list[Ended] = []
        with self._lock:
            batch = self._batch
            if batch is not None:
                ended = self._pop_ended(batch, batch.begun - 1)
        if ended:
            self._deliver(ended)

    def _pop_ended(self, batch: Batch, upto: int, last: Outcome | None = None) -> list[Ended]:
        """Mark the first ``upto`` requests of a batch as ended; return those that were not before.

        ``last`` is the outcome of the last of them, if it has anything to report.
        """
        outcome = Outcome(seconds=batch.seconds_each(upto))
        ended: list[Ended] = [(self._taken.popleft(), outcome) for _ in range(upto - batch.ended)]
        if ended and last is not None:
            ended[-1] = ended[-1][0], last
        batch.ended = upto
        self._ended += len(ended)
        return ended

    def _withdraw(self, batch: Batch) -> list[Request]:
        """Cancel and return the requests of a batch that have not begun, in order."""
        withdrawn = [self._taken.pop() for _ in range(batch.withdraw())]
        withdrawn.reverse()
        return withdrawn

    def overdue(self, elapsed: float, limit: float, patience: float) -> tuple[Request, float] | None:
        """Give the slot up if its script has run for too long; return its request and the seconds it has run.

        ``elapsed`` is the time since the last call, ``limit`` the time limit of a script, and ``patience`` the time
        after the limit before the thread is given up; all in seconds.
        """
        self._report_batch_progress()
        if not self._taken or self._ended != self._ended_at_check:
            self._ended_at_check = self._ended
            self._stalled_seconds = 0.0
            return None
        self._stalled_seconds += elapsed
        if self._prefetcher is not None:
            patience = self._prefetcher.patience
        if self._stalled_seconds <= limit + patience:
            return None
        self.release()
        self._report_batch_progress()
        with self._lock:
            if not self._taken or self._ended != self._ended_at_check:
                return None
            overdue = self._taken.popleft()
            self._abandon()
        return overdue, self._stalled_seconds

    def abandon(self) -> None:
        """Give the slot up; its thread ends after the script that it runs."""
        with self._lock:
            if self._batch is not None:
                self._withdraw(self._batch)
            self._taken.clear()
            self._abandon()

    def _abandon(self) -> None:
        self._is_abandoned = True
        self._batch = None
        self._queue.requeue_and_wake(list(self._taken))
        self._taken.clear()
        if self._prefetcher is not None:
            self._prefetcher.kill()

    # In the thread; take, finished and requeue implement Work

    def take(self, most: int) -> list[Request]:
        """See :class:`Work`."""
        taken = self._queue.take(min(most, 1 + len(self._queue) // self._share))
        if taken:
            with self._lock:
                if self._is_abandoned:
                    self._queue.requeue_and_wake(taken)
                    raise Abandoned
                self._taken.extend(taken)
        return taken

    def finished(self, outcomes: list[Outcome]) -> None:
        """See :class:`Work`."""
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            ended: list[Ended] = [(self._taken.popleft(), outcome) for outcome in outcomes]
            self._ended += len(ended)
        self._deliver(ended)

    def call_in_order(self, call: Callable[[], None]) -> None:
        """Deliver a call for the reactor, in order with the requests that this thread ends.

        :raises Abandoned: the slot was given up.
        """
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            self._deliver([call])

    def requeue(self, count: int) -> None:
        """See :class:`Work`."""
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            newest = [self._taken.pop() for _ in range(count)]
        newest.reverse()
        self._queue.requeue_and_wake(newest)

    def _work(self) -> None:
        bell: SimpleQueue[None] = SimpleQueue()
        try:
            while (request := self._queue.get(bell)) is not None:
                self._taken.append(request)
                self._serve(request)
        except Abandoned:
            pass
        finally:
            if self._runner is not None:
                self._runner.close()
            self._ending(self)

    def _serve(self, request: Request) -> None:
        try:
            if self._runner is None:
                self._runner = self._make_runner()
                if isinstance(self._runner, SupportsPrefetch):
                    self._prefetcher = self._runner
                elif isinstance(self._runner, SupportsBatches):
                    self._batcher = self._runner
            if self._batcher is not None and (batch := self._take_batch(self._batcher, request)):
                self._run_batch(self._batcher, batch)
            elif self._prefetcher is None:
                self.finished([self._runner.run(request)])
            else:
                self._prefetcher.run_prefetching(request, self)
                self._prefetcher.prepare()
        except Abandoned:
            raise
        except Exception:  # The thread must survive, and the request must be answered.
            self._log.failure("a runner failed")
            self._failed()

    def _take_batch(self, runner: SupportsBatches, request: Request) -> list[Request]:
        """Take more requests for a batch that begins with ``request``; return the batch, or nothing if there is none.

        There are no batches while all threads are awake: scripts are slow then, and requests would wait in the batch.
        """
        asleep = self._queue.kept_asleep
        if not len(self._queue) or not (asleep or self._share == 1):
            return []
        most = min(runner.depth(request), 1 + len(self._queue) // max(1, self._share - asleep))
        if most < 2:
            return []
        taken = self._queue.take(most - 1)
        batch = [request, *taken]
        fitting = runner.fit(batch)
        if fitting < len(batch):
            self._queue.requeue(batch[max(1, fitting) :])
        if fitting > 1:
            with self._lock:
                if self._is_abandoned:
                    self._queue.requeue_and_wake(batch[1:fitting])
                    raise Abandoned
                self._taken.extend(batch[1:fitting])
                self._batch = Batch(runner.claims, fitting)
        if taken:
            self._request_check()
        return batch[:fitting] if fitting > 1 else []

    def _run_batch(self, runner: SupportsBatches, requests: list[Request]) -> None:
        last = runner.run_batch(requests)
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            assert self._batch is not None
            ended = self._pop_ended(self._batch, self._batch.close(), last)
            # Requeue first: a thread that sees no batch here must find its requests in the queue.
            self._queue.requeue(self._taken)
            self._taken.clear()
            self._batch = None
        self._deliver(ended)

    def _failed(self) -> None:
        """Finish the oldest request without an outcome, and requeue those behind it."""
        self._report_batch_progress()
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            if self._batch is not None:
                self._batch.close()
                self._batch = None
            if not self._taken:
                return
            failed = self._taken.popleft()
            behind = list(self._taken)
            self._taken.clear()
            self._ended += 1
        self._queue.requeue_and_wake(behind)
        self._deliver([(failed, None)])

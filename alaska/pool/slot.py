"""One place of the pool: a thread with a runner, and the requests that it has taken."""

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
"""A request and what came of it; None where the runner itself failed."""


class Runner(Protocol):
    """What one thread of the pool does; made, used and closed in that thread alone."""

    def run(self, request: Request) -> Outcome:
        """Run the script of a request; to raise is a fault of the runner, not of the script."""

    def close(self) -> None:
        """Let go of what the runner holds."""


class Work(Protocol):
    """What a slot lets its runner do. Each may raise :class:`Abandoned`, which the runner lets pass."""

    def take(self, most: int) -> list[Request]:
        """Return up to so many of the requests that wait, none if none does; the slot has taken them."""

    def finished(self, outcomes: list[Outcome]) -> None:
        """Take note of what came of the oldest requests that the slot has taken."""

    def give_back(self, count: int) -> None:
        """Let others run the newest requests that the slot has taken, of which none has begun."""


@runtime_checkable
class ReadsAhead(Runner, Protocol):
    """A runner that is quicker when it knows what comes next, and can be stopped while it runs."""

    patience: float
    """How many seconds behind the limit of time the pool waits before it gives the slot up."""

    def run_ahead(self, request: Request, work: Work) -> None:
        """Run a request, and others that wait: on return all that the slot has taken is finished or given back."""

    def prepare(self) -> None:
        """Get ready for the next request, while there is none."""

    def kill(self) -> None:
        """End what runs, at once; the one thing that any thread may ask for."""


@runtime_checkable
class RunsBatches(Runner, Protocol):
    """A runner that can run several requests in one go, and lets others see meanwhile how far it is."""

    claims: Claims

    def depth(self, request: Request) -> int:
        """Return how many requests are worth to be run in one go with this one first, as far as is known."""

    def fit(self, requests: Sequence[Request]) -> int:
        """Return how many of these requests, from the first on, can be run in one go."""

    def run_batch(self, requests: Sequence[Request]) -> Outcome | None:
        """Run the requests that fitted just now, in order, until one leaves something to be told.

        Before each but the first a claim is taken; where there is none to be had, that is the end. Return what came of
        the last that has begun: None if that is nothing but its end, as of all before it.
        """


class Abandoned(Exception):
    """The slot was given up: nobody waits any more for what its thread does."""


class Slot:
    """A thread that takes requests from a queue, one after the other.

    ``deliver`` is called with what has ended, in the thread or in the reactor. ``gone`` is called in the thread when it
    is about to end, ``watch`` when it has taken more than it can run at once, so that somebody looks at it soon.
    ``share`` is how many slots there are, so that one which takes several leaves something to the others.
    """

    _log = Logger()

    def __init__(
        self,
        queue: Queue,
        share: int,
        make_runner: Callable[[], Runner],
        deliver: Callable[[Sequence[Ended | Callable[[], None]]], None],
        gone: Callable[[Slot], None],
        watch: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._share = share
        self._make_runner = make_runner
        self._deliver = deliver
        self._gone = gone
        self._watch = watch
        self._runner: Runner | None = None
        self._ahead: ReadsAhead | None = None
        self._batches: RunsBatches | None = None
        self._batch: Batch | None = None
        # Held by the thread when it has ended something, and by the reactor when it gives the slot up: one of them
        # reports a request, and never both.
        self._lock = Lock()
        self._taken: deque[Request] = deque()
        self._ended = 0
        self._is_abandoned = False
        self._seen = -1
        self._looked_at = 0
        self._stalled_seconds = 0.0

    def start(self, name: str) -> None:
        """Start the thread."""
        # A script that never ends must not keep the process from ending, so nothing waits for these threads then.
        Thread(target=self._work, name=name, daemon=True).start()

    # In the reactor

    @property
    def is_running(self) -> bool:
        """Whether it has taken what it has not ended."""
        return bool(self._taken)

    @property
    def taken(self) -> list[Request]:
        """What it has taken and not ended."""
        with self._lock:
            return list(self._taken)

    @property
    def is_in_batch(self) -> bool:
        """Whether it may have taken requests that wait for others of its own."""
        return self._batch is not None

    def look(self) -> int:
        """Return how many requests it has ended since the last look."""
        self._advance()
        ended = self._ended
        since, self._looked_at = ended - self._looked_at, ended
        return since

    def release(self) -> None:
        """Let others run what it has taken and not begun."""
        with self._lock:
            if self._batch is not None:
                self._queue.untake(self._withdraw(self._batch))

    def _advance(self) -> None:
        """Deliver what has ended of a batch that still runs."""
        ended: list[Ended] = []
        with self._lock:
            batch = self._batch
            if batch is not None:
                ended = self._end(batch, batch.begun - 1)
        if ended:
            self._deliver(ended)

    def _end(self, batch: Batch, upto: int, last: Outcome | None = None) -> list[Ended]:
        """Take note that requests of a batch have ended, up to a number of them; return those that end by this."""
        outcome = Outcome(seconds=batch.seconds_each(upto))
        ended: list[Ended] = [(self._taken.popleft(), outcome) for _ in range(upto - batch.ended)]
        if ended and last is not None:
            ended[-1] = ended[-1][0], last
        batch.ended = upto
        self._ended += len(ended)
        return ended

    def _withdraw(self, batch: Batch) -> list[Request]:
        """Return what of a batch has not begun, and now never will, in order."""
        withdrawn = [self._taken.pop() for _ in range(batch.withdraw())]
        withdrawn.reverse()
        return withdrawn

    def overdue(self, elapsed: float, limit: float, patience: float) -> tuple[Request, float] | None:
        """Give the slot up if what it runs has not ended for too long; return what that was, and for how many seconds.

        ``elapsed`` is how many seconds have passed since the last call, ``limit`` how many a script has, ``patience``
        how many more it gets before its thread is given up.
        """
        self._advance()
        if not self._taken or self._ended != self._seen:
            self._seen = self._ended
            self._stalled_seconds = 0.0
            return None
        self._stalled_seconds += elapsed
        if self._ahead is not None:
            patience = self._ahead.patience
        if self._stalled_seconds <= limit + patience:
            return None
        self.release()
        self._advance()
        with self._lock:
            if not self._taken or self._ended != self._seen:
                return None
            overdue = self._taken.popleft()
            self._abandon()
        return overdue, self._stalled_seconds

    def abandon(self) -> None:
        """Give the slot up: its thread ends as soon as it is done with what it has begun."""
        with self._lock:
            if self._batch is not None:
                self._withdraw(self._batch)
            self._taken.clear()
            self._abandon()

    def _abandon(self) -> None:
        self._is_abandoned = True
        self._batch = None
        self._queue.put_back(list(self._taken))
        self._taken.clear()
        if self._ahead is not None:
            self._ahead.kill()

    # In the thread; the next three are what a runner that reads ahead is given

    def take(self, most: int) -> list[Request]:
        """See :class:`Work`."""
        taken = self._queue.take(min(most, 1 + len(self._queue) // self._share))
        if taken:
            with self._lock:
                if self._is_abandoned:
                    self._queue.put_back(taken)
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

    def tell(self, told: Callable[[], None]) -> None:
        """Let something be called in the reactor, in order with what this thread ends.

        :raises Abandoned: the slot was given up.
        """
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            self._deliver([told])

    def give_back(self, count: int) -> None:
        """See :class:`Work`."""
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            newest = [self._taken.pop() for _ in range(count)]
        newest.reverse()
        self._queue.put_back(newest)

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
            self._gone(self)

    def _serve(self, request: Request) -> None:
        try:
            if self._runner is None:
                self._runner = self._make_runner()
                if isinstance(self._runner, ReadsAhead):
                    self._ahead = self._runner
                elif isinstance(self._runner, RunsBatches):
                    self._batches = self._runner
            if self._batches is not None and (batch := self._take_batch(self._batches, request)):
                self._run_batch(self._batches, batch)
            elif self._ahead is None:
                self.finished([self._runner.run(request)])
            else:
                self._ahead.run_ahead(request, self)
                self._ahead.prepare()
        except Abandoned:
            raise
        except Exception:  # The thread must live on, and the request has to be answered.
            self._log.failure("a runner failed")
            self._failed()

    def _take_batch(self, runner: RunsBatches, request: Request) -> list[Request]:
        """Take more requests, to be run in one go with one that is taken; return all of them, none if there are none.

        While all threads are awake, scripts hold them up, and others would wait for those that were taken.
        """
        resting = self._queue.resting
        if not len(self._queue) or not (resting or self._share == 1):
            return []
        most = min(runner.depth(request), 1 + len(self._queue) // max(1, self._share - resting))
        if most < 2:
            return []
        taken = self._queue.take(most - 1)
        batch = [request, *taken]
        fitting = runner.fit(batch)
        if fitting < len(batch):
            self._queue.untake(batch[max(1, fitting) :])
        if fitting > 1:
            with self._lock:
                if self._is_abandoned:
                    self._queue.put_back(batch[1:fitting])
                    raise Abandoned
                self._taken.extend(batch[1:fitting])
                self._batch = Batch(runner.claims, fitting)
        if taken:
            self._watch()
        return batch[:fitting] if fitting > 1 else []

    def _run_batch(self, runner: RunsBatches, requests: list[Request]) -> None:
        last = runner.run_batch(requests)
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            assert self._batch is not None
            ended = self._end(self._batch, self._batch.close(), last)
            # In this order, so that whoever sees no batch sees these wait.
            self._queue.untake(self._taken)
            self._taken.clear()
            self._batch = None
        self._deliver(ended)

    def _failed(self) -> None:
        """Finish the oldest request without an outcome, and let others run those behind it."""
        self._advance()
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
        self._queue.put_back(behind)
        self._deliver([(failed, None)])

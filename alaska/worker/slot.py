"""One place of the pool: a thread with a runner, and the requests that it has taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Protocol, runtime_checkable

from twisted.logger import Logger

from alaska.worker.request import Outcome, Request

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


class Abandoned(Exception):
    """The slot was given up: nobody waits any more for what its thread does."""


class Queue:
    """Requests that wait for a thread: first come, first served. None tells a thread to end.

    A thread that finds nothing, or finds others enough, lies down until its bell is rung. The one that lay down last is
    woken first.
    """

    def __init__(self, resting: int = 0) -> None:
        self._waiting: deque[Request | None] = deque()
        self._bells: deque[SimpleQueue[None]] = deque()
        self.resting = resting
        """How many threads lie down, whatever waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, request: Request | None) -> None:
        """Append a request, for a thread that is awake or will be rung for."""
        self._waiting.append(request)

    def ring(self, most: int) -> int:
        """Wake up to so many threads, but those that are to rest; return how many."""
        woken = min(most, len(self._bells) - self.resting)
        with suppress(IndexError):
            for _ in range(woken):
                self._bells.pop().put(None)
        return max(0, woken)

    def get(self, bell: SimpleQueue[None]) -> Request | None:
        """Return the next, as soon as there is one for the thread whose bell this is."""
        while True:
            if len(self._bells) >= self.resting:
                with suppress(IndexError):
                    return self._waiting.popleft()
            self._bells.append(bell)
            # What came before the bell was there has not rung it, and two may have lain down where one should have.
            if self._waiting and len(self._bells) > self.resting:
                with suppress(ValueError):
                    self._bells.remove(bell)
                    continue
            bell.get()

    def take(self, most: int) -> list[Request]:
        """Return up to so many that wait now, and stand in front of the first None."""
        taken: list[Request] = []
        with suppress(IndexError):
            while len(taken) < most:
                request = self._waiting.popleft()
                if request is None:
                    self._waiting.appendleft(None)
                    self.ring(1)  # for a thread that has just found nothing, and is to end
                    break
                taken.append(request)
        return taken

    def put_back(self, requests: list[Request]) -> None:
        """Put what was taken in front of the others; all threads may be awake for it, until the pool looks again."""
        self._waiting.extendleft(reversed(requests))
        self.resting = 0
        self.ring(len(requests))

    def clear(self) -> None:
        """Forget all that waits, and each None."""
        self._waiting.clear()


class Slot:
    """A thread that takes requests from a queue, one after the other.

    ``deliver`` is called in the thread with what has ended, ``gone`` when the thread is about to end. ``share`` is how
    many slots there are, so that one which reads ahead leaves something to the others.
    """

    _log = Logger()

    def __init__(
        self,
        queue: Queue,
        share: int,
        make_runner: Callable[[], Runner],
        deliver: Callable[[list[Ended]], None],
        gone: Callable[[Slot], None],
    ) -> None:
        self._queue = queue
        self._share = share
        self._make_runner = make_runner
        self._deliver = deliver
        self._gone = gone
        self._runner: Runner | None = None
        self._ahead: ReadsAhead | None = None
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

    def look(self) -> int:
        """Return how many requests it has ended since the last look."""
        ended = self._ended
        since, self._looked_at = ended - self._looked_at, ended
        return since

    def overdue(self, elapsed: float, limit: float, patience: float) -> tuple[Request, float] | None:
        """Give the slot up if what it runs has not ended for too long; return what that was, and for how many seconds.

        ``elapsed`` is how many seconds have passed since the last call, ``limit`` how many a script has, ``patience``
        how many more it gets before its thread is given up.
        """
        if not self._taken or self._ended != self._seen:
            self._seen = self._ended
            self._stalled_seconds = 0.0
            return None
        self._stalled_seconds += elapsed
        if self._ahead is not None:
            patience = self._ahead.patience
        if self._stalled_seconds <= limit + patience:
            return None
        with self._lock:
            if not self._taken or self._ended != self._seen:
                return None
            overdue = self._taken.popleft()
            self._abandon()
        return overdue, self._stalled_seconds

    def abandon(self) -> None:
        """Give the slot up: its thread ends as soon as it is done with what it has begun."""
        with self._lock:
            self._taken.clear()
            self._abandon()

    def _abandon(self) -> None:
        self._is_abandoned = True
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
            if self._ahead is None:
                self.finished([self._runner.run(request)])
            else:
                self._ahead.run_ahead(request, self)
                self._ahead.prepare()
        except Abandoned:
            raise
        except Exception:  # The thread must live on, and the request has to be answered.
            self._log.failure("a runner failed")
            self._failed()

    def _failed(self) -> None:
        """Finish the oldest request without an outcome, and let others run those behind it."""
        with self._lock:
            if self._is_abandoned:
                raise Abandoned
            if not self._taken:
                return
            failed = self._taken.popleft()
            behind = list(self._taken)
            self._taken.clear()
            self._ended += 1
        self._queue.put_back(behind)
        self._deliver([(failed, None)])

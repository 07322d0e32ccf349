"""The pool of threads in which scripts run.

One hop between reactor and threads for each request would cost more than a small script. So the threads drain one
shared queue, and the reactor is woken once for all that was finished meanwhile. And threads that are awake at the same
time hold each other up, since one of them has Python's lock: where scripts are over in no time, one thread does them
all, and the others sleep until it turns out that requests wait for it. Of such scripts it runs several in one call into
Lua; as soon as one of them takes long, those behind it are taken back for others.

A thread cannot be killed. One that does not come back in time is given up: its request is reported, another thread
takes its place, and should it come back after all, nobody listens to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from threading import local
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from alaska.errors import LimitExceeded
from alaska.interfaces import Reactor
from alaska.lua.request import TIMEOUT, Outcome, Request
from alaska.pool.queue import Queue
from alaska.pool.slot import Ended, Runner, Slot

__all__ = ["AnyPool", "Finished", "MakePool", "Pool", "Runner"]

PATIENCE_SECONDS = 0.5
"""A script is ended at its limit by Lua; one that is still there so long after it will not be."""
MOST_LOST = 64
"""So many threads may be given up and still run before the worker should take nothing more."""
SPREAD_SECONDS = 0.001
"""So long requests may wait behind one thread while others sleep."""
FEW = 3
"""A thread that ends fewer requests than that in SPREAD_SECONDS is held up by what it runs."""
GATHER_TIMES = 10
"""So many times as long it takes to see that threads which are all awake are too many."""
LONGEST_STEP_SECONDS = 1.0
"""More than that between two looks is no time that scripts have had: the clock was set, or the machine slept."""

Finished = Callable[[Request, "Outcome | None"], None]


class AnyPool(Protocol):
    """What the worker asks of a pool: the one below, or one in a test's hand (:class:`alaska.testing.HandPool`)."""

    @property
    def pending(self) -> int:
        """How many requests are submitted and not finished."""

    @property
    def is_exhausted(self) -> bool:
        """Whether so many threads were given up and still run that no more should be risked."""

    def start(self) -> None:
        """Start the threads."""

    def submit(self, request: Request) -> None:
        """Let the next free thread do this."""

    def withdraw(self) -> list[Request]:
        """Take back what no thread has begun."""

    def unfinished(self) -> list[Request]:
        """Return what threads have begun, or are about to begin."""

    def watch(self, now: float) -> None:
        """Replace threads that are stuck; to be called every so often, with the time in seconds."""

    def tell(self, told: Callable[[], None]) -> None:
        """Let something be called in the reactor, before it hears of the end of the request that this thread runs.

        :raises Abandoned: the thread was given up, and nobody waits any more for what it does.
        """

    def stop(self) -> Deferred[None]:
        """Finish what is submitted, then end the threads; the Deferred fires when they have ended or are abandoned."""

    def abandon(self) -> int:
        """Wait for nothing more: what is not finished by now never is. Return how much that is."""


MakePool = Callable[[Reactor, int, Callable[[], Runner], Finished, "float | None"], AnyPool]


class Pool:
    """So many threads, each with a runner of its own.

    ``finished`` is called in the reactor's thread with each request and its outcome, or None where the runner
    itself failed. ``limit`` is how many seconds a script has; without one, a thread may be stuck for ever.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        size: int,
        make_runner: Callable[[], Runner],
        finished: Finished,
        limit: float | None = None,
    ) -> None:
        self._reactor = reactor
        self._size = size
        self._make_runner = make_runner
        self._finished = finished
        self._limit = limit
        self._queue = Queue(resting=size - 1)
        self._results: deque[Ended | Callable[[], None]] = deque()
        self._here = local()
        self._is_woken = False
        self._waking: IDelayedCall | None = None
        self._spreading: IDelayedCall | None = None
        self._is_abandoned = False
        self._numbers = count()
        self._slots: set[Slot] = set()
        self._lost: set[Slot] = set()
        self._watched: float | None = None
        self._stopping: list[Deferred[None]] = []
        self.pending = 0
        """How many requests are submitted and not finished."""
        self.replaced = 0
        """How many threads were given up since the start."""

    @property
    def lost(self) -> int:
        """How many threads were given up and still run."""
        return len(self._lost)

    @property
    def is_exhausted(self) -> bool:
        """See :class:`AnyPool`."""
        return self.lost >= MOST_LOST

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self._size):
            self._start_slot()

    def _start_slot(self) -> None:
        def make_runner() -> Runner:
            self._here.slot = slot
            return self._make_runner()

        slot = Slot(self._queue, self._size, make_runner, self._deliver, self._going, self._watch_soon)
        self._slots.add(slot)
        slot.start(f"alaska-{next(self._numbers)}")

    def submit(self, request: Request) -> None:
        """Let the next free thread do this."""
        self._queue.put(request)
        if self._waking is None:
            self._waking = self._reactor.callLater(0, self._wake)
        self.pending += 1

    def _wake(self) -> None:
        """Wake threads for what was submitted in this turn of the reactor: the first would only hold up the turn."""
        self._waking = None
        waiting = len(self._queue)
        woken = self._queue.ring(waiting)
        if waiting > woken and self._spreading is None:
            self._spread_soon()

    def _spread_soon(self) -> None:
        for slot in self._slots:
            slot.look()
        # Where all are awake, nobody waits for the look; one that is alone may have more in hand than it runs.
        times = 1 if self._queue.resting or self._size == 1 else GATHER_TIMES
        self._spreading = self._reactor.callLater(times * SPREAD_SECONDS, self._spread, times * FEW)

    def _spread(self, few: int) -> None:
        """Let one thread more be awake than are held up by scripts that take long, as long as requests wait."""
        self._spreading = None
        held_up = 0
        for slot in self._slots:
            if slot.is_running and slot.look() < few:
                held_up += 1
                slot.release()
        self._collect()
        self._queue.resting = max(0, len(self._slots) - held_up - 1)
        self._queue.ring(len(self._queue))
        if any(slot.is_in_batch for slot in self._slots) or self._queue:
            self._spread_soon()

    def withdraw(self) -> list[Request]:
        """Take back what no thread has begun; a pool that stops keeps it."""
        withdrawn = [] if self._stopping else self._queue.take(len(self._queue))
        self.pending -= len(withdrawn)
        return withdrawn

    def unfinished(self) -> list[Request]:
        """See :class:`AnyPool`."""
        return [request for slot in self._slots for request in slot.taken]

    def watch(self, now: float) -> None:
        """See :class:`AnyPool`."""
        elapsed = 0.0 if self._watched is None else min(max(now - self._watched, 0.0), LONGEST_STEP_SECONDS)
        self._watched = now
        if self._limit is None:
            return
        for slot in list(self._slots):
            overdue = slot.overdue(elapsed, self._limit, PATIENCE_SECONDS)
            if overdue is not None:
                self._replace(slot, *overdue)

    def _replace(self, slot: Slot, request: Request, seconds: float) -> None:
        self._slots.discard(slot)
        self._lost.add(slot)
        self.replaced += 1
        self._log.error(
            "a thread is stuck and was replaced; {lost} such threads still run, {replaced} were replaced in all",
            lost=self.lost,
            replaced=self.replaced,
        )
        error = LimitExceeded(f"it did not end within {self._limit:g} s, and nothing could end it", TIMEOUT)
        self._results.append((request, Outcome(error=error, seconds=seconds)))
        self._collect()
        self._start_slot()

    def stop(self) -> Deferred[None]:
        """Finish what is submitted, then end the threads; the Deferred fires when they have ended or are abandoned."""
        self._dismiss()
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        self._tell_stopped()
        return stopped

    def abandon(self) -> int:
        """Wait for nothing more: what is not finished by now never is. Return how much that is.

        Threads end as soon as they are done with what they have begun; what can be killed is killed.
        """
        self._collect()
        self._is_abandoned = True
        self._queue.clear()
        for slot in self._slots:
            slot.abandon()
        self._dismiss()
        abandoned, self.pending = self.pending, 0
        self._tell_stopped()
        return abandoned

    def _dismiss(self) -> None:
        self._queue.resting = 0
        for _ in self._slots:
            self._queue.put(None)
        self._queue.ring(len(self._slots))

    # In the threads

    def tell(self, told: Callable[[], None]) -> None:
        """See :class:`AnyPool`."""
        self._here.slot.tell(told)
        # Not only with what ends next, which may take its time, and before what this thread asks of the reactor.
        self._reactor.callFromThread(self._collect)

    def _deliver(self, ended: Sequence[Ended | Callable[[], None]]) -> None:
        self._results.extend(ended)
        # What ends while more waits is collected within SPREAD_SECONDS, by which there will be more of it.
        is_awaited = self._spreading is not None and self._queue.resting > 0 and len(self._queue) > 0
        if not self._is_woken and not is_awaited:
            self._is_woken = True
            self._reactor.callFromThread(self._collect)

    def _watch_soon(self) -> None:
        if self._spreading is None:
            self._reactor.callFromThread(self._watch_from_now_on)

    def _going(self, slot: Slot) -> None:
        self._reactor.callFromThread(self._gone, slot)

    # In the reactor

    def _watch_from_now_on(self) -> None:
        if self._spreading is None and self._slots and not self._is_abandoned:
            self._spread_soon()

    def _collect(self) -> None:
        # Lowered first: a result that comes while others are collected wakes the reactor again.
        self._is_woken = False
        while self._results:
            result = self._results.popleft()
            if self._is_abandoned:
                continue
            try:
                if isinstance(result, tuple):
                    self.pending -= 1
                    self._finished(*result)
                else:
                    result()
            except Exception:  # The others have to be collected all the same.
                self._log.failure("a finished request could not be dealt with")

    def _gone(self, slot: Slot) -> None:
        self._collect()
        self._slots.discard(slot)
        self._lost.discard(slot)
        self._tell_stopped()

    def _tell_stopped(self) -> None:
        if not self._slots or self._is_abandoned:
            for call in (self._waking, self._spreading):
                if call is not None:
                    call.cancel()
            self._waking = self._spreading = None
            stopping, self._stopping = self._stopping, []
            for stopped in stopping:
                stopped.callback(None)

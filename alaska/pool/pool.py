"""The pool of threads that run scripts.

Waking a thread and the reactor for each request would cost more than a short script. So the threads drain one shared
queue, and the reactor is woken once for all outcomes that are ready. Threads that are awake at the same time compete
for the GIL: while scripts are short, one thread runs all of them, and the others sleep until requests are found to wait
for it. It runs several short scripts in one call into Lua (a batch); as soon as one of them takes long, the requests
behind it are taken back for other threads.

A thread cannot be killed. The pool gives up a thread that does not return in time: it reports the request as failed,
starts another thread, and ignores whatever the old thread still delivers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from threading import local
from typing import NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from alaska.errors import LimitExceeded
from alaska.interfaces import Reactor
from alaska.lua.request import TIMEOUT, Outcome, Request
from alaska.pool.queue import Queue
from alaska.pool.slot import Ended, Runner, Slot

__all__ = ["AnyPool", "Finished", "MakePool", "Pool", "PoolState", "Runner"]

PATIENCE_SECONDS = 0.5
"""Lua ends a script at its time limit; a script that still runs this long after the limit is considered stuck."""
MOST_STUCK = 64
"""Maximum number of stuck threads that still run; at that number the worker should stop taking requests."""
SPREAD_SECONDS = 0.001
"""How long requests may wait behind one thread while others sleep."""
FEW_ENDED = 3
"""A thread that ends fewer requests than this in SPREAD_SECONDS is running a slow script."""
ALL_AWAKE_FACTOR = 10
"""While all threads are awake, the pool checks this many times less often whether fewer would do."""
LONGEST_STEP_SECONDS = 1.0
"""A longer interval between two watchdog checks counts as this: the clock was set, or the machine was suspended."""

Finished = Callable[[Request, "Outcome | None"], None]


class PoolState(NamedTuple):
    """The slots of a pool by state, how many were replaced since the start, and the memory of their runners in octets.

    ``stuck`` slots were given up and still run; ``queued`` is the number of requests that no slot has taken.
    """

    idle: int = 0
    running: int = 0
    stuck: int = 0
    replaced: int = 0
    memory: int = 0
    queued: int = 0


class AnyPool(Protocol):
    """The interface of a pool: implemented by :class:`Pool`, and for tests by :class:`alaska.testing.HandPool`."""

    @property
    def pending(self) -> int:
        """The number of requests that are submitted and not finished."""

    @property
    def is_exhausted(self) -> bool:
        """Whether so many threads are stuck that the worker should take no more requests."""

    def start(self) -> None:
        """Start the threads."""

    def submit(self, request: Request) -> None:
        """Queue a request for the next free thread."""

    def state(self) -> PoolState:
        """Return the current state of the slots."""

    def withdraw(self) -> list[Request]:
        """Remove and return the requests that no thread has taken."""

    def unfinished(self) -> list[Request]:
        """Return the requests that threads have taken and not finished."""

    def watch(self, now: float) -> None:
        """Replace stuck threads; to be called at short intervals, with the time in seconds."""

    def tell(self, call: Callable[[], None]) -> None:
        """Call ``call`` in the reactor, before the outcome of the request that the calling thread runs.

        :raises Abandoned: the thread was given up.
        """

    def stop(self) -> Deferred[None]:
        """Finish all submitted requests, then end the threads; fires when they have ended or are abandoned."""

    def abandon(self) -> int:
        """Stop waiting: unfinished requests are never reported. Return their number."""


MakePool = Callable[[Reactor, int, Callable[[], Runner], Finished, "float | None"], AnyPool]


class Pool:
    """A fixed number of threads, each with its own runner.

    ``finished`` is called in the reactor's thread with each request and its outcome, or None if the runner itself
    failed. ``limit`` is the time limit of a script in seconds; without one, a stuck thread is never replaced.
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
        self._queue = Queue(kept_asleep=size - 1)
        self._results: deque[Ended | Callable[[], None]] = deque()
        self._thread_local = local()
        self._is_collect_due = False
        self._wake_call: IDelayedCall | None = None
        self._spread_call: IDelayedCall | None = None
        self._is_abandoned = False
        self._numbers = count()
        self._slots: set[Slot] = set()
        self._stuck: set[Slot] = set()
        self._last_watch: float | None = None
        self._stopping: list[Deferred[None]] = []
        self.pending = 0
        """The number of requests that are submitted and not finished."""
        self.replaced = 0
        """The number of threads that were given up and replaced since the start."""

    @property
    def stuck(self) -> int:
        """The number of threads that were given up and still run."""
        return len(self._stuck)

    @property
    def is_exhausted(self) -> bool:
        """See :class:`AnyPool`."""
        return self.stuck >= MOST_STUCK

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self._size):
            self._start_slot()

    def _start_slot(self) -> None:
        def make_runner() -> Runner:
            self._thread_local.slot = slot
            return self._make_runner()

        slot = Slot(self._queue, self._size, make_runner, self._deliver, self._slot_ending, self._request_check)
        self._slots.add(slot)
        slot.start(f"alaska-{next(self._numbers)}")

    def submit(self, request: Request) -> None:
        """See :class:`AnyPool`."""
        self._queue.put(request)
        if self._wake_call is None:
            self._wake_call = self._reactor.callLater(0, self._wake)
        self.pending += 1

    def _wake(self) -> None:
        """Wake threads for the requests submitted in this turn of the reactor.

        Not earlier: a woken thread would compete with the rest of the turn for the GIL.
        """
        self._wake_call = None
        waiting = len(self._queue)
        woken = self._queue.ring(waiting)
        if waiting > woken and self._spread_call is None:
            self._spread_soon()

    def _spread_soon(self) -> None:
        for slot in self._slots:
            slot.count_ended()
        # If all threads are awake, no request waits for this check. A single thread may run a batch with a slow script.
        factor = 1 if self._queue.kept_asleep or self._size == 1 else ALL_AWAKE_FACTOR
        self._spread_call = self._reactor.callLater(factor * SPREAD_SECONDS, self._spread, factor * FEW_ENDED)

    def _spread(self, few: int) -> None:
        """While requests wait, keep one more thread awake than are busy with slow scripts.

        ``few`` is the number of ended requests below which a thread counts as slow.
        """
        self._spread_call = None
        slow = 0
        for slot in self._slots:
            if slot.is_running and slot.count_ended() < few:
                slow += 1
                slot.release()
        self._collect()
        self._queue.kept_asleep = max(0, len(self._slots) - slow - 1)
        self._queue.ring(len(self._queue))
        if any(slot.is_in_batch for slot in self._slots) or self._queue:
            self._spread_soon()

    def state(self) -> PoolState:
        """See :class:`AnyPool`."""
        slots = list(self._slots)
        running = sum(slot.is_running for slot in slots)
        memory = sum(slot.memory for slot in slots)
        return PoolState(len(slots) - running, running, self.stuck, self.replaced, memory, len(self._queue))

    def withdraw(self) -> list[Request]:
        """See :class:`AnyPool`; a pool that is stopping returns none, since it finishes them."""
        withdrawn = [] if self._stopping else self._queue.take(len(self._queue))
        self.pending -= len(withdrawn)
        return withdrawn

    def unfinished(self) -> list[Request]:
        """See :class:`AnyPool`."""
        return [request for slot in self._slots for request in slot.taken]

    def watch(self, now: float) -> None:
        """See :class:`AnyPool`."""
        elapsed = 0.0 if self._last_watch is None else min(max(now - self._last_watch, 0.0), LONGEST_STEP_SECONDS)
        self._last_watch = now
        if self._limit is None:
            return
        for slot in list(self._slots):
            overdue = slot.overdue(elapsed, self._limit, PATIENCE_SECONDS)
            if overdue is not None:
                self._replace(slot, *overdue)

    def _replace(self, slot: Slot, request: Request, seconds: float) -> None:
        self._slots.discard(slot)
        self._stuck.add(slot)
        self.replaced += 1
        self._log.error(
            "a thread is stuck and was replaced; {stuck} such threads still run, {replaced} were replaced in all",
            stuck=self.stuck,
            replaced=self.replaced,
        )
        error = LimitExceeded(f"it did not end within {self._limit:g} s, and it could not be stopped", TIMEOUT)
        self._results.append((request, Outcome(error=error, seconds=seconds)))
        self._collect()
        self._start_slot()

    def stop(self) -> Deferred[None]:
        """See :class:`AnyPool`."""
        self._end_threads()
        stopped: Deferred[None] = Deferred()
        self._stopping.append(stopped)
        self._fire_stopped()
        return stopped

    def abandon(self) -> int:
        """See :class:`AnyPool`. Each thread ends after the script that it runs; child processes are killed."""
        self._collect()
        self._is_abandoned = True
        self._queue.clear()
        for slot in self._slots:
            slot.abandon()
        self._end_threads()
        abandoned, self.pending = self.pending, 0
        self._fire_stopped()
        return abandoned

    def _end_threads(self) -> None:
        self._queue.kept_asleep = 0
        for _ in self._slots:
            self._queue.put(None)
        self._queue.ring(len(self._slots))

    # In the threads

    def tell(self, call: Callable[[], None]) -> None:
        """See :class:`AnyPool`."""
        self._thread_local.slot.call_in_order(call)
        # Collect now and not with the next outcome, which may take long; also before other calls of this thread.
        self._reactor.callFromThread(self._collect)

    def _deliver(self, ended: Sequence[Ended | Callable[[], None]]) -> None:
        self._results.extend(ended)
        # While more requests wait, _spread collects within SPREAD_SECONDS, together with the next outcomes.
        can_wait = self._spread_call is not None and self._queue.kept_asleep > 0 and len(self._queue) > 0
        if not self._is_collect_due and not can_wait:
            self._is_collect_due = True
            self._reactor.callFromThread(self._collect)

    def _request_check(self) -> None:
        if self._spread_call is None:
            self._reactor.callFromThread(self._start_checks)

    def _slot_ending(self, slot: Slot) -> None:
        self._reactor.callFromThread(self._slot_ended, slot)

    # In the reactor

    def _start_checks(self) -> None:
        if self._spread_call is None and self._slots and not self._is_abandoned:
            self._spread_soon()

    def _collect(self) -> None:
        # Cleared first, so that a result that arrives during the loop wakes the reactor again.
        self._is_collect_due = False
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
            except Exception:  # One failure must not keep the other results from being collected.
                self._log.failure("a finished request could not be processed")

    def _slot_ended(self, slot: Slot) -> None:
        self._collect()
        self._slots.discard(slot)
        self._stuck.discard(slot)
        self._fire_stopped()

    def _fire_stopped(self) -> None:
        if not self._slots or self._is_abandoned:
            for call in (self._wake_call, self._spread_call):
                if call is not None:
                    call.cancel()
            self._wake_call = self._spread_call = None
            stopping, self._stopping = self._stopping, []
            for stopped in stopping:
                stopped.callback(None)

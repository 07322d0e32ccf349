"""The runner for ``worker/pool/isolation = process``: each thread of the pool runs its scripts in a child process.

A child can always be killed. When it ends, only the request that it had begun fails; prefetched requests that it had
not begun are requeued.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from twisted.logger import Logger

from alaska.errors import InterpreterLost, LimitExceeded, ScriptError
from alaska.lua.request import TIMEOUT, Call, Outcome, Request
from alaska.lua.values import OUTCOMES, REQUESTS, BadValue
from alaska.pool.pipes import TICKET, UNANNOUNCED_OCTETS, Frame, Kind, encoded
from alaska.pool.process import ENDED, Child, ChildLost, unexpected
from alaska.pool.slot import Work

RESTART_SECONDS = 0.5
"""Minimum time between two starts of a child, so that scripts that crash it do not keep the machine busy."""
GRACE_SECONDS = 0.25
"""Lua ends a script at its time limit, with a stack trace; this long after the limit, the child is killed."""
PREFETCH_SECONDS = 0.002
MOST_PREFETCHED = 64
"""Limits of what is prefetched: its estimated run time, and its number."""
TAKE_BACK_SECONDS = 0.005
"""Prefetched requests that have not begun after this time are taken back, since other threads may be idle."""
BEGIN_SECONDS = 1.0
"""A child that has not begun a request after this time is considered lost."""
MOST_LOST_IDLE = 3
"""Children that one thread may lose in a row before they have begun a request; after that, the request fails."""
WEIGHT_OF_NEW = 0.2


class _Sent(NamedTuple):
    number: int
    request: Request
    octets: int


class _TimedOut(ChildLost):
    """The running script has exceeded its time limit."""


class IsolatedRunner:
    """Runs scripts in a child process, which it starts for the first request and again after it is lost.

    ``command`` is the child's command line (:func:`alaska.pool.process.child_command`), ``settings`` its encoded
    settings. ``limit`` is the time limit of a script in seconds, or None. ``address_space`` is how many octets the
    child may map in addition to those at startup; 0 is no limit. ``call`` answers the calls of scripts.
    """

    _log = Logger()
    patience = 15.0
    """It kills the child itself at the time limit; it can be late only while it waits for ``call``."""
    restart_interval = RESTART_SECONDS
    begin_timeout = BEGIN_SECONDS

    def __init__(
        self,
        command: Sequence[str],
        settings: bytes,
        limit: float | None = None,
        address_space: int = 0,
        call: Call | None = None,
    ) -> None:
        self._command = command
        self._settings = settings
        self._limit = limit
        self._address_space = address_space
        self._call = call
        self._child: Child | None = None
        self._is_killed = False
        self._last_start = float("-inf")
        self._number = 0
        self._mean_seconds: float | None = None
        self._lost_idle = 0
        # The requests that the slot has taken, oldest first: those sent to the child, and those not sent yet.
        self._sent: deque[_Sent] = deque()
        self._unsent: deque[Request] = deque()
        self._sent_octets = 0
        self._running_since = 0.0
        self._take_back_at = 0.0
        self._has_begun = False
        self._outcomes: list[Outcome] = []

    def run(self, request: Request) -> Outcome:
        """Run the script of a request, without prefetching."""
        work = _SingleRequest()
        while not work.outcomes:
            self.run_prefetching(request, work)
        return work.outcomes[0]

    def run_prefetching(self, request: Request, work: Work) -> None:
        """See :class:`alaska.pool.slot.SupportsPrefetch`."""
        self._unsent.append(request)
        try:
            try:
                self._run_all(work)
            except ChildLost as lost:
                self._handle_lost(lost, work)
        except BaseException:
            self._reset()
            raise

    def prepare(self) -> None:
        """Start another child if the last one was lost."""
        if self._child is None and not self._is_killed:
            try:
                self._start()
            except ChildLost as lost:
                how, _, _ = self._end_child(lost)
                self._log.error("no scripts can be run: the child process {how}", how=how)

    def kill(self) -> None:
        """See :class:`alaska.pool.slot.SupportsPrefetch`; the runner cannot be used again."""
        self._is_killed = True
        child = self._child
        if child is not None:
            child.kill()

    @property
    def memory(self) -> int:
        """The resident memory of the child in octets; any thread may read it."""
        child = self._child
        return 0 if child is None else child.memory

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _run_all(self, work: Work) -> None:
        child = self._child or self._start()
        self._prefetch(work)
        while self._sent or self._unsent:
            self._send_requests(child)
            call = self._process_frames(child.receive(self._receive_timeout()))
            if self._outcomes:
                self._report_outcomes(work)
                self._prefetch(work)
            elif self._deadline is not None and time.monotonic() >= self._deadline:
                raise _TimedOut
            if call is not None:
                self._answer(child, work, call)
            elif self._sent and self._is_take_back_due():
                self._take_back(child, work)

    # To the child

    def _prefetch(self, work: Work) -> None:
        """Take enough requests to keep the child busy until this thread runs again."""
        depth = 1
        if self._mean_seconds is not None:
            depth = max(1, min(MOST_PREFETCHED, int(PREFETCH_SECONDS / max(self._mean_seconds, 1e-6))))
        taken = len(self._sent) + len(self._unsent)
        if taken <= depth // 2:
            self._unsent.extend(work.take(depth - taken))

    def _send_requests(self, child: Child) -> None:
        now = time.monotonic()
        if self._unsent and not self._sent:
            self._restart_timer(now)
        batch: list[tuple[int, bytes]] = []
        while self._unsent:
            request = self._unsent[0]
            room = UNANNOUNCED_OCTETS - self._sent_octets
            if self._sent and sum(map(len, request.frames)) > room:
                break
            octets = encoded(Kind.REQUEST, self._number, REQUESTS.encode(request))
            if self._sent and len(octets) > room:
                break
            self._unsent.popleft()
            self._sent.append(_Sent(self._number, request, len(octets)))
            self._sent_octets += len(octets)
            batch.append((self._number, octets))
            self._number += 1
        if batch:
            self._take_back_at = now + TAKE_BACK_SECONDS
            child.send_requests(batch, self._deadline)

    def _restart_timer(self, now: float) -> None:
        """Restart the time limit: from now on, the child can run the oldest request that was sent to it."""
        self._running_since = now
        self._has_begun = False

    @property
    def _deadline(self) -> float | None:
        return None if self._limit is None else self._running_since + self._limit + GRACE_SECONDS

    def _receive_timeout(self) -> float | None:
        """Return how long to wait for the child in seconds; None is without limit."""
        ends = [] if self._deadline is None else [self._deadline]
        if len(self._sent) + len(self._unsent) > 1:
            ends.append(self._take_back_at)
        elif not self._has_begun:
            ends.append(self._running_since + self.begin_timeout)
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _is_take_back_due(self) -> bool:
        now = time.monotonic()
        if len(self._sent) + len(self._unsent) > 1:
            return now >= self._take_back_at
        return not self._has_begun and now >= self._running_since + self.begin_timeout

    def _take_back(self, child: Child, work: Work) -> None:
        """Requeue the requests that the child has not begun, except for the oldest.

        :raises ChildLost: the child has not begun the oldest in time.
        """
        taken = min(child.take_back(), len(self._sent))
        self._has_begun = taken < len(self._sent)
        if not self._has_begun:
            # The child must still be able to begin it.
            taken -= 1
            child.issue_tickets(TICKET.pack(self._sent[0].number, True))
        for _ in range(taken):
            self._sent_octets -= self._sent.pop().octets
        back = taken + len(self._unsent)
        self._unsent.clear()
        if back:
            work.requeue(back)
        if not self._has_begun and time.monotonic() >= self._running_since + self.begin_timeout:
            raise ChildLost("does not begin its requests")

    def _answer(self, child: Child, work: Work, call: bytes) -> None:
        self._take_back(child, work)
        if self._call is None or not self._has_begun:
            raise ChildLost("made a call that cannot be answered")
        number, request, _ = self._sent[0]
        child.answer(number, self._call(request, call), self._deadline)

    # From the child

    def _process_frames(self, frames: list[Frame]) -> bytes | None:
        """Record the outcomes in these frames; return the call of the running script, if there is one.

        :raises ChildLost: a frame is unexpected.
        """
        call: bytes | None = None
        for frame in frames:
            if not self._sent or frame.number != self._sent[0].number or call is not None:
                raise ChildLost(unexpected(frame))
            if frame.kind == Kind.CALL:
                call = frame.payload
            elif frame.kind == Kind.ENDED:
                self._record_outcome(frame)
            else:
                raise ChildLost(unexpected(frame))
        return call

    def _record_outcome(self, frame: Frame) -> None:
        try:
            outcome = OUTCOMES.decode(frame.payload)
        except BadValue as error:
            raise ChildLost(f"sent {error}") from None
        longest = time.monotonic() - self._running_since
        if not 0.0 <= outcome.seconds <= longest:
            outcome.seconds = longest
        # Capped, so that one slow script does not stop prefetching for long.
        seconds = min(outcome.seconds, 10 * PREFETCH_SECONDS)
        mean = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean + WEIGHT_OF_NEW * (seconds - mean)
        self._sent_octets -= self._sent.popleft().octets
        self._outcomes.append(outcome)

    def _report_outcomes(self, work: Work) -> None:
        self._lost_idle = 0
        outcomes, self._outcomes = self._outcomes, []
        self._restart_timer(time.monotonic())
        work.finished(outcomes)

    # Start and end of the child

    def _start(self) -> Child:
        time.sleep(max(0.0, self._last_start + self.restart_interval - time.monotonic()))
        self._last_start = time.monotonic()
        try:
            child = self._child = Child(self._command, self._address_space)
        except OSError as error:
            raise ChildLost(f"cannot be started: {error.strerror}") from error
        if self._is_killed:
            child.kill()
        child.initialize(self._settings)
        self._number = 0
        return child

    def _end_child(self, lost: ChildLost) -> tuple[str, int, list[Frame]]:
        """End the child; return how it was lost, how many requests it had not begun, and its last frames."""
        child, self._child = self._child, None
        if child is None:
            return str(lost), 0, []
        how, unbegun, frames = child.end()
        return (how if str(lost) == ENDED else str(lost)), unbegun, frames

    def _handle_lost(self, lost: ChildLost, work: Work) -> None:
        """Report the request that the child had begun as failed, and requeue those that it had not begun."""
        how, unbegun, frames = self._end_child(lost)
        with suppress(ChildLost):
            self._process_frames(frames)
        # A hostile child may have sent outcomes of requests that it has not begun.
        begun = max(0, len(self._sent) - unbegun)
        if begun or self._outcomes:
            self._lost_idle = 0
        else:
            self._lost_idle += 1
            self._log.warn("a child process was lost: it {how}", how=how)
        if self._lost_idle > MOST_LOST_IDLE:
            self._lost_idle = 0
            begun = 1
        left = len(self._sent) + len(self._unsent) - begun
        outcomes = [*self._outcomes, *self._failures(begun, how, isinstance(lost, _TimedOut))]
        self._reset()
        work.finished(outcomes)
        work.requeue(left)

    def _failures(self, count: int, how: str, is_overdue: bool) -> list[Outcome]:
        seconds = time.monotonic() - self._running_since
        errors: list[ScriptError] = [InterpreterLost(f"the process that ran it {how}") for _ in range(count)]
        if errors and is_overdue:
            errors[0] = LimitExceeded(f"it did not end within {self._limit:g} s, and its process was killed", TIMEOUT)
        return [Outcome(error=error, seconds=seconds) for error in errors]

    def _reset(self) -> None:
        """Drop all requests; a child that still has some is ended."""
        if self._sent:
            self._end_child(ChildLost())
        self._sent.clear()
        self._unsent.clear()
        self._outcomes.clear()
        self._sent_octets = 0


class _SingleRequest:
    """Passes a runner a single request, outside of a slot."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def take(self, _most: int) -> list[Request]:
        """See :class:`Work`; there are no other requests."""
        return []

    def finished(self, outcomes: list[Outcome]) -> None:
        """See :class:`Work`."""
        self.outcomes += outcomes

    def requeue(self, count: int) -> None:
        """See :class:`Work`; the caller runs the request again."""

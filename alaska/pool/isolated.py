"""Scripts in a process of their own: what a thread of the pool does when its isolation is ``process``.

The child can be ended, whatever it does, and its end costs the request that it has begun. What it was given ahead and
has not begun is somebody else's to run.
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
from alaska.pool.pipes import QUIET_OCTETS, TICKET, Frame, Kind, encoded
from alaska.pool.process import ENDED, Child, Lost, complaint
from alaska.pool.slot import Work

PACE_SECONDS = 0.5
"""Between two starts: scripts that end their interpreter each time shall not keep the machine busy with that."""
GRACE_SECONDS = 0.25
"""A script is ended at its limit by Lua, which tells more of it; one that is still there so long after it is killed."""
AHEAD_SECONDS = 0.002
MOST_AHEAD = 64
"""What is given ahead should last so long at most, and be so many."""
HOLD_SECONDS = 0.005
"""What was given ahead and has not begun after so long is taken back: there may be others with nothing to do."""
BEGIN_SECONDS = 1.0
"""A child that has not begun a request after so long never will."""
MOST_UNBEGUN = 3
"""So many children in a row may be lost by one thread without having begun what it had for them."""
WEIGHT_OF_NEW = 0.2


class _Given(NamedTuple):
    number: int
    request: Request
    octets: int


class _Overdue(Lost):
    """The script that runs has had its time."""


class IsolatedRunner:
    """Runs scripts in a child process, which it starts when there is something to run, and again when it is lost.

    ``command`` is its command line (:func:`alaska.pool.process.child_command`), ``settings`` are what it is told
    first. ``limit`` is how many seconds a script has, None for any number; ``address_space`` how many octets the child
    may map beyond what it starts with, 0 for any number. ``call`` answers what scripts ask while they run.
    """

    _log = Logger()
    patience = 15.0
    """It kills by itself what takes too long, and only what answers the scripts' calls can keep it from that."""
    pace = PACE_SECONDS
    begin_within = BEGIN_SECONDS

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
        self._started = float("-inf")
        self._number = 0
        self._mean_seconds: float | None = None
        self._unbegun = 0
        # What the slot has taken, oldest first: that the child has, and that it has not been given yet.
        self._given: deque[_Given] = deque()
        self._held: deque[Request] = deque()
        self._given_octets = 0
        self._since = 0.0
        self._hold_until = 0.0
        self._is_begun = False
        self._outcomes: list[Outcome] = []

    def run(self, request: Request) -> Outcome:
        """Run the script of a request, and nothing ahead."""
        alone = _Alone()
        while not alone.outcomes:
            self.run_ahead(request, alone)
        return alone.outcomes[0]

    def run_ahead(self, request: Request, work: Work) -> None:
        """See :class:`alaska.pool.slot.ReadsAhead`."""
        self._held.append(request)
        try:
            try:
                self._run_all(work)
            except Lost as lost:
                self._bury(lost, work)
        except BaseException:
            self._forget()
            raise

    def prepare(self) -> None:
        """Start another child in the place of one that was lost."""
        if self._child is None and not self._is_killed:
            try:
                self._start()
            except Lost as lost:
                how, _, _ = self._end(lost)
                self._log.error("no scripts can be run: the process for them {how}", how=how)

    def kill(self) -> None:
        """See :class:`alaska.pool.slot.ReadsAhead`; this runner is not used again."""
        self._is_killed = True
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """Let the child end."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _run_all(self, work: Work) -> None:
        child = self._child or self._start()
        self._take_more(work)
        while self._given or self._held:
            self._give(child)
            asked = self._take_in(child.hear(self._wait()))
            if self._outcomes:
                self._report(work)
                self._take_more(work)
            elif self._deadline is not None and time.monotonic() >= self._deadline:
                raise _Overdue
            if asked is not None:
                self._answer(child, work, asked)
            elif self._given and self._is_late():
                self._take_back(child, work)

    # What the child is given

    def _take_more(self, work: Work) -> None:
        """Take ahead what the child will need before this thread has the time to look at it again."""
        depth = 1
        if self._mean_seconds is not None:
            depth = max(1, min(MOST_AHEAD, int(AHEAD_SECONDS / max(self._mean_seconds, 1e-6))))
        taken = len(self._given) + len(self._held)
        if taken <= depth // 2:
            self._held.extend(work.take(depth - taken))

    def _give(self, child: Child) -> None:
        now = time.monotonic()
        if self._held and not self._given:
            self._next_begins(now)
        batch: list[tuple[int, bytes]] = []
        while self._held:
            request = self._held[0]
            room = QUIET_OCTETS - self._given_octets
            if self._given and sum(map(len, request.frames)) > room:
                break
            octets = encoded(Kind.REQUEST, self._number, REQUESTS.encode(request))
            if self._given and len(octets) > room:
                break
            self._held.popleft()
            self._given.append(_Given(self._number, request, len(octets)))
            self._given_octets += len(octets)
            batch.append((self._number, octets))
            self._number += 1
        if batch:
            self._hold_until = now + HOLD_SECONDS
            child.give(batch, self._deadline)

    def _next_begins(self, now: float) -> None:
        """Take note that the child has nothing to do but what is now the oldest that it has been given."""
        self._since = now
        self._is_begun = False

    @property
    def _deadline(self) -> float | None:
        return None if self._limit is None else self._since + self._limit + GRACE_SECONDS

    def _wait(self) -> float | None:
        """Return how long to wait for the child, None for as long as it takes."""
        ends = [] if self._deadline is None else [self._deadline]
        if len(self._given) + len(self._held) > 1:
            ends.append(self._hold_until)
        elif not self._is_begun:
            ends.append(self._since + self.begin_within)
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _is_late(self) -> bool:
        now = time.monotonic()
        if len(self._given) + len(self._held) > 1:
            return now >= self._hold_until
        return not self._is_begun and now >= self._since + self.begin_within

    def _take_back(self, child: Child, work: Work) -> None:
        """Let others run what the child has not begun, but for the oldest.

        :raises Lost: the child should have begun that long ago.
        """
        drawn = child.draw()
        self._is_begun = drawn < len(self._given)
        if not self._is_begun:
            # The child must be able to begin it, whenever it gets the time to.
            drawn -= 1
            child.issue(TICKET.pack(self._given[0].number, True))
        for _ in range(drawn):
            self._given_octets -= self._given.pop().octets
        back = drawn + len(self._held)
        self._held.clear()
        if back:
            work.give_back(back)
        if not self._is_begun and time.monotonic() >= self._since + self.begin_within:
            raise Lost("does not begin what it is given")

    def _answer(self, child: Child, work: Work, asked: bytes) -> None:
        self._take_back(child, work)
        if self._call is None or not self._is_begun:
            raise Lost("asks what nobody answers")
        number, request, _ = self._given[0]
        child.answer(number, self._call(request, asked), self._deadline)

    # What it says

    def _take_in(self, heard: list[Frame]) -> bytes | None:
        """Take note of what has ended; return what the script that runs asks, if it does.

        :raises Lost: the child says what it should not.
        """
        asked: bytes | None = None
        for frame in heard:
            if not self._given or frame.number != self._given[0].number or asked is not None:
                raise Lost(complaint(frame))
            if frame.kind == Kind.CALL:
                asked = frame.payload
            elif frame.kind == Kind.ENDED:
                self._take_outcome(frame)
            else:
                raise Lost(complaint(frame))
        return asked

    def _take_outcome(self, frame: Frame) -> None:
        try:
            outcome = OUTCOMES.decode(frame.payload)
        except BadValue as error:
            raise Lost(f"says {error}") from None
        longest = time.monotonic() - self._since
        if not 0.0 <= outcome.seconds <= longest:
            outcome.seconds = longest
        # One that takes long says little about the others: they are run ahead again soon.
        seconds = min(outcome.seconds, 10 * AHEAD_SECONDS)
        mean = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean + WEIGHT_OF_NEW * (seconds - mean)
        self._given_octets -= self._given.popleft().octets
        self._outcomes.append(outcome)

    def _report(self, work: Work) -> None:
        self._unbegun = 0
        outcomes, self._outcomes = self._outcomes, []
        self._next_begins(time.monotonic())
        work.finished(outcomes)

    # The child's life

    def _start(self) -> Child:
        time.sleep(max(0.0, self._started + self.pace - time.monotonic()))
        self._started = time.monotonic()
        try:
            child = self._child = Child(self._command, self._address_space)
        except OSError as error:
            raise Lost(f"cannot be started: {error.strerror}") from error
        if self._is_killed:
            child.kill()
        child.begin(self._settings)
        self._number = 0
        return child

    def _end(self, lost: Lost) -> tuple[str, int, list[Frame]]:
        """End the child; return what is to be said of it, what it had not begun, and what it has said last."""
        child, self._child = self._child, None
        if child is None:
            return str(lost), 0, []
        how, unbegun, heard = child.end()
        return (how if str(lost) == ENDED else str(lost)), unbegun, heard

    def _bury(self, lost: Lost, work: Work) -> None:
        """Report what the child had begun, and let others run what it had not."""
        how, unbegun, heard = self._end(lost)
        with suppress(Lost):
            self._take_in(heard)
        begun = len(self._given) - unbegun
        if begun or self._outcomes:
            self._unbegun = 0
        else:
            self._unbegun += 1
            self._log.warn("a process that runs scripts is lost: it {how}", how=how)
        if self._unbegun > MOST_UNBEGUN:
            self._unbegun = 0
            begun = 1
        left = len(self._given) + len(self._held) - begun
        outcomes = [*self._outcomes, *self._failures(begun, how, isinstance(lost, _Overdue))]
        self._forget()
        work.finished(outcomes)
        work.give_back(left)

    def _failures(self, count: int, how: str, is_overdue: bool) -> list[Outcome]:
        seconds = time.monotonic() - self._since
        errors: list[ScriptError] = [InterpreterLost(f"the process that ran it {how}") for _ in range(count)]
        if errors and is_overdue:
            errors[0] = LimitExceeded(f"it did not end within {self._limit:g} s, and its process was killed", TIMEOUT)
        return [Outcome(error=error, seconds=seconds) for error in errors]

    def _forget(self) -> None:
        """Have nothing to do; a child that has is ended."""
        if self._given:
            self._end(Lost())
        self._given.clear()
        self._held.clear()
        self._outcomes.clear()
        self._given_octets = 0


class _Alone:
    """The work of a runner that is given one request by itself."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def take(self, _most: int) -> list[Request]:
        """See :class:`Work`: there is nothing else."""
        return []

    def finished(self, outcomes: list[Outcome]) -> None:
        """See :class:`Work`."""
        self.outcomes += outcomes

    def give_back(self, count: int) -> None:
        """See :class:`Work`: who has given it gives it again."""

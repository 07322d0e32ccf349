"""A deadline that is put off while there are signs of life."""

from __future__ import annotations

from collections.abc import Callable

from alaska.messaging.waiting import Clock, Timer


class Deadline:
    """Calls ``missed`` so many seconds after the last sign of life, but at ``latest`` at the latest.

    ``alive`` returns the time of the last sign of life; the seconds count at least from now on.
    """

    def __init__(
        self, clock: Clock, seconds: float, latest: float, alive: Callable[[], float], missed: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._latest = latest
        self._alive = alive
        self._missed = missed
        self._timer: Timer = clock.later(seconds, self._is_due)

    def _is_due(self) -> None:
        left = min(self._alive() + self._seconds, self._latest) - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.later(left, self._is_due)
        else:
            self._missed()

    def cancel(self) -> None:
        """Cancel the call, if it was not made."""
        self._timer.cancel()

"""When to log what may happen any number of times."""

from __future__ import annotations

FIRST_SECONDS = 1.0
INTERVAL_SECONDS = 60.0


class LogThrottle:
    """Says when a line is due that sums up what happened: a second after the first time, and then once a minute."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._last_due = float("-inf")

    def is_due(self, now: float) -> bool:
        """Return whether the line is due, which it then is no more; to be asked often while there is something to tell.

        The time is in seconds, by any clock.
        """
        if self._due is None:
            self._due = max(now + FIRST_SECONDS, self._last_due + INTERVAL_SECONDS)
        if now < self._due:
            return False
        self._due = None
        self._last_due = now
        return True

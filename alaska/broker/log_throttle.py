"""Rate limit for log lines about events that may happen very often."""

from __future__ import annotations

FIRST_SECONDS = 1.0
INTERVAL_SECONDS = 60.0


class LogThrottle:
    """Says when a summary of the events is to be logged: one second after the first, then at most once a minute."""

    def __init__(self) -> None:
        self._due: float | None = None
        self._last_due = float("-inf")

    def is_due(self, now: float) -> bool:
        """Return whether the summary is to be logged now.

        Call it often while there are events that are not logged; after True, log them. The time is in seconds of any
        clock.
        """
        if self._due is None:
            self._due = max(now + FIRST_SECONDS, self._last_due + INTERVAL_SECONDS)
        if now < self._due:
            return False
        self._due = None
        self._last_due = now
        return True

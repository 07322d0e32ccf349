"""How often something may happen: a bucket that fills with tokens at a rate, of which each event takes one.

Whoever is held back by an empty bucket is served only when somebody looks, several times a second. What has become due
since is due at once, also if that is more than the bucket holds: otherwise a rate of several tokens between two looks
would not be reached.
"""

from __future__ import annotations

CATCH_UP_SECONDS = 1.0
"""If nobody looked for longer than this, what was due before is lost."""
_ALMOST_ONE = 1 - 1e-9
"""Sums of fractions of a token are not exact."""


class Bucket:
    """A bucket for at most ``burst`` tokens, filled with ``per_second`` tokens a second; it is full at first."""

    __slots__ = ("_at", "_is_awaited", "burst", "per_second", "tokens")

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self.tokens = float(burst)
        """The number of tokens when the bucket was last looked at."""
        self._at = now
        self._is_awaited = False

    def configure(self, per_second: float, burst: int, now: float) -> None:
        """Change the rate and the size for the time from now on."""
        self._fill(now)
        self.per_second, self.burst = per_second, burst
        self.tokens = min(self.tokens, burst)

    def has_token(self, now: float) -> bool:
        """Return whether there is a token; if not, those that become due wait for the next call."""
        self._fill(now)
        self._is_awaited = self.tokens < _ALMOST_ONE
        return not self._is_awaited

    def take(self) -> None:
        """Take a token, of which there must be one."""
        self.tokens -= 1

    def put_back(self) -> None:
        """Put back a token that was taken and not used."""
        self.tokens = min(self.tokens + 1, max(self.tokens, self.burst))

    def _fill(self, now: float) -> None:
        passed = now - self._at
        if passed <= 0:
            return
        self._at = now
        due = passed * self.per_second
        most: float = self.burst
        if self._is_awaited:
            most = max(most, min(passed, CATCH_UP_SECONDS) * self.per_second + self.tokens)
        self.tokens = min(self.tokens + due, most)

"""Throttling of password guesses: failed logins delay further logins from the same address.

The replies to all logins from the address are delayed, including those with the right password: a fast reply would
reveal it. Other addresses are not delayed.
"""

from __future__ import annotations

from collections import deque

from alaska.endpoints import network_of

FREE_FAILURES = 3
FIRST_DELAY = 0.25
MAX_DELAY = 3.0
"""Seconds. After the free failures, every failure doubles the delay, up to this maximum."""
MAX_DELAYED = 50
"""The number of delayed replies per address. Further logins are not checked; the client has to retry later."""
RESET_SECONDS = 60.0
MAX_ADDRESSES = 1000


class _Failures:
    """The failed logins from one address."""

    def __init__(self) -> None:
        self.count = 0
        self.last_time = 0.0
        self.delayed: deque[float] = deque()
        """The times at which the delayed replies are sent."""

    def delay(self, now: float) -> float | None:
        """Return the delay for a reply, in seconds, or None if too many replies are delayed already."""
        while self.delayed and self.delayed[0] <= now:
            self.delayed.popleft()
        if self.count < FREE_FAILURES:
            return 0.0
        if len(self.delayed) >= MAX_DELAYED:
            return None
        seconds = min(FIRST_DELAY * 2.0 ** min(self.count - FREE_FAILURES, 10), MAX_DELAY)
        self.delayed.append(now + seconds)
        return seconds


class LoginThrottle:
    """Delays logins by the earlier failures from the same address, which is a :func:`throttle_key`.

    Times are seconds of one monotonic clock. Only the addresses with the latest failures are remembered.
    """

    def __init__(self) -> None:
        # In the order of the last failures.
        self._failures: dict[str, _Failures] = {}

    def delay(self, key: str, now: float) -> float | None:
        """Return the delay of the reply to a login, in seconds; None: it must not be checked now."""
        failures = self._failures.get(key)
        if failures is not None and now - failures.last_time >= RESET_SECONDS:
            del self._failures[key]
            failures = None
        return 0.0 if failures is None else failures.delay(now)

    def failed(self, key: str, now: float) -> None:
        """Count a failed login."""
        failures = self._failures.pop(key, None) or _Failures()
        failures.count += 1
        failures.last_time = now
        self._failures[key] = failures
        if len(self._failures) > MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]


def throttle_key(address: str) -> str:
    """Return the key that failures are counted under: an IPv4 address, an IPv6 network, or for ipc a user."""
    if address.startswith("localhost:"):
        return ":".join(address.split(":")[:2])
    return network_of(address)

"""Throttling of password guesses: failed logins delay further logins from the same address, and are logged.

The replies to all logins from the address are delayed, including those with the right password: a fast reply would
reveal it. Other addresses are not delayed.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from alaska.broker.log_throttle import LogThrottle
from alaska.interfaces import Entry, Verdict
from alaska.names import printable

FREE_FAILURES = 3
FIRST_DELAY = 0.25
MAX_DELAY = 3.0
"""Seconds. After the free failures, every failure doubles the delay, up to this maximum."""
MAX_DELAYED = 50
"""The number of delayed replies per address. Further logins are not checked; the client has to retry later."""
RESET_SECONDS = 60.0
MAX_ADDRESSES = 1000
_MAX_SHOWN = 40
_IPV6_BITS = 64


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
    """Decides about logins by ``accept(username, password)`` and the earlier failures from the same address.

    Times are seconds of one monotonic clock. Only the addresses with the latest failures are remembered.
    """

    _log = Logger()

    def __init__(self, accept: Callable[[bytes, bytes], bool]) -> None:
        self._accept = accept
        # In the order of the last failures.
        self._failures: dict[str, _Failures] = {}
        self._log_throttle = LogThrottle()
        self._unreported = 0
        self._last_refused = ("", "")
        self.refused = 0
        """The number of logins that were refused, or not checked."""

    def decide(self, username: bytes, password: bytes, address: str, now: float) -> Verdict:
        """Decide about a login from a network address, as ZeroMQ writes it."""
        key = throttle_key(address)
        failures = self._failures.get(key)
        if failures is not None and now - failures.last_time >= RESET_SECONDS:
            del self._failures[key]
            failures = None
        delay = 0.0 if failures is None else failures.delay(now)
        if delay is None:
            self._note_refusal(username, address)
            return Verdict(Entry.LATER)
        if self._accept(username, password):
            return Verdict(Entry.GRANTED, delay)
        self._note_refusal(username, address)
        self._count_failure(key, now)
        return Verdict(Entry.REFUSED, delay)

    def _count_failure(self, key: str, now: float) -> None:
        failures = self._failures.pop(key, None) or _Failures()
        failures.count += 1
        failures.last_time = now
        self._failures[key] = failures
        if len(self._failures) > MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def _note_refusal(self, username: bytes, address: str) -> None:
        self.refused += 1
        self._unreported += 1
        self._last_refused = username.decode("utf-8", "backslashreplace"), address

    def tick(self, now: float) -> None:
        """Log, at most once a minute, how many logins were refused; to be called several times a second."""
        if self._unreported and self._log_throttle.is_due(now):
            username, address = self._last_refused
            self._log.warn(
                "connections refused since the last such line: {count}, for a wrong user name or password, or for too "
                "many of those from the same address; the last was from {address}, as {username}",
                count=self._unreported, address=printable(address), username=printable(_shortened(username)),
            )  # fmt: skip
            self._unreported = 0


def throttle_key(address: str) -> str:
    """Return the key that failures are counted under: an IPv4 address, an IPv6 /64 network, or for ipc a user.

    A client usually has a whole IPv6 network, so counting single addresses would not slow it down.
    """
    if address.startswith("localhost:"):
        return ":".join(address.split(":")[:2])
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, _IPV6_BITS), strict=False))


def _shortened(username: str) -> str:
    return username if len(username) <= _MAX_SHOWN else f"{username[:_MAX_SHOWN]}…"

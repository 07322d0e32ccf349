"""The gate of a broker that asks for passwords: who guesses is slowed down, by address, and told in the log.

Wrong passwords delay the answers to all further questions from their address: to right ones as well, since a quick
answer would tell which was right. Nobody else is delayed.
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
"""In seconds: each wrong guess behind the free ones doubles the delay, up to this."""
MAX_DELAYED = 50
"""So many answers to one address wait at a time; who asks meanwhile is not heard, and asked to come again."""
RESET_SECONDS = 60.0
MAX_ADDRESSES = 1000
_MAX_SHOWN = 40
_IPV6_BITS = 64


class _Failures:
    """What came from one address."""

    def __init__(self) -> None:
        self.count = 0
        self.last_time = 0.0
        self.delayed: deque[float] = deque()
        """When the answers leave that wait."""

    def delay(self, now: float) -> float | None:
        """Return how long an answer has to wait, None for too many that do."""
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
    """Decides who may connect, by ``accept(username, password)`` and what came from the same address before.

    Times are seconds of one clock that goes on evenly. Of the addresses the last that guessed wrong are remembered.
    """

    _log = Logger()

    def __init__(self, accept: Callable[[bytes, bytes], bool]) -> None:
        self._accept = accept
        # The last that guessed wrong comes last.
        self._failures: dict[str, _Failures] = {}
        self._log_throttle = LogThrottle()
        self._unreported = 0
        self._last_refused = ("", "")
        self.refused = 0
        """How many were refused or not heard."""

    def decide(self, username: bytes, password: bytes, address: str, now: float) -> Verdict:
        """Return what becomes of somebody at a network address, as ZeroMQ writes it."""
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
        """Say in the log, once a minute at most, how many were refused; to be called often."""
        if self._unreported and self._log_throttle.is_due(now):
            username, address = self._last_refused
            self._log.warn(
                "connections refused since the last such line: {count}, for a wrong user name or password, or after "
                "too many of those from their address; the last was from {address}, as {username}",
                count=self._unreported, address=printable(address), username=printable(_shortened(username)),
            )  # fmt: skip
            self._unreported = 0


def throttle_key(address: str) -> str:
    """Return what counts as one address: of IPv6 a network, which is one customer's, and of ipc a user."""
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

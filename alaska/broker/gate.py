"""The gate of a broker that asks for passwords: who guesses is slowed down, by address, and told in the log.

Wrong passwords delay the answers to all further questions from their address: to right ones as well, since a quick
answer would tell which was right. Nobody else is delayed.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Callable

from twisted.logger import Logger

from alaska.broker.pace import Pace
from alaska.interfaces import Entry, Verdict
from alaska.names import printable

FREE_GUESSES = 3
FIRST_DELAY = 0.25
MOST_DELAY = 3.0
"""In seconds: each wrong guess behind the free ones doubles the delay, up to this."""
MOST_DELAYED = 50
"""So many answers to one address wait at a time; who asks meanwhile is not heard, and asked to come again."""
FORGIVEN_SECONDS = 60.0
MOST_ADDRESSES = 1000
_MOST_SHOWN = 40
_IPV6_BITS = 64


class _Guesses:
    """What came from one address."""

    def __init__(self) -> None:
        self.wrong = 0
        self.last = 0.0
        self.delayed: deque[float] = deque()
        """When the answers leave that wait."""

    def delay(self, now: float) -> float | None:
        """Return how long an answer has to wait, None for too many that do."""
        while self.delayed and self.delayed[0] <= now:
            self.delayed.popleft()
        if self.wrong < FREE_GUESSES:
            return 0.0
        if len(self.delayed) >= MOST_DELAYED:
            return None
        seconds = min(FIRST_DELAY * 2.0 ** min(self.wrong - FREE_GUESSES, 10), MOST_DELAY)
        self.delayed.append(now + seconds)
        return seconds


class Gate:
    """Decides who may connect, by ``accept(username, password)`` and what came from the same address before.

    Times are seconds of one clock that goes on evenly. Of the addresses the last that guessed wrong are remembered.
    """

    _log = Logger()

    def __init__(self, accept: Callable[[bytes, bytes], bool]) -> None:
        self._accept = accept
        # The last that guessed wrong comes last.
        self._guesses: dict[str, _Guesses] = {}
        self._pace = Pace()
        self._untold = 0
        self._last = ("", "")
        self.refused = 0
        """How many were refused or not heard."""

    def ask(self, username: bytes, password: bytes, address: str, now: float) -> Verdict:
        """Return what becomes of somebody at a network address, as ZeroMQ writes it."""
        key = neighbourhood(address)
        guesses = self._guesses.get(key)
        if guesses is not None and now - guesses.last >= FORGIVEN_SECONDS:
            del self._guesses[key]
            guesses = None
        delay = 0.0 if guesses is None else guesses.delay(now)
        if delay is None:
            self._note(username, address)
            return Verdict(Entry.LATER)
        if self._accept(username, password):
            return Verdict(Entry.GRANTED, delay)
        self._note(username, address)
        self._count(key, now)
        return Verdict(Entry.REFUSED, delay)

    def _count(self, key: str, now: float) -> None:
        guesses = self._guesses.pop(key, None) or _Guesses()
        guesses.wrong += 1
        guesses.last = now
        self._guesses[key] = guesses
        if len(self._guesses) > MOST_ADDRESSES:
            del self._guesses[next(iter(self._guesses))]

    def _note(self, username: bytes, address: str) -> None:
        self.refused += 1
        self._untold += 1
        self._last = username.decode("utf-8", "backslashreplace"), address

    def tick(self, now: float) -> None:
        """Say in the log, once a minute at most, how many were refused; to be called often."""
        if self._untold and self._pace.is_due(now):
            username, address = self._last
            self._log.warn(
                "connections refused since the last such line: {count}, for a wrong user name or password, or after "
                "too many of those from their address; the last was from {address}, as {username}",
                count=self._untold, address=printable(address), username=printable(_shortened(username)),
            )  # fmt: skip
            self._untold = 0


def neighbourhood(address: str) -> str:
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
    return username if len(username) <= _MOST_SHOWN else f"{username[:_MOST_SHOWN]}…"

"""Counts connections that are accepted or refused, and logs the refused ones at most once a minute."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from twisted.logger import Logger

from alaska.broker.log_throttle import LogThrottle
from alaska.names import printable


class Reason(Enum):
    """Why a connection is not accepted; the value completes "refused …"."""

    PASSWORD = "for a wrong user name or password"  # noqa: S105  # it is not one
    KEY = "for a key that is not known"
    BUSY = "not checked, because too many logins wait or have failed at the same address"


@dataclass(slots=True)
class SecurityCounters:
    """The number of connections that were accepted or refused since the start, by mechanism.

    ``unchecked`` logins are told to try again later.
    """

    plain_accepted: int = 0
    plain_refused: int = 0
    curve_accepted: int = 0
    curve_refused: int = 0
    unchecked: int = 0

    def refused(self) -> dict[str, int]:
        """Return how many connections were refused, by reason."""
        return {"password": self.plain_refused, "key": self.curve_refused, "unchecked": self.unchecked}


class ConnectionLog:
    """Logs how many connections were refused, and who was the last: never a password."""

    _log = Logger()

    def __init__(self) -> None:
        self._throttle = LogThrottle()
        self._counts: Counter[Reason] = Counter()
        self._last = ("", "")

    def note(self, reason: Reason, address: str, who: str) -> None:
        """Note a refused connection; ``who`` completes "the last was …"."""
        self._counts[reason] += 1
        self._last = address, who

    def tick(self, now: float) -> None:
        """Log, at most once a minute, how many connections were refused; to be called several times a second."""
        if self._counts and self._throttle.is_due(now):
            address, who = self._last
            self._log.warn(
                "connections refused since the last such line: {count} ({reasons}); the last was {who}, from {address}",
                count=sum(self._counts.values()),
                reasons=", ".join(f"{count} {reason.value}" for reason, count in self._counts.items()),
                who=printable(who),
                address=printable(address),
            )
            self._counts.clear()

"""The log of frequent events, such as requests: recorded at low cost, and formatted together when the log is written.

A logger's event takes longer than a short script. So a frequent event is recorded as its time and plain values. The
observer of the program's log takes all records when it writes (:attr:`Records.wake`); without one, each record becomes
an event of the logger at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import time
from typing import Any, NamedTuple, TypeAlias

from twisted.logger import Logger


class Kind(NamedTuple):
    """A kind of frequent event: how its values are shown, as one line of printable text and as fields of JSON."""

    log: Logger
    text: Callable[..., str]
    fields: Callable[..., dict[str, str | int | float]]


Record: TypeAlias = tuple[float, Kind, tuple[Any, ...]]
"""A frequent event: its time in seconds since 1970, its kind and its values."""


class Records:
    """The frequent events that are not written yet. :meth:`add` is called in one thread, :meth:`take` in any."""

    def __init__(self) -> None:
        self._waiting: deque[Record] = deque()
        self._is_due = False
        self.wake: Callable[[], None] = self._log_all
        """Called once when there are records, until they are taken."""

    def add(self, kind: Kind, *values: object) -> None:
        """Record an event that occurs now."""
        self._waiting.append((time(), kind, values))
        if not self._is_due:
            self._is_due = True
            self.wake()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> list[Record]:
        """Return and forget all records, in order."""
        # Cleared first, so that a record that is added meanwhile calls wake again.
        self._is_due = False
        taken: list[Record] = []
        waiting = self._waiting
        with suppress(IndexError):  # Another thread may take records at the same time.
            while waiting:
                taken.append(waiting.popleft())
        return taken

    def _log_all(self) -> None:
        for _, kind, values in self.take():
            kind.log.info("{text}", text=kind.text(*values), **kind.fields(*values))


records = Records()
"""The records of this process; global, like the log."""

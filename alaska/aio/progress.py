"""What functions tell of how far their requests are: only as much is sent as the broker passes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

SECONDS = 0.2
"""The interval of the reports about one request, of which the broker passes on 5 in a second."""
Key = tuple[int, int]
"""The session and the lease of a request."""


class Reports:
    """The reports of a service: the first one about a request is sent at once, and of later ones always the last.

    ``send`` is called in the loop, with the report, the session and the lease.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, send: Callable[[bytes, int, int], None]) -> None:
        self._loop = loop
        self._send = send
        self._lock = threading.Lock()
        # None: nothing was told since the last report was sent, less than the interval ago.
        self._waiting: dict[Key, bytes | None] = {}

    def add(self, key: Key, report: bytes) -> None:
        """Send a report, at once or later; callable in any thread."""
        with self._lock:
            is_first = key not in self._waiting
            self._waiting[key] = report
        if is_first:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._send_last, key)

    def end(self, key: Key) -> None:
        """Forget a request that has ended."""
        with self._lock:
            self._waiting.pop(key, None)

    def _send_last(self, key: Key) -> None:
        with self._lock:
            report = self._waiting.get(key)
            if report is None:
                self._waiting.pop(key, None)
                return
            self._waiting[key] = None
        self._send(report, *key)
        self._loop.call_later(SECONDS, self._send_last, key)

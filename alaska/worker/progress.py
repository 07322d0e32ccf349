"""The progress that scripts tell with ``alaska.progress``: kept to be shown, and told to the broker.

The broker is told at most four times in a second about each request, and always what was told last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from alaska.lua.request import Request
from alaska.mlm.progress import Progress, read_progress, write_progress

INTERVAL_SECONDS = 0.25
MOST_TEXT_OCTETS = 256
"""The maximum size of a text that is kept; the broker is told a little less."""

Tell = Callable[[Request, bytes], None]
"""Tells the broker about a request; the octets are the reason of the CONFIRM."""


class _Told:
    """The newest progress of one request, and what the broker knows of it."""

    __slots__ = ("is_pending", "progress", "request", "told_at")

    def __init__(self, request: Request, progress: Progress) -> None:
        self.request = request
        self.progress = progress
        self.is_pending = True
        self.told_at = float("-inf")


class ProgressReports:
    """The progress of running requests. ``tell`` is called in the reactor, as are all methods."""

    def __init__(self, reactor: IReactorTime, tell: Tell) -> None:
        self._reactor = reactor
        self._tell = tell
        # Asked for each run that ends, so without a call.
        # By object id: a request stays the same object from its delivery to its end.
        self.told: dict[int, _Told] = {}
        self._due: IDelayedCall | None = None

    def add(self, request: Request, text: bytes) -> None:
        """Take over what a running script has told; what is not valid is ignored."""
        progress = _read(text)
        if progress is None:
            return
        told = self.told.get(id(request))
        if told is None:
            told = self.told[id(request)] = _Told(request, progress)
        told.progress, told.is_pending = progress, True
        if self._reactor.seconds() - told.told_at >= INTERVAL_SECONDS:
            self._tell_now(told)
        elif self._due is None:
            self._due = self._reactor.callLater(INTERVAL_SECONDS, self._tell_pending)

    def ended(self, request: Request, text: bytes) -> None:
        """Tell what is pending of a request that has ended, and forget it; ``text`` is the last progress, or empty."""
        if text:
            self.add(request, text)
        told = self.told.pop(id(request), None)
        if told is not None and told.is_pending:
            self._tell_now(told)

    def of(self, request: Request) -> Progress | None:
        """Return the newest progress of a request, or None."""
        told = self.told.get(id(request))
        return None if told is None else told.progress

    def __iter__(self) -> Iterator[tuple[Request, Progress]]:
        """Iterate over the requests that have told their progress."""
        return iter([(told.request, told.progress) for told in self.told.values()])

    def stop(self) -> None:
        """Tell nothing more; the worker ends."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self.told.clear()

    def _tell_now(self, told: _Told) -> None:
        told.is_pending = False
        told.told_at = self._reactor.seconds()
        self._tell(told.request, write_progress(told.progress.fraction, told.progress.text))

    def _tell_pending(self) -> None:
        """Tell what is pending; what was told a short while ago waits for its own interval."""
        self._due = None
        latest = self._reactor.seconds() - INTERVAL_SECONDS
        pending = [told for told in self.told.values() if told.is_pending]
        for told in pending:
            if told.told_at <= latest:
                self._tell_now(told)
        if any(told.is_pending for told in pending):
            self._due = self._reactor.callLater(INTERVAL_SECONDS / 2, self._tell_pending)


def _read(text: bytes) -> Progress | None:
    """Return the progress that a script, or a hostile process, has told; None if it is not valid."""
    number, _, words = text.partition(b" ")
    fraction = read_progress(number)
    return None if fraction is None else Progress(fraction.fraction, words[:MOST_TEXT_OCTETS])

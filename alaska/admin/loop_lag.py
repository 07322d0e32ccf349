"""The metrics of the process that Alaska measures itself: its version, and how late its event loop is."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

import alaska
import twisted
from alaska.admin.families import Family, Filled, Kind
from alaska.system.histogram import Histogram

BUILD = Family("alaska_build_info", Kind.GAUGE, "1; the labels are the versions.", ("version", "python", "twisted"))
LAG = Family(
    "alaska_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "How late the event loop made a call that was due, four times a second.",
)
FAMILIES = (BUILD, LAG)
CHECK_SECONDS = 0.25
CHECKS_OF_PERIOD = 20


class LoopLag(Service):
    """Measures, while it runs, how late the event loop makes calls."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._due: IDelayedCall | None = None
        self.seconds = Histogram()
        # The worst of this period and of the one before.
        self._worst = [0.0, 0.0]
        self._checks = 0

    def startService(self) -> None:
        """Begin to measure."""
        super().startService()
        self._schedule()

    def _schedule(self) -> None:
        due = self._reactor.seconds() + CHECK_SECONDS
        self._due = self._reactor.callLater(CHECK_SECONDS, self._check, due)

    def _check(self, due: float) -> None:
        late = max(0.0, self._reactor.seconds() - due)
        self.seconds.add(late)
        self._checks += 1
        if self._checks % CHECKS_OF_PERIOD == 0:
            self._worst = [0.0, self._worst[0]]
        self._worst[0] = max(self._worst[0], late)
        self._schedule()

    def worst(self) -> float:
        """Return how many seconds late the event loop was at worst within the last five to ten seconds."""
        return max(self._worst)

    def stopService(self) -> None:
        """Stop."""
        super().stopService()
        if self._due is not None and self._due.active():
            self._due.cancel()

    def metrics(self) -> Iterable[Filled]:
        """Return the metrics of the process that Alaska measures itself."""
        yield BUILD, [((alaska.__version__, platform.python_version(), twisted.__version__), 1.0)]
        yield LAG, [((), self.seconds.read())]

"""Health: whether the process lives, and whether it is ready to work, with the reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from alaska.admin.health import Check, Checks, Warnings
from alaska.admin.http.answers import TEXT, Answer, in_json
from alaska.admin.http.routes import Asked

MOST_LOOP_LAG = 5.0
"""How many seconds late the event loop may be; then the process does not count as alive."""


class Health(msgspec.Struct):
    """All conditions: those of a live process, and those of one that is ready.

    ``warnings`` say what an operator should change although the process works.
    """

    ok: bool
    live: list[Check]
    ready: list[Check]
    warnings: list[str]


class HealthPages:
    """Answers about health. ``ready`` and ``warnings`` are those of the broker, the worker, or both.

    ``lag`` returns how many seconds late the event loop was at worst within the last seconds.
    """

    def __init__(
        self, ready: list[Checks], lag: Callable[[], float] = lambda: 0.0, warnings: Sequence[Warnings] = ()
    ) -> None:
        self._ready = ready
        self._lag = lag
        self._warnings = warnings

    def _live_checks(self) -> list[Check]:
        lag = self._lag()
        if lag <= MOST_LOOP_LAG:
            return [Check("loop", True)]
        return [Check("loop", False, f"the event loop was {lag:.1f} s late")]

    def _ready_checks(self) -> list[Check]:
        return [check for checks in self._ready for check in checks()]

    def live(self, asked: Asked) -> Answer:
        """Answer whether the event loop turns."""
        del asked
        return _in_text(self._live_checks())

    def ready(self, asked: Asked) -> Answer:
        """Answer whether the process is ready to work."""
        del asked
        return _in_text(self._ready_checks())

    def health(self, asked: Asked) -> Answer:
        """Answer with all conditions."""
        del asked
        live, ready = self._live_checks(), self._ready_checks()
        is_well = all(check.ok for check in [*live, *ready])
        # An embedded broker says of its workers what they say of themselves.
        warnings = list(dict.fromkeys(warning for found in self._warnings for warning in found()))
        return in_json(Health(is_well, live, ready, warnings), 200 if is_well else 503)


def _in_text(checks: list[Check]) -> Answer:
    """Return an answer for probes: ``ok``, or a line for each condition that does not hold."""
    faults = [f"{check.name}: {check.reason}\n" for check in checks if not check.ok]
    return Answer(503 if faults else 200, "".join(faults or ["ok\n"]).encode(), TEXT)

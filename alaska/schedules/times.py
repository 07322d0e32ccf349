"""The times of a cron expression in a time zone.

The package cronsim knows the format, and does as Debian's cron when a clock is set for summer time: what is due at a
time of day that is left out is due right after it, and what is due at a time that comes twice is due the first time.
An expression whose minutes or hours begin with ``*``, or with seconds, goes by the time that passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone, tzinfo
from itertools import islice

from cronsim import CronSim, CronSimError

from alaska.errors import ScheduleError

NEVER = math.inf
MOST_OCTETS = 255
"""The maximum size of an expression."""
SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MOST_TRIED = 100
_FIELDS = (5, 6)
_EXPECTED = "five fields (minute, hour, day of the month, month, day of the week), or six with the second first"
_SOME_DAY = datetime(2000, 1, 1, tzinfo=timezone.utc)


def check(cron: str) -> None:
    """Check an expression, which takes at most 25 ms.

    :raises ScheduleError: it is not valid, or has no time within 50 years.
    """
    octets = len(cron.encode("utf-8", "surrogatepass"))
    if octets > MOST_OCTETS:
        raise ScheduleError(f"a cron expression has at most {MOST_OCTETS} octets, found {octets}")
    expression = SHORT.get(cron, cron)
    if expression.startswith("@"):
        raise ScheduleError(f"the cron expression {cron!r} is none of {', '.join(SHORT)}")
    if (fields := len(expression.split())) not in _FIELDS:
        raise ScheduleError(f"a cron expression has {_EXPECTED}, found {fields} in {cron!r}")
    try:
        found = next(CronSim(expression, _SOME_DAY), None)
    except CronSimError as error:
        raise ScheduleError(f"the cron expression {cron!r} is not valid: {str(error).lower()}") from None
    if found is None:
        raise ScheduleError(f"the cron expression {cron!r} has no time within 50 years")


class Times:
    """The times of a checked expression in a time zone, in seconds since 1970."""

    def __init__(self, cron: str, zone: tzinfo) -> None:
        self._cron = SHORT.get(cron, cron)
        self._zone = zone

    def after(self, moment: float) -> float:
        """Return the first time after a moment; :data:`NEVER` if there is none, or it is beyond the calendar."""
        return next(iter(self.upcoming(moment, 1)), NEVER)

    def before(self, moment: float) -> float:
        """Return a time shortly before a moment, in most cases the last one; minus :data:`NEVER` if there is none."""
        with suppress(OverflowError, ValueError, OSError):
            start = datetime.fromtimestamp(moment, self._zone)
            for each in islice(CronSim(self._cron, start, reverse=True), _MOST_TRIED):
                if (time := each.timestamp()) < moment:
                    return time
        return -NEVER

    def upcoming(self, moment: float, count: int) -> list[float]:
        """Return the next times after a moment, at most ``count``: each takes about 0.1 ms."""
        found: list[float] = []
        # Years have at most four digits.
        with suppress(OverflowError, ValueError, OSError):
            found.extend(islice(self._later(moment), count))
        return found

    def _later(self, moment: float) -> Iterator[float]:
        for each in CronSim(self._cron, datetime.fromtimestamp(moment, self._zone)):
            # In the second half of an hour that comes twice, cronsim begins with times of the first half, which have
            # passed. Several times of day that are left out are made up for at the same time, and once.
            if (time := each.timestamp()) > moment:
                yield (moment := time)

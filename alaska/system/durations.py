"""Durations as people write them: ``500ms``, ``90s``, ``5m``, ``2h``, ``30d``."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_DURATION = re.compile("([0-9]{1,12})(ms|s|m|h|d)")


def to_milliseconds(text: str) -> int:
    """Return a duration in milliseconds.

    :raises ValueError: the text is not a number with a unit.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r} is not a duration such as 500ms, 90s, 5m, 2h or 30d")
    return int(found[1]) * _UNITS[found[2]]


def to_text(milliseconds: int) -> str:
    """Return a duration with the largest unit that shows it exactly."""
    unit, length = next((each for each in _UNITS.items() if milliseconds and milliseconds % each[1] == 0), ("s", 1000))
    return f"{milliseconds // length}{unit}"

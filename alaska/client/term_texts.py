"""The terms of a send as text: as ``alas`` takes them as options, and HTTP as headers.

All functions raise ValueError for a text that is not valid, and say what is wrong with it.
"""

from __future__ import annotations

import re
from datetime import datetime

from alaska.client.terms import MOST_SECONDS
from alaska.system.retry_plan import MOST_ATTEMPTS, backoff_of

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_FRACTION = re.compile(r"(?<=:\d\d)\.(\d{1,9})(?=[+-]|$)", re.ASCII)
_TIME = re.compile(r"[\dW-]+(?:[Tt ][\d:.,]+(?:[+-][\d:.]+)?)?", re.ASCII)
"""What a time may look like: before Python 3.11, datetime.fromisoformat skips other characters."""
_LONGEST_TIME = 64


def duration(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``1.5h`` or ``250ms``; a number alone is in seconds."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is not a duration, such as 90s, 10m, 1.5h or 7d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > MOST_SECONDS:
        raise ValueError("the duration is too long")
    return seconds


def point_in_time(text: str) -> datetime:
    """Return a time of ISO 8601, such as ``2026-12-01T08:00Z``; one without a time zone stays without."""
    written = text.strip()
    # datetime.fromisoformat reads a Z, and fractions of any length, from Python 3.11 on.
    if written[-1:] in ("Z", "z"):
        written = written[:-1] + "+00:00"
    written = _FRACTION.sub(lambda found: f".{found[1][:6]:0<6}", written)
    try:
        if len(written) > _LONGEST_TIME or _TIME.fullmatch(written) is None:
            raise ValueError
        return datetime.fromisoformat(written)
    except ValueError:
        raise ValueError("it is not a time, such as 2026-12-01T08:00Z or 2026-12-01T08:00+01:00") from None


def priority(text: str) -> int:
    """Return a priority from 0 to 9."""
    if len(text) != 1 or text not in "0123456789":
        raise ValueError("it is not a priority from 0 to 9")
    return int(text)


def attempts(text: str) -> int:
    """Return a number of attempts."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_ATTEMPTS))):
        raise ValueError("it is not a number of attempts")
    if not 1 <= int(text) <= MOST_ATTEMPTS:
        raise ValueError(f"it is not from 1 to {MOST_ATTEMPTS}")
    return int(text)


def backoff(text: str) -> tuple[float, float]:
    """Return the first and the longest wait between attempts, such as ``2s..10m``."""
    first, found, most = text.partition("..")
    if not found:
        raise ValueError("it is not two durations, such as 2s..10m")
    waits = duration(first), duration(most)
    backoff_of(*(round(1000 * wait) for wait in waits))
    return waits

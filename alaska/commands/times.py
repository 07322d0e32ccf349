"""Durations, times and other terms of a message on the command line."""

from __future__ import annotations

import argparse
import re
from datetime import datetime

from alaska.system.retry_plan import MOST_ATTEMPTS, backoff_of

_DURATION = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
MOST_SECONDS = 2**53 / 1000


def duration(text: str) -> float:
    """Parse a duration such as ``90s``, ``1.5h`` or ``250ms``; a number alone is in seconds.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError("it is not a duration, such as 90s, 10m, 1.5h or 7d")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > MOST_SECONDS:
        raise argparse.ArgumentTypeError("the duration is too long")
    return seconds


def point_in_time(text: str) -> datetime:
    """Parse a time of ISO 8601, such as ``2026-12-01T08:00Z``; one without a time zone is local.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    # datetime.fromisoformat reads a Z from Python 3.11 on.
    written = text.strip()
    try:
        found = datetime.fromisoformat(written[:-1] + "+00:00" if written[-1:] in ("Z", "z") else written)
        return found.astimezone()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError("it is not a time, such as 2026-12-01T08:00Z or 2026-12-01 08:00") from None


def priority(text: str) -> int:
    """Parse a priority from 0 to 9.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    if len(text) != 1 or text not in "0123456789":
        raise argparse.ArgumentTypeError("it is not a priority from 0 to 9")
    return int(text)


def attempts(text: str) -> int:
    """Parse a number of attempts.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_ATTEMPTS))):
        raise argparse.ArgumentTypeError("it is not a number of attempts")
    if not 1 <= int(text) <= MOST_ATTEMPTS:
        raise argparse.ArgumentTypeError(f"it is not from 1 to {MOST_ATTEMPTS}")
    return int(text)


def backoff(text: str) -> tuple[float, float]:
    """Parse the first and the longest wait between attempts, such as ``2s..10m``.

    :raises argparse.ArgumentTypeError: it is invalid.
    """
    first, found, most = text.partition("..")
    if not found:
        raise argparse.ArgumentTypeError("it is not two durations, such as 2s..10m")
    waits = duration(first), duration(most)
    try:
        backoff_of(*(round(1000 * wait) for wait in waits))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return waits

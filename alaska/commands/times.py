"""Durations, times and other terms of a message on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import TypeVar

from alaska.client import term_texts

T = TypeVar("T")


def _option(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Return a parser for argparse, which shows the text of an ArgumentTypeError only."""

    @wraps(parse)
    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


duration = _option(term_texts.duration)
priority = _option(term_texts.priority)
attempts = _option(term_texts.attempts)
backoff = _option(term_texts.backoff)


@_option
def point_in_time(text: str) -> datetime:
    """Parse a time of ISO 8601, such as ``2026-12-01T08:00Z``; one without a time zone is local."""
    found = term_texts.point_in_time(text)
    try:
        return found.astimezone()
    except (ValueError, OverflowError, OSError):
        raise ValueError("it is not a time, such as 2026-12-01T08:00Z or 2026-12-01 08:00") from None

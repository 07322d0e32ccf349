"""Decide which of many similar events are logged."""

from __future__ import annotations


def should_log(count: int) -> bool:
    """Return whether to log an event that has occurred ``count`` times: the 1st, 10th, 100th and so on."""
    return str(count).rstrip("0") == "1"

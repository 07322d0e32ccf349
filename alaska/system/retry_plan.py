"""Retry plans: how often a request may be tried, and how long it waits between two tries.

A plan may say only part of it. Messages, scripts, services and workers have plans; of each part, the first one that is
given counts (:func:`merged`).
"""

from __future__ import annotations

from typing import NamedTuple

DAY_MILLISECONDS = 86_400_000
MOST_MILLISECONDS = 30 * DAY_MILLISECONDS
"""The longest time that a request may wait for its next try."""
MOST_RETRIES = 1000
MOST_ATTEMPTS = MOST_RETRIES + 1
_MOST_DIGITS = 10
_MOST_DOUBLINGS = 32


class Backoff(NamedTuple):
    """The wait after the first try, and the longest wait, in milliseconds; each wait is twice the one before it."""

    first: int
    most: int

    def milliseconds(self, attempt: int, chance: float) -> int:
        """Return how long to wait after a failed attempt, the first being 1; ``chance`` is from 0 to 1."""
        longest = min(self.most, self.first << min(max(attempt, 1) - 1, _MOST_DOUBLINGS))
        # Half of it is random, so that requests that failed together are not retried together.
        return max(1, round(longest * (0.5 + chance / 2)))


class Plan(NamedTuple):
    """A retry plan: how many times a request may be tried in all, and the waits; None: it does not say."""

    attempts: int | None = None
    backoff: Backoff | None = None


NO_PLAN = Plan()


def merged(*plans: Plan | None) -> Plan:
    """Return the plan whose parts are each the first that one of the plans gives."""
    attempts = backoff = None
    for plan in plans:
        if plan is not None:
            attempts = plan.attempts if attempts is None else attempts
            backoff = plan.backoff if backoff is None else backoff
    return Plan(attempts, backoff)


def backoff_of(first: int, most: int) -> Backoff:
    """Return a backoff.

    :raises ValueError: the numbers are out of range, or the first wait is longer than the longest.
    """
    if not 1 <= first <= most <= MOST_MILLISECONDS:
        raise ValueError("the first wait must be at least 1 ms and at most the longest wait, which is at most 30 days")
    return Backoff(first, most)


def backoff_from(octets: bytes) -> Backoff:
    """Return the backoff in the property ``backoff`` of a message: two numbers of milliseconds.

    :raises ValueError: it is not valid.
    """
    parts = octets.split(b" ")
    if len(parts) != 2 or not all(part.isdigit() and len(part) <= _MOST_DIGITS for part in parts):
        raise ValueError("a backoff is two numbers of milliseconds")
    return backoff_of(int(parts[0]), int(parts[1]))

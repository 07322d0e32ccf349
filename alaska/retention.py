"""How much of a stream is kept for those who want it later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a stream is kept for those who want it later: so many records, octets and seconds; None: no limit.

    With a count of 0, as it is unless something is said, nothing is.
    """

    most_records: int | None = 0
    most_octets: int | None = None
    most_seconds: float | None = None

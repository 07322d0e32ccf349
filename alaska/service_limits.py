"""Limits of a service as they are configured: how many requests a second, and how many at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

SECONDS_OF: Final = {"s": 1, "m": 60, "h": 3600}
"""The units of time of a rate, in seconds."""


class Rate(NamedTuple):
    """A number of deliveries in a unit of time, which is one of :data:`SECONDS_OF`."""

    number: int
    unit: str

    @property
    def per_second(self) -> float:
        """The number of deliveries in a second."""
        return self.number / SECONDS_OF[self.unit]

    def __str__(self) -> str:
        return f"{self.number}/{self.unit}"


@dataclass(frozen=True, slots=True)
class ServiceLimit:
    """A limit for the requests of a service: all of them, or those together whose subject matches a pattern.

    At most ``rate`` of them are delivered, up to ``burst`` at once after a pause; at most ``running`` are delivered and
    not yet confirmed. None: no limit. ``subject`` is the source of the pattern; None: all requests.
    """

    service: bytes
    subject: bytes | None = None
    rate: Rate | None = None
    burst: int = 1
    running: int | None = None

    def __str__(self) -> str:
        parts = [
            ("subject", None if self.subject is None else self.subject.decode("utf-8", "backslashreplace")),
            ("rate", self.rate),
            ("burst", self.burst if self.rate is not None and self.burst > 1 else None),
            ("running", self.running),
        ]
        name = self.service.decode("utf-8", "backslashreplace")
        return " ".join([name, *(f"{key}={value}" for key, value in parts if value is not None)])

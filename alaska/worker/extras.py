"""What a request has besides what each request has: headers, trace, retry plan, and how often it was put off."""

from __future__ import annotations

from typing import NamedTuple

from twisted.logger import Logger

from alaska.mlm.commands import MAX_STRING_OCTETS, Properties
from alaska.mlm.properties import headers_of, to_number, to_octets
from alaska.mlm.terms import ID
from alaska.names import printable
from alaska.system.events import should_log
from alaska.system.retry_plan import MOST_ATTEMPTS, Backoff, Plan, backoff_from
from alaska.traces.context import RunTrace, of_run

_SHOWN_OCTETS = 40
MOST_SNOOZES = 2**31 - 1
"""The highest number that is shown to scripts."""


class Extras(NamedTuple):
    """The parts of a request of which most have none."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    trace: RunTrace | None = None
    plan: Plan | None = None
    snoozes: int = 0
    id: bytes = b""
    stream: bytes | None = None
    position: int | None = None


NONE = Extras()


class ExtrasReader:
    """Reads extras from the properties of requests.

    What of a retry plan is not valid is ignored, counted and logged.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.ignored = 0

    def read(self, properties: Properties) -> Extras:
        """Return the extras in properties, which come from any client."""
        plan: Plan | None = None
        if "attempts" in properties or "backoff" in properties:
            plan = Plan(self._attempts(properties), self._backoff(properties))
        # Until a request was put off, the number is what its sender has written.
        snoozes = min(to_number(properties.get("snoozes")) or 0, MOST_SNOOZES)
        name = to_octets(properties[ID])[:MAX_STRING_OCTETS] if ID in properties else b""
        stream, position = None, to_number(properties.get("position"))
        if position is not None:
            stream = to_octets(properties.get("stream", b""))[:MAX_STRING_OCTETS]
        return Extras(headers_of(properties), of_run(properties), plan, snoozes, name, stream, position)

    def _attempts(self, properties: Properties) -> int | None:
        value = properties.get("attempts")
        if value is None:
            return None
        attempts = to_number(value)
        if not attempts:
            self._ignore("attempts", value)
            return None
        return min(attempts, MOST_ATTEMPTS)

    def _backoff(self, properties: Properties) -> Backoff | None:
        value = properties.get("backoff")
        if value is None:
            return None
        try:
            return backoff_from(to_octets(value))
        except ValueError:
            self._ignore("backoff", value)
            return None

    def _ignore(self, name: str, value: object) -> None:
        self.ignored += 1
        if should_log(self.ignored):
            shown = printable(to_octets(value)[:_SHOWN_OCTETS])
            self._log.warn(
                "the property {name} of a request is not valid, and ignored: {value} ({count} of these so far)",
                name=name,
                value=shown,
                count=self.ignored,
            )

"""The setting ``mlm_server/service/limit``: a service, and what limits its requests."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from alaska.config.kinds import Fault, Kind
from alaska.config.zpl import shown
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.mlm.patterns import compile_pattern
from alaska.service_limits import SECONDS_OF, Rate, ServiceLimit

PATH: Final = "mlm_server/service/limit"
MOST_COUNT: Final = 1_000_000
"""The highest rate, burst and number of running requests."""
MOST_LIMITS: Final = 1000
MOST_OF_SERVICE: Final = 100
"""The maximum number of limits of one service: each of their patterns is matched for itself."""
EXPECTED: Final = (
    "the name of a service and any of subject=PATTERN rate=N/s burst=N running=N, with at least rate or running"
)
_NAMES: Final = ("subject", "rate", "burst", "running")
_COUNT = re.compile("[0-9]{1,7}")
_RATE = re.compile("([0-9]+)/([a-z]+)")
_MIN_SIMILARITY: Final = 0.6


def conflicts(limits: Iterable[ServiceLimit]) -> list[str]:
    """Return a sentence for each reason for which limits cannot be combined."""
    limits = list(limits)
    if len(limits) > MOST_LIMITS:
        return [f"{PATH}: there are {len(limits)} limits, expected at most {MOST_LIMITS}"]
    found = []
    counts: dict[bytes, int] = {}
    known: set[tuple[bytes, bytes | None]] = set()
    for limit in limits:
        counts[limit.service] = counts.get(limit.service, 0) + 1
        if (limit.service, limit.subject) in known:
            scope = "all its requests" if limit.subject is None else f"the subject {shown(limit.subject.decode())}"
            found.append(f"{PATH}: the service {shown(limit.service.decode())} has two limits for {scope}")
        known.add((limit.service, limit.subject))
    found += [
        f"{PATH}: the service {shown(name.decode())} has {count} limits, expected at most {MOST_OF_SERVICE}"
        for name, count in counts.items()
        if count > MOST_OF_SERVICE
    ]
    return found


def _limit(text: str) -> ServiceLimit:
    name, *parts = text.split() or [""]
    if not name or "=" in name:
        raise ValueError(text)
    if len(name.encode()) > MAX_STRING_OCTETS:
        raise Fault(f"the name of a service has at most {MAX_STRING_OCTETS} octets")
    given: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if key not in _NAMES or not equals:
            similar = difflib.get_close_matches(key.lower(), _NAMES, 1, _MIN_SIMILARITY)
            hint = f"; did you mean {similar[0]}=?" if similar else ""
            raise Fault(f"expected {', '.join(f'{each}=' for each in _NAMES)}, found {shown(part)}{hint}")
        if key in given:
            raise Fault(f"{key}= is given more than once")
        given[key] = value
    subject = _pattern(given["subject"]) if "subject" in given else None
    rate = _rate(given["rate"]) if "rate" in given else None
    burst = _count("burst", given["burst"]) if "burst" in given else 1
    running = _count("running", given["running"]) if "running" in given else None
    if rate is None and running is None:
        raise Fault("a limit has rate=, running= or both")
    if rate is None and "burst" in given:
        raise Fault("burst= belongs to a rate=, which is missing")
    return ServiceLimit(name.encode(), subject, rate, burst, running)


def _pattern(value: str) -> bytes:
    source = value.encode()
    if not source:
        raise Fault("subject= is empty; without it, the limit is for all requests of the service")
    compile_pattern(source)
    return source


def _count(key: str, value: str) -> int:
    if _COUNT.fullmatch(value) is None or not 1 <= int(value) <= MOST_COUNT:
        raise Fault(f"{key}= must be a number from 1 to {MOST_COUNT}, found {shown(value)}")
    return int(value)


def _rate(value: str) -> Rate:
    found = _RATE.fullmatch(value)
    if found is None or found[2] not in SECONDS_OF:
        units = " or ".join(f"/{unit}" for unit in SECONDS_OF)
        raise Fault(f"rate= must be a number and {units}, such as 50/s, found {shown(value)}")
    return Rate(_count("rate", found[1]), found[2])


LIMIT: Final = Kind(EXPECTED, _limit)

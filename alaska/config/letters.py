"""The settings of dead letters (docs/dead-letters.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from alaska.config.entries import setting
from alaska.config.kinds import (
    COUNT,
    FLAG,
    GIVEN_LIFETIME,
    GIVEN_SIZE,
    MAX_LIFETIME,
    MAX_OCTETS,
    SECONDS,
    SIZE,
    TWO_NAMES,
)
from alaska.names import is_brokers_own, printable

SERVICES = "mlm_server/service/dead-letters"


def count() -> int | None:
    """Declare the maximum number."""
    return setting(
        "mlm_server/letters/count",
        COUNT,
        "10000",
        "Maximum number of dead letters; the oldest are dropped first.",
        live=True,
    )


def size() -> int | None:
    """Declare the maximum total size."""
    return setting(
        "mlm_server/letters/size",
        SIZE,
        "16777216",
        "Maximum total size of the dead letters; the oldest are dropped first.",
        live=True,
    )


def size_limit() -> int | None:
    """Declare the other name of the maximum total size."""
    return setting(
        "mlm_server/letters/size-limit",
        GIVEN_SIZE,
        None,
        "The same as `size`, which it replaces if both are given.",
        live=True,
    )


def most_octets(size: int | None, size_limit: int | None) -> int | None:
    """Return the maximum total size from its two settings; None: no limit."""
    return size if size_limit is None else None if size_limit >= MAX_OCTETS else size_limit


def age() -> int | None:
    """Declare the maximum age in seconds."""
    return setting(
        "mlm_server/letters/age",
        SECONDS,
        "2592000",
        "Maximum age of a dead letter; older ones are dropped.",
        live=True,
    )


def ttl() -> int | None:
    """Declare the maximum age in milliseconds."""
    return setting(
        "mlm_server/letters/ttl",
        GIVEN_LIFETIME,
        None,
        "The same as `age` in milliseconds, which it replaces if both are given.",
        live=True,
    )


def most_seconds(age: int | None, ttl: int | None) -> float | None:
    """Return the maximum age in seconds from its two settings; None: no limit."""
    return age if ttl is None else None if ttl >= MAX_LIFETIME else ttl / 1000


def is_open() -> bool:
    """Declare whether everyone has access."""
    return setting(
        "mlm_server/letters/open",
        FLAG,
        "0",
        "Let all clients access the dead letters (1), or only local clients of the broker's user, over ipc (0).",
        live=True,
    )


def services() -> tuple[tuple[bytes, bytes], ...]:
    """Declare the services for dead letters."""
    return setting(
        SERVICES,
        TWO_NAMES,
        None,
        "A service, and another one that gets its dead letters as requests, such as `render render-failed` "
        "(docs/dead-letters.md).",
        repeated=True,
        live=True,
    )


def conflicts(services: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Return a sentence for each fault of the services for dead letters."""
    seen: set[bytes] = set()
    for service, other in services:
        if service in seen:
            yield f"{SERVICES}: {printable(service)} is given more than once"
        elif service == other:
            yield f"{SERVICES}: {printable(service)} cannot get its own dead letters"
        elif is_brokers_own(service) or is_brokers_own(other):
            yield f"{SERVICES}: a service of the broker itself neither has dead letters nor gets any"
        seen.add(service)


def warnings(services: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """Return a sentence for each service whose dead letters stay dead letters, although it is given another one."""
    pairs = list(services)
    for service, _ in pairs:
        if service in {other for _, other in pairs}:
            yield (
                f"{SERVICES} has no effect for {printable(service)}: it gets dead letters itself, so its own ones stay "
                "dead letters"
            )

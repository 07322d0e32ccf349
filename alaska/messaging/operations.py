"""Requests of a client to the broker's own services, and their answers (docs/administration.md)."""

from __future__ import annotations

import json
from typing import Any

from alaska import errors
from alaska.messaging.delivery import Delivery


def which(tracker: bytes, identity: bytes, service: bytes) -> bytes:
    """Return the request that means the messages with a tracker, or an id; those of a service, if it is named.

    :raises ValueError: neither or both are given.
    """
    return json.dumps(_which(tracker, identity, service)).encode()


def cancel(tracker: bytes, identity: bytes, service: bytes, is_forced: bool) -> bytes:
    """Return the request that cancels these messages; raises the errors of :func:`which`."""
    return json.dumps({**_which(tracker, identity, service), "force": is_forced}).encode()


def _which(tracker: bytes, identity: bytes, service: bytes) -> dict[str, Any]:
    if bool(tracker) == bool(identity):
        raise ValueError("either a tracker or an id is needed")
    named = {"tracker": tracker, "id": identity, "service": service}
    return {name: escaped(octets) for name, octets in named.items() if octets}


def escaped(octets: bytes) -> str:
    """Return a name as administration shows it: octets that are not UTF-8, and backslashes, are escaped."""
    return octets.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def count_of(answer: Delivery) -> int:
    """Return how many messages an operation was about.

    :raises OperationFailed: it was refused, or has failed.
    """
    try:
        content = json.loads(b"".join(answer.content) or b"{}")
        status, count = int(content.get("status", errors.INTERNAL_ERROR)), int(content.get("count") or 0)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise errors.OperationFailed("the broker gave an answer that cannot be read", errors.INTERNAL_ERROR) from None
    if "error" in content:
        raise errors.OperationFailed(str(content["error"]), status)
    return count


def decoded_letters(answer: Delivery) -> dict[str, Any]:
    """Return an answer about dead letters.

    :raises Refused: there is none.
    """
    if not answer.content:
        raise errors.Refused("no answer about dead letters", errors.NOT_IMPLEMENTED)
    try:
        letters = json.loads(answer.content[0])
    except (ValueError, RecursionError):
        letters = None
    if not isinstance(letters, dict):
        raise errors.Refused("the broker gave an answer that cannot be read", errors.INTERNAL_ERROR)
    return letters

"""Whether a broker is ready: it has bound its endpoints, and can store messages."""

from __future__ import annotations

from alaska.admin.health import Check, check
from alaska.interfaces import IStore

NO_ROOM = "too much waits to be written"
DRAINING = "the broker is draining: it refuses new requests"


def serving(store: IStore, is_draining: bool) -> list[Check]:
    """Return the conditions of a broker that has bound its endpoints, with its store."""
    complaint = store.complaint or (None if store.has_room else NO_ROOM)
    return [check("broker", DRAINING if is_draining else None), check("store", complaint)]


def waiting(failure: str, is_embedded: bool) -> list[Check]:
    """Return the conditions of a broker that has not bound its endpoints, for the last failure to do so.

    For an embedded one, another process may serve them.
    """
    if is_embedded and not failure:
        return [check("broker", None)]
    return [check("broker", failure or "the endpoints are not bound")]

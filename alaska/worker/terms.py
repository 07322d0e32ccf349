"""The terms of a message of a script: from the text of Lua (lua/world/terms.lua) to arguments of the client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from alaska.client.terms import SendTerms, to_terms
from alaska.errors import NOT_IMPLEMENTED, BadTerm, Refused
from alaska.lua.request import Request, Send

NO_TERMS: SendTerms = {}


def terms_of(send: Send, request: Request) -> SendTerms:
    """Return the terms of a message that a script sends for a request.

    Lua has checked them, but the process of a script can report anything.

    :raises Refused: the broker, from which the request came, does not support terms.
    :raises BadTerm: a term is not valid.
    """
    if request.lease is None:
        raise Refused(f"the broker does not support {', '.join(name for name, _ in send.terms)}", NOT_IMPLEMENTED)
    try:
        terms = cast("SendTerms", {name: _READERS[name](octets) for name, octets in send.terms})
        to_terms(terms)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadTerm(f"a term is not valid: {error}") from error
    return terms


def _backoff(octets: bytes) -> tuple[float, ...]:
    return tuple(map(float, octets.split()))


_READERS: dict[str, Callable[[bytes], Any]] = {
    "delay": float,
    "at": float,
    "priority": int,
    "ttl": float,
    "id": bytes,
    "unique_for": float,
    "unique_mode": lambda octets: octets.decode(),
    "attempts": int,
    "backoff": _backoff,
}

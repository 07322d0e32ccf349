"""Endpoints that other machines can reach although nothing protects them."""

from __future__ import annotations

from collections.abc import Iterable

from alaska.authentication import Bind, Mechanism
from alaska.endpoints import tcp


def exposed(binds: Iterable[Bind]) -> list[str]:
    """Return a warning for each endpoint without security that other machines can reach, unless a firewall prevents it.

    A host name or an interface counts as reachable, except ``localhost`` and ``lo``.
    """
    return [
        f"anyone who can reach {bind.endpoint} can read and send everything: it has no authentication and no "
        "encryption. Bind it to 127.0.0.1, or set mlm_server/security/mechanism to curve, or to plain in a trusted "
        "network (docs/security.md)"
        for bind in binds
        if bind.mechanism is Mechanism.NULL and _is_reachable(bind.endpoint)
    ]


def _is_reachable(endpoint: str) -> bool:
    try:
        parts = tcp(endpoint)
    except ValueError:
        return False
    return parts is not None and not parts.is_loopback

"""Networks of one process that share a ZeroMQ context."""

from __future__ import annotations

from collections.abc import Callable

from alaska.interfaces import Reactor
from alaska.links.network import Network


def sharing_networks(reactor: Reactor) -> Callable[[], Network]:
    """Return a factory of networks in one context, so that the parts of a process need no TCP between them."""
    latest: Network | None = None

    def make_network() -> Network:
        nonlocal latest
        latest = Network(reactor, latest)
        return latest

    return make_network

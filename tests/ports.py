"""Endpoints for programs that cannot be told to choose a port themselves."""

from __future__ import annotations

import socket


def free_endpoint() -> str:
    """Return a loopback endpoint whose port is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"

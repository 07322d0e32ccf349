"""Endpoints for programs that need a port number in advance."""

from __future__ import annotations

import socket


def free_endpoint() -> str:
    """Return a loopback endpoint with a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"

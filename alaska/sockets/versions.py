"""The versions of ZeroMQ and of its binding."""

from __future__ import annotations

import zmq


def binding() -> str:
    """Return the version of pyzmq."""
    return zmq.__version__


def library() -> str:
    """Return the version of libzmq."""
    return zmq.zmq_version()

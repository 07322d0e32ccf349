"""Test doubles for the network, the broker, the pool and the disk, and an event loop of asyncio.

May import everything. Begin with :mod:`alaska.testing.network`.
"""

from alaska.testing.broker import ScriptedBroker
from alaska.testing.disk import HandWriting
from alaska.testing.loop import MemoryLoop
from alaska.testing.network import MemoryLink, MemoryNetwork, MemoryProcess, MemoryRouter, run_for
from alaska.testing.pool import HandPool

__all__ = [
    "HandPool",
    "HandWriting",
    "MemoryLink",
    "MemoryLoop",
    "MemoryNetwork",
    "MemoryProcess",
    "MemoryRouter",
    "ScriptedBroker",
    "run_for",
]

"""The addresses that Alaska's own clients open with."""

from __future__ import annotations

import os
import secrets
import socket


def address_of(role: str) -> str:
    """Return an address that begins with a role and that no other client has: ``AW::host::pid-XXXX``."""
    return f"{role}::{socket.gethostname()}::{os.getpid()}-{secrets.randbelow(0x10000):04X}"

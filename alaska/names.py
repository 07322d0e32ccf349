"""Addresses of Alaska's own clients, reserved service names, and names in a form that is safe for logs."""

from __future__ import annotations

import os
import secrets
import socket

from alaska.mlm.commands import MAX_STRING_OCTETS

HTTP = "alaska.http"
"""How the address for replies to requests by HTTP begins.

Access rules let nobody have it, or mail to it except who has been asked.
"""
_OWN = b"alaska."


def address_of(role: str, is_of_script: bool = False) -> str:
    """Return a client address that begins with a role: ``AW::host::pid-XXXX``.

    The role is shortened if the address would exceed 255 octets. A script can choose its role, and cause so many
    addresses that they repeat. So the digits of its addresses are odd, and all others are even.
    """
    rest = f"::{socket.gethostname()}::{os.getpid()}-{2 * secrets.randbelow(0x8000) + is_of_script:04X}"
    while len((role + rest).encode("utf-8", "surrogateescape")) > MAX_STRING_OCTETS:
        role = role[:-1]
    return role + rest


def is_brokers_own(service: bytes) -> bool:
    """Return whether a service name is reserved for the broker itself; scripts cannot use such a service."""
    return service.lower().startswith(_OWN)


def printable(name: bytes | str) -> str:
    """Return a name as one printable line: control characters and invalid UTF-8 are escaped."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    if text.isprintable():
        return text
    # repr escapes control characters 20 times as fast as a loop; scripts can write a megabyte of them.
    return repr('"' + text)[2:-1].replace(r"\\", "\\").replace(r"\'", "'")

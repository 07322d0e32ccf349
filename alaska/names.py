"""Addresses and subjects: those that Alaska's own clients open with, and how a log shows any of them."""

from __future__ import annotations

import os
import secrets
import socket

from alaska.mlm.commands import MAX_STRING_OCTETS

_OWN = b"alaska."


def address_of(role: str) -> str:
    """Return an address that begins with a role and that no other client has: ``AW::host::pid-XXXX``.

    A role with which it would not fit the wire is cut.
    """
    rest = f"::{socket.gethostname()}::{os.getpid()}-{secrets.randbelow(0x10000):04X}"
    while len((role + rest).encode("utf-8", "surrogateescape")) > MAX_STRING_OCTETS:
        role = role[:-1]
    return role + rest


def is_brokers_own(service: bytes) -> bool:
    """Return whether a service is the broker's own, or may become so: it is no business of scripts."""
    return service.lower().startswith(_OWN)


def printable(name: bytes | str) -> str:
    """Return a name as a log can show it: on one line, and without anything that a terminal would obey."""
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else name
    if text.isprintable():
        return text
    # A megabyte of what cannot be shown, written by a script, must not keep the event loop for a third of a second.
    return repr('"' + text)[2:-1].replace(r"\\", "\\").replace(r"\'", "'")

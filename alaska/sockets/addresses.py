"""Find the IP version of an endpoint: a ZeroMQ socket uses either IPv4 or IPv6, as it is configured."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeAlias

import zmq

from alaska.endpoints import TCP, tcp
from alaska.errors import BadEndpoint
from alaska.sockets.loop import Loop, Timer

LookUp: TypeAlias = Callable[[str], set[int]]
"""Returns the address families of a host name, or raises OSError; may block for seconds."""
LOOKUP_RETRY_SECONDS = 1.0
_SIOCGIFADDR = 0x8915


def of_interface(name: str) -> str | None:
    """Return the IPv4 address of a network interface, or None if there is no such interface or it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, suppress(OSError, ValueError):
        question = struct.pack("256s", socket.if_indextoname(socket.if_nametoindex(name)).encode())
        return socket.inet_ntoa(fcntl.ioctl(any_socket, _SIOCGIFADDR, question)[20:24])
    return None


def families_of(name: str) -> set[int]:
    """Return the address families of a host name, restricted to those that this machine has, if it has any.

    :raises OSError: the name cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        # AI_ADDRCONFIG ignores loopback addresses, so without a network not even localhost resolves with it.
        found = socket.getaddrinfo(name, None)
    return {int(family) for family, *_ in found}


def version_of(families: set[int]) -> int:
    """Return the IP version to use for a host name: 4, unless it has only IPv6 addresses."""
    return 6 if families == {socket.AF_INET6} else 4


def version_to_bind(endpoint: str) -> int:
    """Return the IP version to bind an endpoint with; for a host name this may block for seconds."""
    try:
        parts = tcp(endpoint)
        if parts is None:
            return 4
        if parts.version is not None:
            return parts.version
        if of_interface(parts.host) is not None:
            return 4
        if parts.host in (name for _, name in socket.if_nameindex()):
            return 6
        return version_of(families_of(parts.host))
    except (OSError, ValueError):
        # ZeroMQ will report what is wrong with it.
        return 4


def connect_target(endpoint: str) -> TCP | None:
    """Return the TCP endpoint to connect to, with wildcards and interfaces replaced by addresses; None if not TCP.

    :raises BadEndpoint: the endpoint is not valid, or has no port.
    """
    try:
        parts = tcp(endpoint)
    except ValueError:
        raise BadEndpoint(
            f"cannot connect to {endpoint!r}: it must be tcp://host:port, ipc://path or inproc://name"
        ) from None
    if parts is not None and not parts.port:
        raise BadEndpoint(f"cannot connect to {endpoint!r}: it must have a port from 1 to 65535")
    return None if parts is None else parts.to_connect(of_interface)


class VersionLookup:
    """Resolves the IP version of a host name, retrying until it is known; calls ``found`` in the loop's thread."""

    def __init__(self, loop: Loop, name: str, found: Callable[[int], None], look_up: LookUp) -> None:
        self._loop = loop
        self._name = name
        self._notify = found
        self._look_up = look_up
        self._again: Timer | None = None
        self._is_open = True
        self._start()

    def _start(self) -> None:
        self._again = None
        # Not in the loop's thread pool: it would wait for it when it stops, perhaps for many seconds.
        Thread(target=self._look_up_version, daemon=True).start()

    def _look_up_version(self) -> None:
        try:
            version = version_of(self._look_up(self._name))
        except (OSError, UnicodeError):
            version = 0
        self._loop.from_thread(lambda: self._looked_up(version))

    def _looked_up(self, version: int) -> None:
        if self._is_open and version:
            self._notify(version)
        elif self._is_open:
            self._again = self._loop.later(LOOKUP_RETRY_SECONDS, self._start)

    def close(self) -> None:
        """Stop retrying; ``found`` is not called any more."""
        self._is_open = False
        if self._again is not None:
            self._again.cancel()


def set_version(a_socket: zmq.Socket[bytes], version: int) -> None:
    """Set the IP version for the next connect or bind of a socket."""
    a_socket.set(zmq.IPV6, int(version == 6))

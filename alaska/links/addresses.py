"""Which version of IP an endpoint needs: ZeroMQ has to be told, and then uses no other."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeAlias

import zmq
from twisted.internet.interfaces import IDelayedCall

from alaska.endpoints import TCP, tcp
from alaska.errors import BadEndpoint
from alaska.interfaces import Reactor

LookUp: TypeAlias = Callable[[str], set[int]]
"""Returns the families of a name's addresses, or raises OSError; may take seconds."""
LOOK_AGAIN_SECONDS = 1.0
_SIOCGIFADDR = 0x8915


def of_interface(name: str) -> str | None:
    """Return the IPv4 address of a network interface, or None if there is none of this name that has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket, suppress(OSError, ValueError):
        question = struct.pack("256s", socket.if_indextoname(socket.if_nametoindex(name)).encode())
        return socket.inet_ntoa(fcntl.ioctl(any_socket, _SIOCGIFADDR, question)[20:24])
    return None


def families_of(name: str) -> set[int]:
    """Return the families of the addresses that a name has, of those alone that this machine has too, if any.

    :raises OSError: the name is not known.
    """
    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror:
        # A machine without a network has no family, by that measure, and yet knows itself.
        found = socket.getaddrinfo(name, None)
    return {int(family) for family, *_ in found}


def version_of(families: set[int]) -> int:
    """Return the version of IP by which a name is reached: 4, as long as there is any such address."""
    return 6 if families == {socket.AF_INET6} else 4


def version_to_bind(endpoint: str) -> int:
    """Return the version of IP that serves an endpoint; for a name this may take seconds."""
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
        # ZeroMQ says what is wrong with it.
        return 4


def place(endpoint: str) -> TCP | None:
    """Return what a client connects to: wildcards and interfaces have become addresses. None for what is not TCP.

    :raises BadEndpoint: it is no endpoint, or one without a port.
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


class Question:
    """Asks which version of IP a name needs, again and again until it is known, and tells the reactor's thread."""

    def __init__(self, reactor: Reactor, name: str, told: Callable[[int], None], look_up: LookUp) -> None:
        self._reactor = reactor
        self._name = name
        self._told = told
        self._look_up = look_up
        self._again: IDelayedCall | None = None
        self._is_open = True
        self._ask()

    def _ask(self) -> None:
        self._again = None
        # Not in the reactor's threads, for whose end it waits when it stops: a name may take many seconds.
        Thread(target=self._find, daemon=True).start()

    def _find(self) -> None:
        try:
            version = version_of(self._look_up(self._name))
        except (OSError, UnicodeError):
            version = 0
        self._reactor.callFromThread(self._found, version)

    def _found(self, version: int) -> None:
        if self._is_open and version:
            self._told(version)
        elif self._is_open:
            self._again = self._reactor.callLater(LOOK_AGAIN_SECONDS, self._ask)

    def close(self) -> None:
        """Ask no more; nothing is told any more."""
        self._is_open = False
        if self._again is not None and self._again.active():
            self._again.cancel()


def set_version(a_socket: zmq.Socket[bytes], version: int) -> None:
    """Let a socket use this version of IP for what it connects to or serves from now on."""
    a_socket.set(zmq.IPV6, int(version == 6))

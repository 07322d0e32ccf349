"""Endpoints in settings and on command lines: ``tcp://host:port``, ``ipc://path`` and ``inproc://name``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:9999"
WILDCARD: Final = "*"
LOOPBACK_NAMES: Final = frozenset({"localhost", "lo"})
MAX_PORT: Final = 2**16 - 1
_IPV6_NETWORK_BITS: Final = 64
_LOCAL = re.compile("(?:ipc|inproc)://.+", re.DOTALL)
# The last colon precedes the port; the part up to a semicolon is the source address of a connection.
_TCP = re.compile(r"tcp://(\S+;)?(\S+):([0-9]{1,5}|\*)")


@dataclass(frozen=True, slots=True)
class TCP:
    """Host and port of a TCP endpoint; an IPv6 address has no brackets here, and port 0 means any free port.

    ``source`` is the source address of a connection with its semicolon, or empty.
    """

    host: str
    port: int
    source: str = ""

    @property
    def version(self) -> int | None:
        """The host's IP version if it is an address (4 for the wildcard), or None if it is a name."""
        if self.host == WILDCARD:
            return 4
        try:
            return ipaddress.ip_address(self.host).version
        except ValueError:
            return None

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can reach it."""
        if self.host in LOOPBACK_NAMES:
            return True
        return self.version is not None and self.host != WILDCARD and ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{self.source}{host}:{self.port or WILDCARD}"

    def to_connect(self, of_interface: Callable[[str], str | None]) -> TCP:
        """Return the endpoint by which a process of this machine connects to a socket that is bound to this one.

        A wildcard becomes the loopback address; an interface's name becomes its address, ``of_interface(name)``.
        """
        if self.host == WILDCARD:
            return replace(self, host="127.0.0.1")
        if self.version is None:
            return replace(self, host=of_interface(self.host) or self.host)
        if ipaddress.ip_address(self.host).is_unspecified:
            return replace(self, host="::1" if self.version == 6 else "127.0.0.1")
        return self


def tcp(endpoint: str) -> TCP | None:
    """Return the parts of a TCP endpoint, or None for any other.

    :raises ValueError: it is not an endpoint, or its port is not valid.
    """
    found = _TCP.fullmatch(endpoint)
    if found is None:
        if _LOCAL.fullmatch(endpoint) is None:
            raise ValueError(endpoint)
        return None
    host, port = found[2], 0 if found[3] == WILDCARD else int(found[3])
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        # Only IPv6 addresses may have brackets; this raises ValueError for anything else.
        ipaddress.IPv6Address(host)
    if port > MAX_PORT or set(host) & set("[]/"):
        raise ValueError(endpoint)
    return TCP(host, port, found[1] or "")


def network_of(address: str) -> str:
    """Return what all addresses of one client have in common: an IPv4 address itself, or an IPv6 /64 network.

    A client usually has a whole IPv6 network. Anything but an IP address is returned as it is.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))

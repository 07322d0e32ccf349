"""Endpoints, as settings and command lines have them: ``tcp://host:port``, ``ipc://path`` and ``inproc://name``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:9999"
WILDCARD: Final = "*"
MAX_PORT: Final = 2**16 - 1
_LOCAL = re.compile("(?:ipc|inproc)://.+", re.DOTALL)
# The last colon is the one before the port; what stands before a semicolon is where a connection comes from.
_TCP = re.compile(r"tcp://(\S+;)?(\S+):([0-9]{1,5}|\*)")


@dataclass(frozen=True, slots=True)
class TCP:
    """Host and port of a TCP endpoint; the host without the brackets of an IPv6 address, the port 0 for any free one.

    ``source`` is where a connection is made from, with its semicolon; mostly nothing is said of that.
    """

    host: str
    port: int
    source: str = ""

    @property
    def version(self) -> int | None:
        """The version of IP that the host is an address of, the wildcard being one of IPv4; None for a name."""
        if self.host == WILDCARD:
            return 4
        try:
            return ipaddress.ip_address(self.host).version
        except ValueError:
            return None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{self.source}{host}:{self.port or WILDCARD}"

    def to_connect(self, of_interface: Callable[[str], str | None]) -> TCP:
        """Return where a process of this machine reaches who serves this one.

        A wildcard becomes the loopback address, an interface its address, for which ``of_interface(name)`` is asked.
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

    :raises ValueError: it is neither, or its port is none.
    """
    found = _TCP.fullmatch(endpoint)
    if found is None:
        if _LOCAL.fullmatch(endpoint) is None:
            raise ValueError(endpoint)
        return None
    host, port = found[2], 0 if found[3] == WILDCARD else int(found[3])
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        # In brackets there are only addresses of IPv6.
        ipaddress.IPv6Address(host)
    if port > MAX_PORT or set(host) & set("[]/"):
        raise ValueError(endpoint)
    return TCP(host, port, found[1] or "")

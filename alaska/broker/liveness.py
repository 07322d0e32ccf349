"""Which clients are lost: those whose connection has ended, and those that are silent for the client timeout."""

from __future__ import annotations

from twisted.logger import Logger

from alaska import errors
from alaska.broker.clients import Client, Clients
from alaska.mlm import commands as mlm

PROBE_SECONDS = 1.5
"""A client with unconfirmed deliveries that sends nothing for this long is probed."""
GRACE_SECONDS = 1.0
"""If the broker was not called for this long, its own process was stopped, and no client expires for that time."""
_REPLIES_UNREAD = (
    "{client.name} does not read the replies to its commands: mlm_server/clients/unread-count is reached, or all "
    "connections together have too much unread (unread-size), and its session ends"
)


class Liveness:
    """Finds lost clients; ``timeout`` is the client timeout in seconds."""

    _log = Logger()

    def __init__(self, clients: Clients, timeout: float) -> None:
        self._clients = clients
        self.timeout = timeout
        self._last_tick: float | None = None

    def ticked(self, now: float) -> None:
        """Record the time of a tick; if the one before was long ago, the clients get more time."""
        stopped_for = 0.0 if self._last_tick is None else abs(now - self._last_tick)
        self._last_tick = now
        if stopped_for > GRACE_SECONDS:
            self._log.warn("the broker was stopped for {seconds:.1f} s; no client expires", seconds=stopped_for)
            for client in self._clients:
                client.last_heard = now

    def lost(self, now: float) -> list[tuple[Client, str]]:
        """Return the clients that are disconnected or have expired, with the cause; probe those that may be."""
        silent_since = now - self.timeout
        found = []
        for client in self._clients:
            quiet_since = max(client.last_heard, client.last_probed)
            if client.leases and not client.is_plain and now - quiet_since > PROBE_SECONDS:
                # An empty CONFIRM has no effect on a client, but sending fails if the connection does not exist.
                client.last_probed = now
                client.send(mlm.Confirm(b"", errors.SUCCESS, b""))
            if client.is_disconnected:
                if client.ignores_replies:
                    self._log.warn(_REPLIES_UNREAD, client=client)
                else:
                    self._log.info("{client.name} has disconnected", client=client)
                found.append((client, "unread" if client.ignores_replies else "disconnected"))
            elif client.last_heard < silent_since:
                self._log.info("{client.name} has expired: it has sent nothing for the client timeout", client=client)
                found.append((client, "expired"))
        return found

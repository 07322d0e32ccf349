"""A scripted broker."""

from __future__ import annotations

from alaska.mlm.codec import decode, encode
from alaska.mlm.commands import Command
from alaska.testing.network import MemoryNetwork


class ScriptedBroker:
    """A scripted broker: it records the commands of a client, and the test sends the answers."""

    def __init__(self, network: MemoryNetwork, endpoint: str) -> None:
        self._network = network
        self._router = network.router([endpoint])
        self._peer = b""
        self.received: list[Command] = []
        self._router.start(self._take, lambda _peer, _is_full: None)

    def _take(self, peer: bytes, frames: list[bytes]) -> None:
        self._peer = peer
        self.received.append(decode(frames))

    def send(self, *commands: Command) -> None:
        """Send commands to the client that sent the last one, and run the network."""
        for command in commands:
            self.send_frames(encode(command))

    def send_frames(self, frames: list[bytes]) -> None:
        """Send frames to the client that sent the last command, and run the network."""
        self._router.send(self._peer, frames)
        self._network.run()

    def take(self) -> list[Command]:
        """Return the commands that were received since the last call."""
        self._network.run()
        received, self.received = self.received, []
        return received

    def stop(self) -> None:
        """Close the broker, as when its process ends."""
        self._router.close()
        self._network.run()

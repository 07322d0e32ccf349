"""A scripted broker."""

from __future__ import annotations

from alaska.mlm.batch import decode_batch, is_batch
from alaska.mlm.codec import decode_with_properties, encode
from alaska.mlm.commands import Command, Peer
from alaska.testing.network import MemoryNetwork


class ScriptedBroker:
    """A scripted broker: it records the commands of a client, and the test sends the answers."""

    def __init__(self, network: MemoryNetwork, endpoint: str) -> None:
        self._network = network
        self._router = network.router([endpoint])
        self._peer = b""
        self._frames: list[list[bytes]] = []
        self.received: list[Command] = []
        self._router.start(self._take, lambda _peer, _is_full: None)

    def _take(self, peer: bytes, frames: list[bytes]) -> int:
        self._peer = peer
        self._frames.append(frames)
        if is_batch(frames):
            self.received += decode_batch(frames, Peer.CLIENT)
        else:
            self.received.append(decode_with_properties(frames))
        return 1

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

    def take_frames(self) -> list[list[bytes]]:
        """Return the frames of the messages that were received since the last call."""
        self._network.run()
        frames, self._frames = self._frames, []
        return frames

    def stop(self) -> None:
        """Close the broker, as when its process ends."""
        self._router.close()
        self._network.run()

"""A fake of the broker's router."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from alaska.broker.broker import Broker
from alaska.interfaces import IRouter
from alaska.mlm.batch import decode_batch, is_batch
from alaska.mlm.codec import decode, decode_with_properties, encode
from alaska.mlm.commands import Command, Peer


@implementer(IRouter)
class FakeRouter:
    """Passes commands to a function, which returns False for a peer that has disconnected.

    Failures of posted messages are reported to the broker by :meth:`end_turn`. Deliveries to the peers in ``unread``
    stay in flight. The peers in ``second_edition`` read properties and batches; ``sizes`` has the number of commands in
    each message to them. ``users`` has the users of the peers; all others have none.
    """

    is_local = is_on_machine = True
    login = ""
    has_users = False

    def __init__(self, transmit: Callable[[bytes, Command], bool]) -> None:
        self.bound: list[str] = []
        self._transmit = transmit
        self._unsent: list[bytes] = []
        self._posted: list[tuple[bytes, Callable[[], list[list[bytes]]]]] = []
        self.unread: set[bytes] = set()
        self.second_edition: set[bytes] = set()
        self.sizes: dict[bytes, list[int]] = {}
        self.users: dict[bytes, bytes | None] = {}

    def start(self, received: Callable[[bytes, list[bytes]], int | None], gone: Callable[[bytes, bool], None]) -> None:
        """See :class:`IRouter`; the test calls the broker itself."""

    def user_of(self, peer: bytes) -> bytes | None:
        """See :class:`IRouter`."""
        return self.users.get(peer, b"")

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        commands = self._commands(peer, frames)
        return all([self._transmit(peer, command) for command in commands])  # noqa: C419  # each is transmitted

    def _commands(self, peer: bytes, frames: list[bytes]) -> list[Command]:
        if peer not in self.second_edition:
            (command,) = [decode(frames)]
            assert encode(command) == frames, "properties or more for a peer of the first edition"
            return [command]
        commands = decode_batch(frames, Peer.BROKER) if is_batch(frames) else [decode_with_properties(frames)]
        self.sizes.setdefault(peer, []).append(len(commands))
        return commands

    def send_with_proof(self, peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """See :class:`IRouter`."""
        return (lambda: peer not in self.unread) if self.send(peer, frames) else None

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if not self.send(peer, frames):
            self._unsent.append(peer)

    def post_from(self, peer: bytes, take: Callable[[], list[list[bytes]]]) -> None:
        """See :class:`IRouter`."""
        self._posted.append((peer, take))

    def end_turn(self, broker: Broker) -> list[bytes]:
        """Send what was posted, and report the peers to which that was not possible to a broker; return them."""
        posted, self._posted = self._posted, []
        for peer, take in posted:
            for frames in take():
                self.post(peer, frames)
        unsent, self._unsent = self._unsent, []
        for peer in unsent:
            broker.send_failed(peer)
        return unsent

    def close(self) -> None:
        """See :class:`IRouter`."""

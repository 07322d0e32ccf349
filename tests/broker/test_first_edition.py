"""Clients of version 1.0.0 at this broker: recorded on the broker of that version, octet for octet."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.broker.service import TICK_SECONDS
from alaska.interfaces import IRouter
from alaska.message import Retention
from alaska.store.memory import MemoryStore
from tests.broker.fake_router import FakeRouter
from tests.recorded import load

RECORD = "aaa814"
"""The beginning of a STREAM-RECORD, which continues with its position and time, 8 octets each."""


@implementer(IRouter)
class RecordingRouter(FakeRouter):
    """Collects the frames that the broker sends, by peer."""

    def __init__(self) -> None:
        super().__init__(lambda _peer, _command: True)
        self.sent: dict[bytes, list[list[str]]] = {}

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        self.sent.setdefault(peer, []).append(without_time([frame.hex() for frame in frames]))
        return super().send(peer, frames)


def without_time(frames: list[str]) -> list[str]:
    """Return frames in hex without the time of a STREAM-RECORD, which depends on the ticks of the broker."""
    header, *content = frames
    if header.startswith(RECORD):
        header = header[: len(RECORD) + 16] + header[len(RECORD) + 32 :]
    return [header, *content]


class FirstEditionTests(SynchronousTestCase):
    """A worker, a client with confirmations, a plain client, and a reader of a stream from its start."""

    def test_same_octets(self) -> None:
        """Each of them gets what the broker of version 1.0.0 has sent, in the same order."""
        events = load("first_edition.json")["events"]
        clock, router = Clock(), RecordingRouter()
        broker = Broker(router, Limits(client_timeout=5.0, retention=Retention(most_records=100)), MemoryStore())
        expected: dict[bytes, list[list[str]]] = {}
        for event in events:
            peer = b"%d" % event["client"]
            while clock.seconds() * 1000 < event["t"]:
                clock.advance(TICK_SECONDS)
                broker.tick(clock.seconds(), clock.seconds())
            if event["dir"] == "to_broker":
                broker.received(peer, [bytes.fromhex(frame) for frame in event["frames"]], clock.seconds())
                router.end_turn(broker)
            else:
                expected.setdefault(peer, []).append(without_time(event["frames"]))
        self.assertEqual(router.sent, expected)
        self.assertEqual(len(expected), 4)

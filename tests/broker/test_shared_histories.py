"""Random histories of two brokers with one store: nothing is lost, and nothing is with two clients at a time."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import Limits
from alaska.mlm import commands as mlm
from tests import examples
from tests.broker.test_broker_model import take_small_steps
from tests.broker.test_shared_store import Side
from tests.store.later import Shared

HISTORIES = 600
STEPS = 60
LAST_TURNS = 200
NAMES = (b"a", b"b", b"c")
BUSY = (200, 200, 300)


class History:
    """Two brokers, and clients that come and go, send, and confirm, as a random generator says.

    ``held`` are the contents of the unconfirmed deliveries, by broker, client and tracker.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        shared = self.shared = Shared()
        limits = Limits(attempts=None, unconfirmed_octets=self.random.choice([None, 6, 30]))
        self.sides = [Side(shared, Random(seed * 2 + side), limits, self.random.choice([0.0, 0.3])) for side in (0, 1)]
        self.clients: dict[bytes, tuple[int, bool]] = {}
        self.held: dict[tuple[int, bytes, bytes], bytes] = {}
        self.sent: set[bytes] = set()
        self.ended: set[bytes] = set()
        for side in self.sides:
            side.do(b"sender", mlm.ConnectionOpen(b""))

    def collect(self) -> None:
        """Check what clients were delivered."""
        for number, side in enumerate(self.sides):
            for name in list(side.sent):
                for each in side.sent.pop(name):
                    if isinstance(each, mlm.ServiceDeliver | mlm.MailboxDeliver):
                        self.delivered(number, name, each.tracker, each.content[0])

    def delivered(self, number: int, name: bytes, tracker: bytes, content: bytes) -> None:
        """Check a delivery."""
        assert content not in self.ended, f"{content!r} has ended"
        assert content not in self.held.values(), f"{content!r} is delivered twice"
        if self.clients[name] == (number, True):
            self.ended.add(content)
        else:
            self.held[number, name, tracker] = content

    def step(self) -> None:
        """Let something happen."""
        often = [self.send, self.confirm, self.turn]
        step = self.random.choice([self.arrive, self.leave, *often, *often])
        step()
        self.collect()

    def arrive(self) -> None:
        """A client opens with one of the brokers."""
        name, side = self.random.choice(NAMES), self.random.randrange(2)
        if name not in self.clients:
            credit = self.random.choice([None, 1, 3, 10])
            self.clients[name] = side, credit is None
            offer = mlm.ServiceOffer(b"jobs", self.random.choice([b"", b"^x", b"^y"]))
            self.sides[side].open(name, offer, credit=credit)

    def leave(self) -> None:
        """A client closes; what it has not confirmed is delivered again."""
        if self.clients:
            name = self.random.choice(sorted(self.clients))
            side, _ = self.clients[name]
            self.sides[side].do(name, mlm.ConnectionClose())
            self.collect()
            del self.clients[name]
            self.held = {key: content for key, content in self.held.items() if key[1] != name}

    def send(self) -> None:
        """Requests and mail are sent."""
        for _ in range(self.random.randint(1, 5)):
            content = b"%d" % len(self.sent)
            self.sent.add(content)
            subject, tracker = self.random.choice([b"x", b"y"]), self.random.choice([b"", b"t", b"t" + content])
            commands: list[mlm.Command] = [
                mlm.ServiceSend(b"jobs", subject, tracker, 0, (content,)),
                mlm.MailboxSend(self.random.choice(NAMES), subject, tracker, 0, (content,)),
            ]
            self.random.choice(self.sides).do(b"sender", self.random.choice(commands))

    def confirm(self) -> None:
        """A client confirms or returns a delivery, and gives credit."""
        if self.held:
            key = self.random.choice(sorted(self.held))
            self.end(key, self.random.choice(BUSY))

    def end(self, key: tuple[int, bytes, bytes], status: int) -> None:
        """Let a client confirm a delivery, and give credit for another one."""
        side, name, tracker = key
        content = self.held.pop(key)
        if status == 200:
            self.ended.add(content)
        self.sides[side].do(name, mlm.Confirm(tracker, status, b""), mlm.Credit(1))

    def turn(self) -> None:
        """The store answers a broker, or a broker's tick is due."""
        side = self.random.choice(self.sides)
        side.broker.tick(side.now) if self.random.random() < 0.3 else side.store.turn()

    def finish(self) -> None:
        """Let new clients take and confirm everything; check that nothing is left."""
        while self.clients:
            self.leave()
        for name, side in zip(NAMES, (0, 1, 0), strict=True):
            self.clients[name] = side, False
            self.sides[side].open(name, mlm.ServiceOffer(b"jobs", b""), credit=1000)
        for _ in range(LAST_TURNS):
            for each in self.sides:
                each.store.turn()
                each.broker.tick(each.now)
                self.collect()
            for key in list(self.held):
                self.end(key, 200)
        assert self.sent == self.ended, f"lost: {self.sent - self.ended}"
        assert self.shared.data.queues() == []


class SharedHistoriesTests(SynchronousTestCase):
    """Random histories."""

    def test_histories(self) -> None:
        """In any history, each message is delivered until it is confirmed, and to one client at a time."""
        take_small_steps(self.patch)
        for seed in range(examples(HISTORIES)):
            history = History(seed)
            try:
                for _ in range(STEPS):
                    history.step()
                history.finish()
            except AssertionError as error:
                raise AssertionError(f"with the seed {seed}: {error}") from error

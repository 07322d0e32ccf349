"""Requests that are put off, through any steps of workers, time and crashes, against a model of a few numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.interfaces import IStore, Reactor
from alaska.mlm import commands as mlm
from alaska.mlm.batch import encode_batch
from alaska.mlm.codec import encode
from alaska.mlm.properties import to_number
from alaska.store.database import File
from alaska.store.memory import MemoryStore
from alaska.store.sqlite import SqliteStore
from alaska.store.unwritten import Unwritten
from alaska.testing import HandWriting
from tests.broker.fake_router import FakeRouter
from tests.histories import try_histories

MOST_LOST = 3
WORKER = b"w"
SENDER = b"p"


@dataclass
class Expected:
    """What is known of a request."""

    most: int | None
    attempts: int = 0
    answered: int = 0
    snoozes: int = 0
    due: float = 0.0
    lease: int | None = None
    status: int | None = None

    @property
    def may_wait(self) -> bool:
        """Whether it may be delivered."""
        return self.lease is None and self.status is None

    def lost(self) -> None:
        """Its worker was lost: it waits again, or becomes a dead letter."""
        self.lease = None
        if self.attempts - self.answered >= MOST_LOST or (self.most is not None and self.attempts >= self.most):
            self.status = 502


class PutOffMachine(RuleBasedStateMachine):
    """One worker, one sender, and a broker whose store is in memory."""

    is_durable = False

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.requests: dict[bytes, Expected] = {}
        self.inboxes: dict[bytes, list[mlm.Command]] = {}
        self.router = FakeRouter(self.transmit)
        self.router.second_edition |= {WORKER, SENDER}
        self.store = self.make_store()
        self.begin()

    def make_store(self) -> IStore:
        """Return the store."""
        return MemoryStore()

    def settle(self) -> None:
        """Let the store write everything, and the router send everything."""
        self.router.end_turn(self.broker)

    def transmit(self, peer: bytes, command: mlm.Command) -> bool:
        """Check a delivery, or record another command."""
        if isinstance(command, mlm.ServiceDeliver):
            self.delivered(command)
        elif isinstance(command, mlm.Confirm) and peer == SENDER and command.tracker and command.status_code != 201:
            expected = self.requests[command.tracker]
            assert expected.status == command.status_code, f"{command} for {expected}"
        return True

    def delivered(self, command: mlm.ServiceDeliver) -> None:
        """Check that a request is delivered only when it waits, not early, and with the right counts."""
        expected = self.requests[command.tracker]
        assert expected.may_wait, f"{command} is delivered, but does not wait: {expected}"
        assert self.now >= expected.due - 0.001, f"{command} is delivered early: {expected}, {self.now}"
        expected.attempts += 1
        expected.lease = to_number(command.properties["lease"])
        seen = command.properties["attempt"], command.properties.get("snoozes", 0)
        assert seen == (expected.attempts, expected.snoozes), f"{seen} instead of {expected}"

    def begin(self) -> None:
        """Start the broker, and connect the clients."""
        self.broker = Broker(self.router, Limits(client_timeout=1e9, attempts=MOST_LOST), self.store)
        self.broker.tick(self.now)
        self.connect(SENDER)
        self.connect(WORKER)

    def connect(self, name: bytes) -> None:
        """Open a client with credit; the worker offers the service."""
        self.do(name, mlm.ConnectionOpen(name, {"can": b"batch properties"}), mlm.Credit(100))
        if name == WORKER:
            self.do(name, mlm.ServiceOffer(b"svc", b""))
        self.settle()

    def do(self, name: bytes, *commands: mlm.Command) -> None:
        """Let a client send commands."""
        for command in commands:
            (frames,) = [encode(command)] if isinstance(command, mlm.ConnectionOpen) else encode_batch([command])
            self.broker.received(name, frames, self.now)
        self.settle()

    def running(self, number: int) -> Expected | None:
        """Return one of the requests that the worker has."""
        found = [each for each in self.requests.values() if each.lease is not None]
        return found[number % len(found)] if found else None

    @rule(most=st.none() | st.integers(1, 6), delay=st.sampled_from([0, 0, 500]))
    def send(self, most: int | None, delay: int) -> None:
        """A client sends a request, which may be delayed, or have a limit of attempts."""
        tracker = b"t%d" % len(self.requests)
        self.requests[tracker] = Expected(most, due=self.now + delay / 1000)
        properties: mlm.Properties = {} if most is None else {"attempts": most}
        if delay:
            properties["delay"] = delay
        self.do(SENDER, mlm.ServiceSend(b"svc", b"job", tracker, 0, (b"x",), properties))

    @rule(number=st.integers(0, 9), delay=st.sampled_from([1, 100, 1000]), is_spent=st.booleans())
    def put_off(self, number: int, delay: int, is_spent: bool) -> None:
        """The worker puts off a request."""
        expected = self.running(number)
        if expected is None:
            return
        lease, expected.lease = expected.lease, None
        assert lease is not None
        if is_spent and expected.most is not None and expected.attempts >= expected.most:
            expected.status = 502
        expected.attempts -= not is_spent
        expected.snoozes += not is_spent
        expected.answered = expected.attempts
        expected.due = self.now + delay / 1000
        self.do(WORKER, mlm.Confirm(b"", 300, b"", {"lease": lease, "delay": delay, "spent": int(is_spent)}))

    @rule(number=st.integers(0, 9))
    def give_back(self, number: int) -> None:
        """The worker returns a request that it has not begun; it comes back at once."""
        expected = self.running(number)
        if expected is not None:
            lease, expected.lease = expected.lease, None
            expected.attempts -= 1
            self.do(WORKER, mlm.Confirm(b"", 300, b"", {"lease": lease or 0}), mlm.Credit(1))

    @rule(number=st.integers(0, 9), status=st.sampled_from([200, 406]))
    def finish(self, number: int, status: int) -> None:
        """The worker ends a request."""
        expected = self.running(number)
        if expected is not None:
            lease, expected.lease, expected.status = expected.lease, None, status
            self.do(WORKER, mlm.Confirm(b"", status, b"", {"lease": lease or 0}))

    @rule(times=st.integers(1, MOST_LOST))
    def lose_workers(self, times: int) -> None:
        """Some workers are lost, one after the other, and another one comes."""
        for _ in range(times):
            for expected in self.requests.values():
                if expected.lease is not None:
                    expected.lost()
            self.do(WORKER, mlm.ConnectionClose())
            self.connect(WORKER)

    @rule(seconds=st.sampled_from([0.05, 0.95, 10.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.broker.tick(self.now)
        self.settle()
        late = [each for each in self.requests.values() if each.may_wait and each.due < self.now - 0.001]
        assert not late, f"{late} are not delivered at {self.now}"

    def teardown(self) -> None:
        """Check that no request is lost: each is delivered in the end, or has ended."""
        self.pass_time(10.0)
        letters = {letter.message.tracker for letter in self.broker.queues.dead_letters.summaries(0, 1000)}
        assert letters == {name for name, each in self.requests.items() if (each.status or 0) >= 400}


class DurablePutOffMachine(PutOffMachine):
    """The same with a store in a file, and a broker that is killed."""

    def make_store(self) -> IStore:
        """Return a store in a file."""
        self.folder = TemporaryDirectory()
        self.clock = Clock()
        return self.open_store()

    def open_store(self) -> SqliteStore:
        """Open the file."""

        def make_writing(file: File, wake: object) -> HandWriting:
            del wake
            self.writing = HandWriting(file, self.written)
            return self.writing

        file = File(Path(self.folder.name, "mlm.db"), "OFF")
        self.durable = SqliteStore(cast("Reactor", self.clock), file, make_writing)
        return self.durable

    def written(self) -> None:
        """Tell the store that a write has ended."""
        self.durable._batches._collect()

    def settle(self) -> None:
        """Write everything, send what waits for that."""
        self.router.end_turn(self.broker)
        for _ in range(3):
            self.clock.advance(1.0)
            while self.writing.begun is not None:
                self.writing.run()
                self.clock.advance(0)
            self.router.end_turn(self.broker)

    @rule()
    def kill_broker(self) -> None:
        """The broker is killed, and another one starts with what is in the file."""
        for expected in self.requests.values():
            if expected.lease is not None:
                expected.lost()
        self.durable._batches._unwritten = Unwritten()
        self.durable.close()
        self.store = self.open_store()
        self.begin()
        self.settle()

    def teardown(self) -> None:
        """Check, and delete the file."""
        super().teardown()
        self.durable.close()
        self.folder.cleanup()


class PutOffModelTests(SynchronousTestCase):
    """Random histories, with each kind of store."""

    def test_memory(self) -> None:
        """In any history, no request is lost, early or counted wrongly, with a store in memory."""
        try_histories(PutOffMachine, 250, 40)

    def test_file(self) -> None:
        """The same with a store in a file, also if the broker is killed."""
        try_histories(DurablePutOffMachine, 50, 30)

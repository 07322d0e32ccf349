"""Random histories of messages with ids: they are sent, replaced, run and refused, and the broker is killed."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.broker import Broker
from alaska.broker.limits import IdLimits, Limits
from alaska.interfaces import IStore
from alaska.message import DELAYED, QueueKind, QueueName, part_of
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from tests.broker.fake_router import FakeRouter
from tests.histories import try_histories
from tests.store.kinds import FileKind, MemoryKind, SpillingKind, StoreKind

EXAMPLES = 60
STEPS = 40
SVC = QueueName(QueueKind.SERVICE, b"svc")
NAMES = (b"a", b"b")
WINDOW = 10.0
LIMITS = Limits(client_timeout=1e6, attempts=None, ids=IdLimits(WINDOW))


@dataclass(eq=False)
class Sent:
    """What is expected of a message: ``first`` is the one because of which it is not kept."""

    number: int
    name: bytes
    position: int
    first: Sent | None = None
    runs: int = 0
    status: int = 0
    was_restored: bool = False
    may_be_replaced: bool = False
    told: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def is_promised(self) -> bool:
        """Whether anyone knows that it was accepted."""
        return self.runs > 0 or any(status in (201, 202) for status, _ in self.told)


class IdMachine(RuleBasedStateMachine):
    """A sender and a worker, and the ids that the broker should know."""

    def __init__(self, kind: StoreKind) -> None:
        super().__init__()
        self._kind = kind
        self.now = 1000.0
        self.sent: list[Sent] = []
        self.known: dict[bytes, tuple[Sent, float | None]] = {}
        self.leases: dict[int, Sent] = {}
        self.start(kind.make())

    def start(self, store: IStore) -> None:
        """Start a broker with a store; sender and worker connect."""
        self.store = store
        self.router = FakeRouter(self.transmit)
        self.router.second_edition.update((b"p", b"w"))
        self.broker = Broker(self.router, LIMITS, store)
        self.broker.tick(self.now)
        self.leases.clear()
        for name, credit in ((b"p", 0), (b"w", 2)):
            self.do(name, mlm.ConnectionOpen(name, {"can": b"batch properties"}))
            self.do(name, mlm.Credit(credit))
        self.do(b"w", mlm.ServiceOffer(b"svc", b""))

    def do(self, name: bytes, command: mlm.Command) -> None:
        """Let a client send a command."""
        self.broker.received(name, encode(command), self.now)
        self.router.end_turn(self.broker)

    def transmit(self, _name: bytes, command: mlm.Command) -> bool:
        """Check what the broker sends."""
        if isinstance(command, mlm.ServiceDeliver):
            sent = self.sent[int(command.content[0])]
            assert sent.first is None, f"{sent} is delivered, but {sent.first} was accepted before"
            assert not sent.status or sent.was_restored, f"{sent} has ended, and is delivered"
            assert sent not in self.leases.values(), f"{sent} is in flight already"
            sent.runs += 1
            lease = command.properties["lease"]
            assert isinstance(lease, int)
            self.leases[lease] = sent
        elif isinstance(command, mlm.Confirm) and command.tracker:
            sent = self.sent[int(command.tracker)]
            sent.told.append((command.status_code, command.status_reason))
            if command.status_code == 204:
                assert sent not in self.leases.values() and (not sent.runs or sent.was_restored), f"{sent} is replaced"
                sent.status = 204
            if command.status_code == 203:
                first = sent.first
                assert first is not None, f"{sent} is not kept"
                assert command.status_reason == b"position=%d" % first.position, f"{sent} for {command}"
        return True

    @rule(
        name=st.sampled_from(NAMES),
        replaces=st.booleans(),
        unique_for=st.sampled_from([None, None, 0, 3000]),
        delay=st.sampled_from([0, 0, 2000]),
    )
    def send(self, name: bytes, replaces: bool, unique_for: int | None, delay: int) -> None:
        """The sender sends a request."""
        sent = Sent(len(self.sent), name, self.broker.queues.last_position + 1)
        self.sent.append(sent)
        first, ends = self.known.get(name, (None, 0.0))
        is_open = first is not None and ((ends is None and not first.status) or (ends is not None and ends > self.now))
        if is_open and not replaces:
            sent.first = first
        else:
            if first is not None:
                first.may_be_replaced = True
            seconds = WINDOW if unique_for is None else unique_for / 1000
            self.known[name] = sent, self.now + seconds if seconds else None
        properties: mlm.Properties = {"id": name, "unique-mode": b"replace" if replaces else b"keep"}
        if unique_for is not None:
            properties["unique-for"] = unique_for
        if delay:
            properties["delay"] = delay
        content = (b"%d" % sent.number,)
        self.do(b"p", mlm.ServiceSend(b"svc", b"", b"%d" % sent.number, 0, content, properties))

    def has_leases(self) -> bool:
        """Return whether the worker has requests."""
        return bool(self.leases)

    @precondition(has_leases)
    @rule(pick=st.integers(0, 3), status=st.sampled_from([200, 200, 404, 300]), credit=st.integers(0, 2))
    def work(self, pick: int, status: int, credit: int) -> None:
        """The worker confirms or returns a request, and gives credit."""
        lease = list(self.leases)[pick % len(self.leases)]
        sent = self.leases.pop(lease)
        sent.status = 0 if status == 300 else status
        self.do(b"w", mlm.Confirm(b"", status, b"", {"lease": lease}))
        self.do(b"w", mlm.Credit(credit))

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.5, 6.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.broker.tick(self.now)
        self.router.end_turn(self.broker)

    @rule()
    def write(self) -> None:
        """The store writes what is pending; then every sender knows what has become of its message."""
        self._kind.settle()
        self.router.end_turn(self.broker)
        for sent in self.sent:
            if sent.first is None:
                assert sent.told or sent.was_restored, f"nobody was told of {sent}"
            else:
                statuses = [status for status, _ in sent.told]
                assert statuses[:1] == [203] or sent.was_restored or sent.first.status == 204, f"{sent}"
                assert sent.runs == 0

    @rule(is_clean=st.booleans())
    def restart(self, is_clean: bool) -> None:
        """The broker ends or is killed, and starts again; what it has accepted durably it knows."""
        is_durable = self.store.is_durable
        store = self._kind.reopen(self.store, is_clean)
        self.router.end_turn(self.broker)
        for name, (first, ends) in list(self.known.items()):
            row = store.known_id(SVC, name)
            is_open = ends is not None and ends > self.now
            if is_durable and is_open and first.is_promised:
                assert row is not None and row.position == first.position, f"the id of {first} is lost: {row}"
            if row is None or row.position != first.position:
                del self.known[name]
            if row is not None and row.position != first.position:
                older = [each for each in self.sent if each.position == row.position and each.name == name]
                self.known[name] = older[-1], row.ends
        for sent in self.sent:
            # Its end may not have been written: then it is delivered again. What it is told afterwards may be lost.
            sent.was_restored = True
            if not is_durable:
                sent.told.append((0, b""))
        self.restore_ends(store)
        self.start(store)

    def restore_ends(self, store: IStore) -> None:
        """Take over which messages are in the store again."""
        for part in (SVC, part_of(SVC, DELAYED)):
            for message in store.waiting(part, 0, 10_000):
                self.sent[int(message.content[0])].status = 0

    def teardown(self) -> None:
        """In the end everything that was promised was run, unless it was replaced."""
        for _ in range(3):
            self.pass_time(2.5)
            self.write()
            self.do(b"w", mlm.Credit(1000))
            self.write()
            while self.leases:
                self.work(0, 200, 0)
            self.write()
        for sent in self.sent:
            was_told = any(status == 201 for status, _ in sent.told)
            if was_told and self.store.is_durable:
                # If the broker ended when the exchange was written, nobody was told of it.
                is_replaced = sent.status == 204 or (sent.may_be_replaced and sent.was_restored)
                assert sent.runs or is_replaced, f"{sent} is lost"
        assert self.broker.queues.octets == 0, "octets are counted wrong"
        assert self.broker.queues.ids.count == sum(self.store.counts_of_ids().values()), "ids are counted wrong"
        assert not self.broker.queues.ids.unstored
        self.store.close()
        self._kind.clean_up()


class MemoryIdMachine(IdMachine):
    """With a store in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryKind())


class FileIdMachine(IdMachine):
    """With a store in a file."""

    def __init__(self) -> None:
        super().__init__(FileKind())


class SpillingIdMachine(IdMachine):
    """With a store that spills to a temporary file."""

    def __init__(self) -> None:
        super().__init__(SpillingKind())


class IdHistoryTests(SynchronousTestCase):
    """Random histories, with each kind of store that knows ids."""

    def test_memory(self) -> None:
        """In any history, a broker with a store in memory keeps one message of those with the same id."""
        try_histories(MemoryIdMachine, EXAMPLES, STEPS)

    def test_file(self) -> None:
        """In any history, a broker with a store in a file does so over restarts and kills."""
        try_histories(FileIdMachine, EXAMPLES, STEPS)

    def test_temporary_file(self) -> None:
        """In any history, a broker that spills to a temporary file does so."""
        try_histories(SpillingIdMachine, EXAMPLES, STEPS)

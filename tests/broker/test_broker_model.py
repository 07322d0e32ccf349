"""Random histories of a broker: clients connect, work, crash and leave, time passes, the broker restarts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker import backlog, lanes, part, queues, stream, streams
from alaska.broker.limits import Limits, QueueLimits
from alaska.message import QueueKind, QueueName, Retention
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from alaska.store import write_batches
from tests.broker.broker_model import BrokerModel
from tests.broker.model_state import Peer
from tests.histories import try_histories
from tests.store.kinds import FileKind, LaterKind, MemoryKind, SpillingKind, StoreKind

EXAMPLES = 50
STEPS = 60
BEAT_SECONDS = 0.25
ROOM = 100_000
ADDRESSES = (b"a", b"b", b"")
SERVICES = (b"jobs", b"other")
QUEUES = (
    *[QueueName(QueueKind.SERVICE, SERVICES[0])] * 3,
    QueueName(QueueKind.SERVICE, SERVICES[1]),
    *(QueueName(QueueKind.MAILBOX, address) for address in (b"a", b"b", b"c")),
)
SUBJECTS = (b"x1", b"x2", b"y1", b"z")
PATTERNS = (b"", b"^x", b"1$", b"^y", b"^nobody")
TRACKERS = (b"", b"t%d", b"t%d", b"broker-%d-1")
TIMEOUTS = (0, 0, 0, 250, 1500)
NO_TERMS: mlm.Properties = {}
TERMS = (*[NO_TERMS] * 3, {"priority": 0}, {"priority": 7}, {"delay": 700}, {"delay": 2000, "priority": 9})
DEPARTURES = ("close", "vanish", "fall silent", "garble", "open again")
CHANCES = (*["settle", "write"] * 3, "sleep", "set back", "crash", "restart")
STATUSES = (200, 200, 200, 299, 300, 399, 400, 404, 502)
LIMITS = Limits(
    client_timeout=5.0,
    total=QueueLimits(ROOM),
    attempts=3,
    retention_of={b"kept": Retention(6), b"aged": Retention(None, most_seconds=3.0), b"all": Retention(None)},
)
STREAMS = (b"live", *LIMITS.retention_of)

pick = st.integers(0, 5)
patterns = st.sampled_from(PATTERNS)
streams_or_none = st.one_of(st.none(), st.sampled_from(STREAMS))
positions = st.one_of(st.just(0), st.integers(0, 12), st.just(mlm.LIVE_ONLY))


class BrokerMachine(RuleBasedStateMachine):
    """The steps of a history; :class:`BrokerModel` checks what the broker sends at each step.

    There are few rules, and each is complete in itself, so that a history still works when Hypothesis removes steps.
    """

    def __init__(self, kind: StoreKind) -> None:
        super().__init__()
        self._kind = kind
        self.sent: Counter[bytes] = Counter()
        self.model = BrokerModel(kind, LIMITS)

    def peer(self, pick: int) -> Peer:
        """Return one of the connected clients."""
        connected = self.model.connected
        return connected[-1 - pick % len(connected)]

    def has_peers(self) -> bool:
        """Return whether any client is connected."""
        return bool(self.model.connected)

    # Clients connect and leave

    @initialize()
    def begin(self) -> None:
        """One client sends requests, and two are workers."""
        self.model.open(b"", 0)
        self.arrive(b"a", 2, b"", None, 0)
        self.arrive(b"b", 5, b"^x", b"all", 0)

    @rule(
        address=st.sampled_from(ADDRESSES),
        credit=st.sampled_from([None, 0, 1, 3, 40]),
        pattern=patterns,
        stream=streams_or_none,
        position=positions,
    )
    def arrive(self, address: bytes, credit: int | None, pattern: bytes, stream: bytes | None, position: int) -> None:
        """A client connects, and may offer a service and read a stream."""
        peer = self.model.open(address, credit)
        if pattern != PATTERNS[-1]:
            self.model.offer(peer, SERVICES[0], pattern)
        if stream is not None:
            self.model.replay(peer, stream, b"", position)

    @precondition(has_peers)
    @rule(pick=pick, how=st.sampled_from(DEPARTURES))
    def depart(self, pick: int, how: str) -> None:
        """A client closes, sends invalid frames, or crashes; the broker may or may not notice the lost connection."""
        peer = self.peer(pick)
        if how == "close":
            self.model.close(peer)
        elif how == "vanish":
            peer.is_silent = peer.is_disconnected = True
        elif how == "fall silent":
            peer.is_silent = True
        else:
            self.model.misbehave(peer, {"garble": [b""], "open again": encode(mlm.ConnectionOpen(b"a"))}[how])

    # Requests and mail

    @precondition(has_peers)
    @rule(
        pick=pick,
        queue=st.sampled_from(QUEUES),
        subjects=st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=12),
        trackers=st.sampled_from(TRACKERS),
        timeout=st.sampled_from(TIMEOUTS),
        terms=st.sampled_from(TERMS),
    )
    def send(
        self, pick: int, queue: QueueName, subjects: list[bytes], trackers: bytes, timeout: int,
        terms: mlm.Properties = NO_TERMS,
    ) -> None:  # fmt: skip
        """A client sends requests or mail: without trackers, with its own, or with trackers like the broker's.

        Clients with different addresses may use the same trackers.
        """
        peer = self.peer(pick)
        for subject in subjects:
            number = self.sent[peer.address] if trackers.startswith(b"t") else self.model.count
            self.sent[peer.address] += 1
            self.model.send(peer, queue, subject, trackers % number if trackers else b"", timeout, terms=dict(terms))

    def has_leases(self) -> bool:
        """Return whether a client has unconfirmed deliveries."""
        return any(peer.leases for peer in self.model.connected)

    @precondition(has_leases)
    @rule(
        pick=pick,
        confirmations=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STATUSES)), min_size=1, max_size=5),
        credit=st.integers(0, 5),
    )
    def work(self, pick: int, confirmations: list[tuple[int, int]], credit: int) -> None:
        """A client confirms some deliveries, in any order, and gives credit."""
        holders = [peer for peer in self.model.connected if peer.leases]
        holder = holders[pick % len(holders)]
        for which, status in confirmations:
            if holder.leases:
                tracker = list(holder.leases)[which % len(holder.leases)]
                self.answer(holder, tracker)
                self.model.confirm(holder, tracker, status)
        self.model.credit(holder, credit)

    def answer(self, holder: Peer, tracker: bytes) -> None:
        """Let a client without address reply to a message that was delivered with an alias.

        A client with an address might have a message of its own with the same tracker.
        """
        message = holder.leases[tracker]
        if tracker.startswith(b"alias-") and message.sender and not holder.address:
            mailbox = QueueName(QueueKind.MAILBOX, message.sender)
            self.model.send(holder, mailbox, b"answer", tracker, 0, original=message.tracker)

    @precondition(has_peers)
    @rule(pick=pick, service=st.sampled_from(SERVICES), pattern=patterns)
    def offer(self, pick: int, service: bytes, pattern: bytes) -> None:
        """A client offers a service."""
        self.model.offer(self.peer(pick), service, pattern)

    @precondition(has_peers)
    @rule(pick=pick, amount=st.integers(0, 6))
    def credit(self, pick: int, amount: int) -> None:
        """A client gives credit, and confirms an unknown tracker, which has no effect."""
        self.model.credit(self.peer(pick), amount)
        self.model.call(self.peer(pick), mlm.Confirm(b"unknown", 200, b""))

    def has_dead_letters(self) -> bool:
        """Return whether there are dead letters."""
        return bool(self.model.dead_letters)

    @precondition(has_dead_letters)
    @rule(pick=pick, is_dropped=st.booleans())
    def settle_dead_letter(self, pick: int, is_dropped: bool) -> None:
        """A dead letter is sent again, or dropped."""
        self.model.settle_dead_letter(pick, is_dropped)

    # Streams

    @precondition(has_peers)
    @rule(pick=pick, stream=st.sampled_from(STREAMS), subjects=st.lists(st.sampled_from(SUBJECTS), max_size=8))
    def write(self, pick: int, stream: bytes, subjects: list[bytes]) -> None:
        """A client writes to a stream."""
        self.model.write(self.peer(pick), stream, subjects)

    @precondition(has_peers)
    @rule(pick=pick, stream=st.sampled_from(STREAMS), pattern=patterns, how=st.one_of(positions, st.booleans()))
    def read(self, pick: int, stream: bytes, pattern: bytes, how: int) -> None:
        """A client reads a stream, from now or from a position on, or cancels it."""
        if how is True:
            self.model.read(self.peer(pick), stream, pattern)
        elif how is False:
            self.model.cancel(self.peer(pick), stream)
        else:
            self.model.replay(self.peer(pick), stream, pattern, how)

    # Time and failures

    @rule(beats=st.integers(1, 12))
    def pass_time(self, beats: int) -> None:
        """Time passes, and the clients that have not crashed send pings."""
        for _ in range(beats):
            self.model.now += BEAT_SECONDS
            for peer in self.model.connected:
                if not peer.is_silent:
                    self.model.call(peer, mlm.ConnectionPing(), mlm.ConnectionPong())
            self.model.tick()

    @rule(chance=st.sampled_from(CHANCES))
    def chance(self, chance: str) -> None:
        """The machine is suspended, its clock is set back, the broker crashes or restarts, or pending work ends."""
        if chance in ("sleep", "set back"):
            self.model.now += 30 if chance == "sleep" else -30
            self.model.check_settled()
        elif chance in ("crash", "restart"):
            self.model.check_stored()
            is_clean = chance == "restart"
            self.model.restart(self._kind.reopen(self.model.store, is_clean), is_clean)
        elif chance == "write":
            self.model.settle()
        else:
            self.model.check_settled()

    # The end

    def teardown(self) -> None:
        """When all clients have left and new ones have taken every message, none is left and none was lost."""
        model = self.model
        model.check_settled()
        for peer in model.connected:
            model.close(peer)
        while any(peer.is_open for peer in model.peers.values()) or any(
            each.waits and each.is_delayed(model.now) for each in model.messages.values()
        ):
            self.pass_time(4)
        for address in (b"a", b"b", b"c"):
            self.model.open(address, 1000)
        model.offer(self.peer(0), SERVICES[0], b"")
        model.offer(self.peer(0), SERVICES[1], b"")
        model.check_settled()
        for peer in model.connected:
            while peer.leases:
                model.confirm(peer, next(iter(peer.leases)), 200)
        model.check_stored()
        assert all(message.final_status is not None for message in model.messages.values())
        model.check_room(ROOM)
        model.store.close()
        self._kind.clean_up()


class MemoryMachine(BrokerMachine):
    """A broker with a store in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryKind())


class FileMachine(BrokerMachine):
    """A broker with a store in a file."""

    def __init__(self) -> None:
        super().__init__(FileKind())


class SpillingMachine(BrokerMachine):
    """A broker with a store that spills most messages to a temporary file."""

    def __init__(self) -> None:
        super().__init__(SpillingKind())


class LaterMachine(BrokerMachine):
    """A broker with a shared store that answers later."""

    def __init__(self) -> None:
        super().__init__(LaterKind())


def take_small_steps(patch: Callable[[object, str, object], object] = setattr) -> None:
    """Reduce batch and window sizes, so that few messages suffice to exceed them."""
    for name, size in {
        "WINDOW_MESSAGES": 4,
        "WINDOW_OCTETS": 14,
        "TOTAL_WINDOW_OCTETS": 3000,
        "MAX_REFILLED_OCTETS": 4000,
        "NARROW_WINDOW_OCTETS": 600,
        "FREE_LANES": 2,
        "MAX_LANE_OCTETS": 2000,
    }.items():
        patch(lanes, name, size)
    for name, size in {"READ_MESSAGES": 3, "REFILLS_PER_READ": 2, "MAX_MATCHES": 4}.items():
        patch(backlog, name, size)
    patch(part, "READS_PER_CALL", 2)
    patch(part, "MANY_LANES", 2)
    patch(part, "MIN_DELIVERIES_PER_CALL", 2)
    patch(queues, "WORK_PER_TICK", 100)
    for name, size in {"READ_RECORDS": 3, "MIN_READ_RECORDS": 2, "FEED_RECORDS": 5, "TRIM_AFTER_RECORDS": 4}.items():
        patch(stream, name, size)
    patch(streams, "FEED_RECORDS", stream.FEED_RECORDS)
    patch(streams, "FEED_BETWEEN_TICKS", 10)
    patch(write_batches, "SPILL_OCTETS", 300)


class BrokerModelTests(SynchronousTestCase):
    """Random histories, with each kind of store."""

    def setUp(self) -> None:
        take_small_steps(self.patch)

    def try_histories(self, machine: type[BrokerMachine]) -> None:
        """Run random histories."""
        try_histories(machine, EXAMPLES, STEPS, "take_small_steps()")

    def test_memory(self) -> None:
        """In any history, a broker with a store in memory follows the protocol."""
        self.try_histories(MemoryMachine)

    def test_file(self) -> None:
        """In any history, a broker with a store in a file follows the protocol, also across restarts and crashes."""
        self.try_histories(FileMachine)

    def test_later(self) -> None:
        """In any history, a broker with a shared store that answers later follows the protocol."""
        self.try_histories(LaterMachine)

    def test_temporary_file(self) -> None:
        """In any history, a broker that spills to a temporary file follows the protocol."""
        self.try_histories(SpillingMachine)

    def test_confirmed_twice(self) -> None:
        """If the end of a confirmed message is not stored before a crash, the message is delivered again."""
        state = FileMachine()
        state.begin()
        state.send(pick=1, queue=QUEUES[0], subjects=[b"x1"], trackers=b"t%d", timeout=0)
        state.model.open(b"a", None)
        state.model.settle()
        state.credit(pick=0, amount=0)
        state.work(pick=0, confirmations=[(0, 200)], credit=0)
        state.chance("crash")
        state.teardown()
        message = state.model.messages[1]
        self.assertEqual((message.final_status, message.statuses), (200, [200]))

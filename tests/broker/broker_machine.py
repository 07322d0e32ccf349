"""The steps of random histories of a broker: clients connect, work, crash and leave, time passes, it restarts."""

from __future__ import annotations

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from alaska.broker.limits import IdLimits, Limits, QueueLimits
from alaska.message import QueueKind, QueueName, Retention
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from tests.broker.model_state import Lease, Peer
from tests.broker.operation_model import OperationModel
from tests.store.kinds import StoreKind

BEAT_SECONDS = 0.25
ROOM = 100_000
MOST_BEATS_TO_FINISH = 200
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
TERMS: tuple[mlm.Properties, ...] = (
    *[NO_TERMS] * 3,
    {"priority": 0},
    {"priority": 7},
    {"delay": 700},
    {"delay": 2000, "priority": 9},
    {"ttl": 0},
    {"ttl": 1000},
    {"ttl": 1000, "delay": 700},
    {"attempts": 2},
)
ONCE: tuple[mlm.Properties, ...] = (
    {},
    {"unique-for": 0},
    {"unique-for": 2000},
    {"unique-mode": b"replace"},
    {"unique-for": 0, "unique-mode": b"replace"},
)
DELAYS = (None, 0, 400, 1500)
DEPARTURES = ("close", "vanish", "fall silent", "garble", "open again")
CHANCES = (*["settle", "write"] * 3, "sleep", "set back", "crash", "restart")
STATUSES = (200, 200, 200, 299, 300, 399, 400, 404, 502)
LIMITS = Limits(
    client_timeout=5.0,
    total=QueueLimits(ROOM),
    attempts=3,
    ids=IdLimits(seconds=10.0),
    mailbox_seconds=40.0,
    retention_of={b"kept": Retention(6), b"aged": Retention(None, most_seconds=3.0), b"all": Retention(None)},
)
STREAMS = (b"live", *LIMITS.retention_of)

pick = st.integers(0, 5)
patterns = st.sampled_from(PATTERNS)
streams_or_none = st.one_of(st.none(), st.sampled_from(STREAMS))
positions = st.one_of(st.just(0), st.integers(0, 12), st.just(mlm.LIVE_ONLY))


class BrokerMachine(RuleBasedStateMachine):
    """The steps of a history; :class:`OperationModel` checks what the broker sends at each step.

    There are few rules, and each is complete in itself, so that a history still works when Hypothesis removes steps.
    """

    def __init__(self, kind: StoreKind) -> None:
        super().__init__()
        self._kind = kind
        self.sent: Counter[bytes] = Counter()
        self.model = OperationModel(kind, LIMITS)

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
        self.arrive(b"b", 5, b"^x", b"all", 0, is_second=True)

    @rule(
        address=st.sampled_from(ADDRESSES),
        credit=st.sampled_from([None, 0, 1, 3, 40]),
        pattern=patterns,
        stream=streams_or_none,
        position=positions,
        is_second=st.booleans(),
    )
    def arrive(
        self, address: bytes, credit: int | None, pattern: bytes, stream: bytes | None, position: int,
        is_second: bool = False,
    ) -> None:  # fmt: skip
        """A client connects, and may offer a service and read a stream."""
        peer = self.model.open(address, credit, is_second)
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
        once=st.none() | st.sampled_from(ONCE),
    )
    def send(
        self, pick: int, queue: QueueName, subjects: list[bytes], trackers: bytes, timeout: int,
        terms: mlm.Properties = NO_TERMS, once: mlm.Properties | None = None,
    ) -> None:  # fmt: skip
        """A client sends requests or mail: without trackers, with its own, or with trackers like the broker's.

        Clients with different addresses may use the same trackers. With ``once``, the messages of a subject have an id.
        """
        peer = self.peer(pick)
        for subject in subjects:
            number = self.sent[peer.address] if trackers.startswith(b"t") else self.model.count
            self.sent[peer.address] += 1
            unique = {} if once is None else {"id": b"id-" + subject, **once}
            tracker = trackers % number if trackers else b""
            self.model.send(peer, queue, subject, tracker, timeout, terms={**terms, **unique})

    def has_leases(self) -> bool:
        """Return whether a client has unconfirmed deliveries."""
        return any(peer.leases for peer in self.model.connected)

    @precondition(has_leases)
    @rule(
        pick=pick,
        confirmations=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(STATUSES)), min_size=1, max_size=5),
        credit=st.integers(0, 5),
        delay=st.sampled_from(DELAYS),
        is_spent=st.booleans(),
    )
    def work(
        self, pick: int, confirmations: list[tuple[int, int]], credit: int, delay: int | None = None,
        is_spent: bool = False,
    ) -> None:  # fmt: skip
        """A client confirms some deliveries, in any order, and gives credit; what it returns may have to wait."""
        holders = [peer for peer in self.model.connected if peer.leases]
        holder = holders[pick % len(holders)]
        for which, status in confirmations:
            if holder.leases:
                tracker = list(holder.leases)[which % len(holder.leases)]
                self.answer(holder, tracker)
                self.model.confirm(holder, tracker, status, delay, is_spent)
        self.model.credit(holder, credit)

    def answer(self, holder: Peer, tracker: Lease) -> None:
        """Let a client without address reply to a message that was delivered with an alias.

        A client with an address might have a message of its own with the same tracker.
        """
        message = holder.leases[tracker]
        if isinstance(tracker, bytes) and tracker.startswith(b"alias-") and message.sender and not holder.address:
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
        if self.model.readers.held_by(self.peer(pick), stream) is not None:
            self.model.cancel(self.peer(pick), stream)
        elif how is True:
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
            self.model.restart(is_clean=chance == "restart")
        elif chance == "write":
            self.model.settle()
        else:
            self.model.check_settled()

    # The end

    def teardown(self) -> None:
        """When all clients have left and new ones have taken every message, none is left and none was lost."""
        model = self.model
        for service in SERVICES:
            model.resume(service)
        model.check_settled()
        for peer in model.connected:
            model.close(peer)
        while any(peer.is_open for peer in model.peers.values()) or any(
            each.waits and each.is_delayed(model.now) for each in model.messages.values()
        ):
            self.pass_time(4)
        for address in (b"a", b"b", b"c"):
            model.open(address, 1000)
        model.offer(self.peer(0), SERVICES[0], b"")
        model.offer(self.peer(0), SERVICES[1], b"")
        self.finish()
        model.check_stored()
        assert all(message.final_status is not None for message in model.messages.values())
        model.check_ids_counted()
        model.check_room(ROOM)
        model.store.close()
        self._kind.clean_up()

    def finish(self) -> None:
        """Let the clients confirm everything; only rates may delay that."""
        self.model.check_settled()
        for _ in range(MOST_BEATS_TO_FINISH):
            for peer in self.model.connected:
                while peer.leases:
                    self.model.confirm(peer, next(iter(peer.leases)), 200)
            self.model.settle()
            if not self.model.waiting() and not self.model.running:
                break
            self.pass_time(1)
        self.model.check_settled()
        for peer in self.model.connected:
            while peer.leases:
                self.model.confirm(peer, next(iter(peer.leases)), 200)
        self.model.settle()

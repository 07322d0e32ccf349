"""More steps of histories: what administrators do, bindings of streams to services, and durable readers."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from alaska.broker.binding import BindingKey as BindingKey  # noqa: PLC0414  # for programs that reproduce a failure
from alaska.message import QueueKind as QueueKind  # noqa: PLC0414
from alaska.message import QueueName as QueueName  # noqa: PLC0414
from alaska.mlm import commands as mlm
from alaska.service_limits import Rate, ServiceLimit
from tests.broker.broker_machine import LIMITS, QUEUES, SERVICES, STREAMS, BrokerMachine, pick
from tests.broker.model_state import Peer
from tests.store.kinds import StoreKind

BINDINGS = (
    BindingKey(b"all", b"jobs", b"^x"),
    BindingKey(b"all", b"other", b""),
    BindingKey(b"kept", b"jobs", b""),
    BindingKey(b"live", b"other", b"1$"),
)
NAMES_OF_READERS = ((b"one", b""), (b"two", b"^x"))
"""The names of durable readers, with their patterns."""
SERVICE_LIMITS: tuple[tuple[ServiceLimit, ...], ...] = (
    (),
    (ServiceLimit(b"jobs", running=2),),
    (ServiceLimit(b"jobs", b"^x", running=1), ServiceLimit(b"jobs", running=3)),
    (ServiceLimit(b"jobs", b"1$", Rate(4, "s"), burst=2), ServiceLimit(b"other", None, Rate(8, "s"))),
    (ServiceLimit(b"jobs", None, Rate(4, "s"), burst=3, running=2), ServiceLimit(b"jobs", b"^y", running=1)),
)


class OperationMachine(BrokerMachine):
    """A broker with administrators, bindings and durable readers."""

    def __init__(self, kind: StoreKind) -> None:
        super().__init__(kind)
        self.bound: set[BindingKey] = set()

    def has_unfinished(self) -> bool:
        """Return whether there are messages that have not ended."""
        return any(each.final_status is None for each in self.model.messages.values())

    @precondition(has_unfinished)
    @rule(pick=st.integers(0, 20))
    def cancel(self, pick: int) -> None:
        """A message is cancelled."""
        unfinished = [each for each in self.model.messages.values() if each.final_status is None]
        self.model.cancel_message(unfinished[pick % len(unfinished)])

    @rule(queue=st.sampled_from(QUEUES))
    def purge(self, queue: QueueName) -> None:
        """A queue is purged."""
        self.model.purge(queue)

    @rule(service=st.sampled_from(SERVICES), is_paused=st.booleans())
    def pause(self, service: bytes, is_paused: bool) -> None:
        """A service is paused, or its pause ends."""
        if is_paused:
            self.model.pause(service)
        else:
            self.model.resume(service)

    @rule(limits=st.sampled_from(SERVICE_LIMITS))
    def limit(self, limits: tuple[ServiceLimit, ...]) -> None:
        """Services are limited, or not any more."""
        self.model.limit(limits)

    def has_dead_letters(self) -> bool:
        """Return whether there are dead letters."""
        return bool(self.model.dead_letters)

    @precondition(has_dead_letters)
    @rule(pick=pick, is_dropped=st.booleans(), are_all=st.booleans())
    def settle_dead_letters(self, pick: int, is_dropped: bool, are_all: bool) -> None:
        """A dead letter, or all, are sent again, or dropped."""
        if are_all:
            self.model.settle_dead_letters(is_dropped)
        else:
            self.model.settle_dead_letter(pick, is_dropped)

    # Streams

    @rule(key=st.sampled_from(BINDINGS), position=st.sampled_from([0, 3, mlm.LIVE_ONLY]))
    def bind(self, key: BindingKey, position: int) -> None:
        """A stream is bound to a service, or that ends.

        That happens once, so that without a crash there is one request for each record.
        """
        if key in self.model.bindings:
            self.model.unbind(key)
        elif key not in self.bound:
            self.bound.add(key)
            self.model.bind(key, position)

    def second_peers(self) -> list[Peer]:
        """Return the clients that may be durable readers."""
        return [each for each in self.model.connected if each.is_second]

    @precondition(lambda self: bool(self.second_peers()))
    @rule(
        pick=pick,
        stream=st.sampled_from(list(LIMITS.retention_of)),
        name=st.sampled_from(NAMES_OF_READERS),
        position=st.sampled_from([0, 2, mlm.LIVE_ONLY]),
    )
    def read_as(self, pick: int, stream: bytes, name: tuple[bytes, bytes], position: int) -> None:
        """A client becomes a durable reader."""
        peers = self.second_peers()
        self.model.read_as(peers[pick % len(peers)], stream, *name, position)

    def readers(self) -> list[tuple[Peer, bytes]]:
        """Return the clients that are durable readers and have got a record, each with the stream."""
        model = self.model
        return [
            (peer, stream)
            for peer in model.connected
            for stream in STREAMS
            if model.readers.held_by(peer, stream) is not None and model.streams.got_by(peer, stream)
        ]

    @precondition(lambda self: bool(self.readers()))
    @rule(pick=pick, which=st.integers(0, 12))
    def confirm_records(self, pick: int, which: int) -> None:
        """A durable reader confirms some records."""
        readers = self.readers()
        peer, stream = readers[pick % len(readers)]
        got = self.model.streams.got_by(peer, stream)
        self.model.confirm_records(peer, stream, got[which % len(got)])

"""Back-pressure per connection: a limit for deliveries that are sent but have not left this process.

ZeroMQ buffers in memory, without a limit, what a client does not read and the socket buffers do not take. So one of
every few deliveries is sent with a proof (:meth:`alaska.interfaces.IRouter.send_with_proof`), which says whether this
delivery and all before it have left the process. A client with too much in flight is full: it gets no deliveries until
some have left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from alaska.broker.log_throttle import LogThrottle

PROOF_MESSAGES = 256
PROOF_OCTETS = 128 * 1024
"""A proof is sent after this many messages or octets; it costs as much as sending ten messages."""
REPLY_OCTETS = 96
"""The estimated memory of a reply to a command besides its first frame."""
MAX_STALLED_REPLY_OCTETS = 32 * 1024
"""The octets of replies that a stalled connection may leave unread."""
STALL_TICKS = 3
"""A connection is stalled if nothing has left to it for more than this many ticks while the common limit is reached."""
MAX_CLOSED = 10_000
"""The number of connections without a client for which messages in flight are remembered."""


class FlowLimits(NamedTuple):
    """How much may be in flight to one connection; None: no limit. The limit for all together is four times the octets.

    Deliveries stop at ``octets``, or at a quarter of ``messages``. The other three quarters are for replies to the
    client's own commands; the session of a client that does not read those either ends.
    """

    messages: int | None = 40_000
    octets: int | None = 8 * 2**20


class _Proof(NamedTuple):
    has_left: Callable[[], bool]
    messages: int
    octets: int


class Flow:
    """The messages in flight to one connection.

    ``messages_since_proof`` counts the deliveries since the last proof, ``octets_since_proof`` the octets of deliveries
    and replies. A flow ``is_stalled`` while the common limit is reached and nothing leaves to its connection.
    """

    __slots__ = (
        "_flows",
        "_proofs",
        "_ticks_without_progress",
        "in_flight",
        "in_flight_octets",
        "is_full",
        "is_stalled",
        "messages_since_proof",
        "octets_since_proof",
        "peer",
        "stalled_reply_octets",
    )

    def __init__(self, flows: Flows, peer: bytes) -> None:
        self._flows = flows
        self._proofs: deque[_Proof] = deque()
        self.peer = peer
        self.messages_since_proof = 0
        self.octets_since_proof = 0
        self.in_flight = 0
        """The number of deliveries up to the last proof that have not left."""
        self.in_flight_octets = 0
        """The octets of those deliveries, and of the replies between them."""
        self.is_full = False
        self.is_stalled = False
        self.stalled_reply_octets = 0
        """The octets of the replies while the connection was stalled, since something has left."""
        self._ticks_without_progress = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in flight."""
        return not (self._proofs or self.messages_since_proof or self.octets_since_proof)

    def proof_sent(self, has_left: Callable[[], bool], client: object) -> None:
        """Record that the last message was sent with a proof; ``client`` is for the log."""
        self._proofs.append(_Proof(has_left, self.messages_since_proof, self.octets_since_proof))
        self.in_flight += self.messages_since_proof
        self.in_flight_octets += self.octets_since_proof
        self._flows.add(self, self.octets_since_proof)
        self.messages_since_proof = self.octets_since_proof = 0
        self.update()
        if self.is_full:
            self._flows.note_full(client)

    def update(self) -> None:
        """Remove from the count what has left."""
        proofs = self._proofs
        before, left = len(proofs), 0
        while proofs and proofs[0].has_left():
            proof = proofs.popleft()
            self.in_flight -= proof.messages
            left += proof.octets
        if len(proofs) < before:
            self._ticks_without_progress = self.stalled_reply_octets = 0
            self.is_stalled = False
        self.in_flight_octets -= left
        self._flows.subtract(self, left, not proofs)
        self.is_full = bool(proofs) and self._flows.is_too_much(self)

    def admits_reply(self, octets: int) -> bool:
        """Count a reply on a stalled connection, by the size of its first frame; return False if there are too many."""
        self.stalled_reply_octets += octets + REPLY_OCTETS
        return self.stalled_reply_octets <= MAX_STALLED_REPLY_OCTETS

    def tick(self) -> None:
        """Remove from the count what has left, and find out whether the connection is stalled."""
        self.update()
        self._ticks_without_progress += 1
        has_progress = self._ticks_without_progress <= STALL_TICKS or not self._proofs
        self.is_stalled = self._flows.are_full and not has_progress

    def note_dropped(self, client: object) -> None:
        """Record that a stream message for a client was dropped."""
        self._flows.note_dropped(client)


class Flows:
    """The messages in flight to all connections."""

    _log = Logger()

    def __init__(self, limits: FlowLimits) -> None:
        self.limits = limits
        self._octets = 0
        self._in_flight: dict[Flow, None] = {}
        self._closed: dict[bytes, Flow] = {}
        self._times_full = 0
        self._dropped_since_log = 0
        self._last_client: object = None
        self._log_throttle = LogThrottle()
        self.dropped = 0
        """The number of stream messages that were dropped."""

    def of(self, peer: bytes) -> Flow:
        """Return the flow of a new client's connection; an earlier client may have left deliveries in flight on it."""
        return self._closed.pop(peer, None) or Flow(self, peer)

    def end(self, flow: Flow) -> None:
        """Record that the session of a client has ended; its connection may still exist."""
        if not flow.is_empty:
            self._closed[flow.peer] = flow
        while self._closed:
            oldest = next(iter(self._closed.values()))
            if not oldest.is_empty and len(self._closed) <= MAX_CLOSED:
                break
            del self._closed[oldest.peer]

    def add(self, flow: Flow, octets: int) -> None:
        """Count octets in flight."""
        self._octets += octets
        self._in_flight[flow] = None

    def subtract(self, flow: Flow, octets: int, is_idle: bool) -> None:
        """Remove octets from the count; with ``is_idle`` the flow has nothing more in flight."""
        self._octets -= octets
        if is_idle:
            self._in_flight.pop(flow, None)

    @property
    def are_full(self) -> bool:
        """Whether the common limit is reached."""
        most = self.limits.octets
        return most is not None and self._octets >= 4 * most

    def is_stalled(self, peer: bytes) -> bool:
        """Return whether a connection without a client is stalled."""
        flow = self._closed.get(peer)
        return flow is not None and flow.is_stalled

    def is_too_much(self, flow: Flow) -> bool:
        """Return whether a flow is over its own limit or, if the common limit is reached, over a small share."""
        most_messages, most = self.limits
        if most_messages is not None and flow.in_flight >= most_messages // 4:
            return True
        return most is not None and (
            flow.in_flight_octets >= most or (self.are_full and flow.in_flight_octets > PROOF_OCTETS)
        )

    def tick(self, now: float) -> list[Flow]:
        """Update all flows; return those that are no longer full. Log, at intervals, that there were full ones."""
        was_full = [flow for flow in self._in_flight if flow.is_full]
        for flow in list(self._in_flight):
            flow.tick()
        if self._last_client is not None and self._log_throttle.is_due(now):
            self._log_summary()
        return [flow for flow in was_full if not flow.is_full]

    def note_full(self, client: object) -> None:
        """Record that a client is full."""
        self._times_full += 1
        self._last_client = client

    def note_dropped(self, client: object) -> None:
        """Record that a stream message was dropped."""
        self.dropped += 1
        self._dropped_since_log += 1
        self._last_client = client

    def _log_summary(self) -> None:
        self._log.warn(
            "{client.name} does not read its messages, or too slowly: mlm_server/clients/unread-size or unread-count "
            "is reached. Its mail and requests wait. Since the last such line this happened {full} times to clients, "
            "and {dropped} messages of streams were dropped",
            client=self._last_client, dropped=self._dropped_since_log, full=self._times_full,
        )  # fmt: skip
        self._last_client = None
        self._times_full = self._dropped_since_log = 0

"""What is under way to each connection: deliveries that were sent, and are not known to have left this process.

ZeroMQ keeps in memory, without a bound, what a program does not read and the system's buffers do not take. So now and
then a delivery is sent with a proof, which says when it has left, and with it all before; and who has too much under
way is full: it is ready for no delivery until some of that has left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from alaska.broker.log_throttle import LogThrottle

PROOF_MESSAGES = 256
PROOF_OCTETS = 128 * 1024
"""Behind so much a proof is due: one costs as much as sending ten messages."""
MAX_CLOSED = 10_000
"""Of so many connections whose clients have ended is known what is under way to them."""


class FlowLimits(NamedTuple):
    """How much may be under way to one connection; None: no limit. All together may have four times the octets.

    Deliveries stop at ``octets``, or at a quarter of the ``messages``. The rest of those is for what answers the
    client's own commands: one that does not read these either loses its connection.
    """

    messages: int | None = 40_000
    octets: int | None = 8 * 2**20


class _Proof(NamedTuple):
    has_left: Callable[[], bool]
    messages: int
    octets: int


class Flow:
    """What is under way to one connection.

    ``messages`` and ``octets`` count the deliveries that no proof was sent behind.
    """

    __slots__ = (
        "_flows",
        "_proofs",
        "in_flight",
        "in_flight_octets",
        "is_full",
        "messages_since_proof",
        "octets_since_proof",
        "peer",
    )

    def __init__(self, flows: Flows, peer: bytes) -> None:
        self._flows = flows
        self._proofs: deque[_Proof] = deque()
        self.peer = peer
        self.messages_since_proof = 0
        self.octets_since_proof = 0
        self.in_flight = 0
        """How many deliveries wait for their proof."""
        self.in_flight_octets = 0
        """How many octets those have."""
        self.is_full = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way."""
        return not (self._proofs or self.messages_since_proof)

    def proof_sent(self, has_left: Callable[[], bool], client: object) -> None:
        """Note that a proof was sent behind all that the flow counts; the log may have to name the client."""
        self._proofs.append(_Proof(has_left, self.messages_since_proof, self.octets_since_proof))
        self.in_flight += self.messages_since_proof
        self.in_flight_octets += self.octets_since_proof
        self._flows.add(self, self.octets_since_proof)
        self.messages_since_proof = self.octets_since_proof = 0
        self.update()
        if self.is_full:
            self._flows.note_full(client)

    def update(self) -> None:
        """Count no longer what has left."""
        proofs = self._proofs
        left = 0
        while proofs and proofs[0].has_left():
            proof = proofs.popleft()
            self.in_flight -= proof.messages
            left += proof.octets
        self.in_flight_octets -= left
        self._flows.subtract(self, left, not proofs)
        self.is_full = bool(proofs) and self._flows.is_too_much(self)

    def note_dropped(self, client: object) -> None:
        """Note that a client was not sent a message that will not be kept for it."""
        self._flows.note_dropped(client)


class Flows:
    """All connections that something is under way to."""

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
        """How many messages of streams were dropped."""

    def of(self, peer: bytes) -> Flow:
        """Return what is under way to the connection of a new client, which may be much: it may have had another."""
        return self._closed.pop(peer, None) or Flow(self, peer)

    def end(self, flow: Flow) -> None:
        """Take note that the client of a connection has ended; the connection may not."""
        if not flow.is_empty:
            self._closed[flow.peer] = flow
        while self._closed:
            oldest = next(iter(self._closed.values()))
            if not oldest.is_empty and len(self._closed) <= MAX_CLOSED:
                break
            del self._closed[oldest.peer]

    def add(self, flow: Flow, octets: int) -> None:
        """Count octets that wait for their proof."""
        self._octets += octets
        self._in_flight[flow] = None

    def subtract(self, flow: Flow, octets: int, is_idle: bool) -> None:
        """Count octets no longer."""
        self._octets -= octets
        if is_idle:
            self._in_flight.pop(flow, None)

    def is_too_much(self, flow: Flow) -> bool:
        """Return whether a flow has to stop: it has too much, or all have and it is not one of those with little."""
        most_messages, most = self.limits
        if most_messages is not None and flow.in_flight >= most_messages // 4:
            return True
        return most is not None and (
            flow.in_flight_octets >= most or (self._octets >= 4 * most and flow.in_flight_octets > PROOF_OCTETS)
        )

    def tick(self, now: float) -> list[Flow]:
        """Count no longer what has left, and return the flows that have room again; now and then log who has none."""
        was_full = [flow for flow in self._in_flight if flow.is_full]
        for flow in list(self._in_flight):
            flow.update()
        if self._last_client is not None and self._log_throttle.is_due(now):
            self._log_summary()
        return [flow for flow in was_full if not flow.is_full]

    def note_full(self, client: object) -> None:
        """Note that a client is full."""
        self._times_full += 1
        self._last_client = client

    def note_dropped(self, client: object) -> None:
        """Note that a message was dropped."""
        self.dropped += 1
        self._dropped_since_log += 1
        self._last_client = client

    def _log_summary(self) -> None:
        self._log.warn(
            "{client.name} does not read what it is sent, or too slowly: mlm_server/clients/unread-size or "
            "unread-count is reached. Mail and requests wait; since the last such line that happened {full} times, "
            "and {dropped} messages of streams were dropped",
            client=self._last_client, dropped=self._dropped_since_log, full=self._times_full,
        )  # fmt: skip
        self._last_client = None
        self._times_full = self._dropped_since_log = 0

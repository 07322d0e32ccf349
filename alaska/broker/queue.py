"""One queue: the messages that wait for a mailbox's owner or for a service's workers.

What waits is sorted into lanes. A lane holds, in order, the messages that exactly the same clients may take, so what
can be said of the first of a lane can be said of all: whether anybody takes it, and who. A message that nobody may
take is in the lane of nobody, where it is in no other's way.

All that waits is in the store, and the head of it in memory: at most a window for each lane. Only a store that ends
with this process need not have what is in memory. Up to the position ``_sorted`` the store has been looked through:
each message is in memory, with a client, in the lane of nobody, or left behind by a lane whose window was full. What
lies above is looked at when somebody is ready for more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heapreplace
from typing import Protocol

from alaska.broker.clients import Client
from alaska.interfaces import IStore
from alaska.message import Message, QueueName, insert_by_position

WINDOW_MESSAGES = 1000
WINDOW_OCTETS = 4 * 2**20
READ_MESSAGES = 500
READS_IN_A_TURN = 4
"""How often one call reads on in the store; what is left is for the next tick, so that nobody else has to wait."""

NOBODY: Hashable = frozenset()


class Takers(Protocol):
    """Who takes the messages of a queue."""

    @property
    def is_empty(self) -> bool:
        """Whether a queue that has nothing need not be remembered for their sake."""

    def lane_of(self, subject: bytes) -> Hashable:
        """Return what stands for the clients that may take a message with this subject; :data:`NOBODY` for none."""

    def next_of(self, lane: Hashable) -> Client | None:
        """Return the client of a lane whose turn it is, if one is ready; it has had its turn then."""

    def has_ready(self) -> bool:
        """Return whether any client is ready."""

    def count(self, subject: bytes) -> int:
        """Count the clients that may take a message with this subject."""


class _Lane:
    """What waits for the same clients: its window, and whether it has left messages behind in the store.

    Of the messages up to the position ``upto`` none is left behind.
    """

    __slots__ = ("is_behind", "messages", "octets", "upto")

    def __init__(self, upto: int) -> None:
        self.messages: deque[Message] = deque()
        self.octets = 0
        self.is_behind = False
        self.upto = upto

    @property
    def has_room(self) -> bool:
        return len(self.messages) < WINDOW_MESSAGES and self.octets < WINDOW_OCTETS

    def append(self, message: Message) -> None:
        self.messages.append(message)
        self.octets += message.size
        self.upto = max(self.upto, message.position)

    def popleft(self) -> Message:
        message = self.messages.popleft()
        self.octets -= message.size
        return message


class Queue:
    """The messages that wait, and the positions of those that are with clients.

    ``deliver`` is called with a client and a message that goes to it, ``expired`` with one whose time has passed.
    """

    def __init__(
        self,
        name: QueueName,
        takers: Takers,
        store: IStore,
        deliver: Callable[[Client, Message], None],
        expired: Callable[[Message], None],
    ) -> None:
        self.name = name
        self.takers = takers
        self._store = store
        self._deliver = deliver
        self._expired = expired
        self._lanes: dict[Hashable, _Lane] = {}
        self._held: set[int] = set()
        self._in_memory = 0
        self._sorted = 0
        self._has_unsorted = False
        self.waiting = 0
        """How many messages wait."""
        self.octets = 0
        """How many octets of content wait."""

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to remember: a message that waits or is with a client, or an offer."""
        return bool(self.waiting or self._held or not self.takers.is_empty)

    @property
    def is_deep(self) -> bool:
        """Whether messages wait in the store alone."""
        return self.waiting > self._in_memory

    def restore(self, messages: int, octets: int) -> None:
        """Take note of what the store has kept for this queue from before."""
        self.waiting, self.octets = messages, octets
        self._has_unsorted = True

    # Messages that come

    def next_for(self, message: Message) -> Client | None:
        """Return the client that takes a new message at once, or None if it has to wait."""
        if self._has_unsorted:
            return None
        lane = self.takers.lane_of(message.subject)
        if lane in self._lanes or lane == NOBODY:
            return None
        client = self.takers.next_of(lane)
        if client is not None:
            self._held.add(message.position)
        return client

    def wait(self, message: Message) -> bool:
        """Let a new message wait behind all that it could overtake; return whether it is in memory."""
        self.waiting += 1
        self.octets += message.size
        return not self._has_unsorted and self._sort(message)

    def put_back(self, message: Message) -> None:
        """Let a message that was with a client wait again, before all that came after it."""
        self.waiting += 1
        self.octets += message.size
        key = self.takers.lane_of(message.subject)
        lane = self._lanes.get(key)
        is_left_behind = lane is not None and lane.is_behind and message.position > lane.upto
        if key == NOBODY or is_left_behind or (self._has_unsorted and message.position > self._sorted):
            self._held.discard(message.position)
            if key == NOBODY and lane is None:
                self._lanes[key] = _Lane(0)
            return
        if lane is None:
            lane = self._lanes[key] = _Lane(message.position)
        insert_by_position(lane.messages, message)
        lane.octets += message.size
        self._in_memory += 1

    def end(self, message: Message) -> None:
        """Note that a message that was with a client is done with."""
        self._held.discard(message.position)

    def expire(self, message: Message) -> bool:
        """Remove a message whose time has passed; return False if it does not wait, because a client has it."""
        if message.position in self._held and not self._remove(message):
            return False
        self._count_out(message)
        return True

    def _remove(self, message: Message) -> bool:
        """Remove a message from its window; return False if it is not there."""
        key = self.takers.lane_of(message.subject)
        lane = self._lanes.get(key)
        for waiting in lane.messages if lane is not None else ():
            if lane is not None and waiting.position == message.position:
                lane.messages.remove(waiting)
                lane.octets -= message.size
                self._leave_memory(message)
                self._tidy(key)
                return True
        return False

    # Messages that go

    def dispatch(self, now: float) -> None:
        """Deliver, oldest first, what clients are ready for."""
        self._deliver_lanes(now)
        for _ in range(READS_IN_A_TURN):
            if not self.is_deep or not self.takers.has_ready() or not self._read_on():
                return
            self._deliver_lanes(now)

    def takers_changed(self) -> None:
        """Sort what waits anew, since another lane may be right for each message."""
        waiting = sorted((each for lane in self._lanes.values() for each in lane.messages), key=lambda m: m.position)
        self._lanes = {}
        if self.waiting == self._in_memory:
            self._in_memory = 0
            self._held.difference_update(each.position for each in waiting)
            for message in waiting:
                if not self._sort(message):
                    self._leave_to_store(message)
            return
        # Some of them are in the store alone, between those in memory: all are sorted from there, in order.
        for message in waiting:
            self._leave_memory(message)
            self._leave_to_store(message)
        self._sorted = 0
        self._has_unsorted = True

    def _deliver_lanes(self, now: float) -> None:
        heads = [(lane.messages[0].position, key) for key, lane in self._lanes.items() if lane.messages]
        heapify(heads)
        while heads:
            _, key = heads[0]
            lane = self._lanes[key]
            is_late = lane.messages[0].expires is not None and self._drop_if_late(lane, now)
            client = None if is_late else self.takers.next_of(key)
            if client is not None:
                message = lane.popleft()
                self._in_memory -= 1
                self.waiting -= 1
                self.octets -= message.size
                self._deliver(client, message)
            elif not is_late and not self.takers.has_ready():
                return
            if lane.messages and (is_late or client is not None):
                heapreplace(heads, (lane.messages[0].position, key))
            else:
                heappop(heads)
                self._tidy(key)

    def _drop_if_late(self, lane: _Lane, now: float) -> bool:
        message = lane.messages[0]
        if message.expires is None or message.expires > now:
            return False
        lane.popleft()
        self._leave_memory(message)
        self._count_out(message)
        self._expired(message)
        return True

    # Memory and store

    def _read_on(self) -> bool:
        """Bring more of the store into memory; return whether there may be still more."""
        for key, lane in list(self._lanes.items()):
            if lane.is_behind and key != NOBODY and len(lane.messages) < WINDOW_MESSAGES // 2:
                self._refill(key, lane)
        if not self._has_unsorted:
            return any(lane.messages for lane in self._lanes.values())
        messages = self._store.waiting(self.name, self._sorted, READ_MESSAGES)
        for message in messages:
            if message.position in self._held:
                self._sorted = message.position
            else:
                self._sort(message)
        self._has_unsorted = len(messages) == READ_MESSAGES
        return True

    def _leave_to_store(self, message: Message) -> None:
        if not self._store.is_durable:
            self._store.keep(message, None)

    def _sort(self, message: Message) -> bool:
        """Put the next message into the window of its lane, or note that it is left behind, and return False."""
        self._sorted = message.position
        key = self.takers.lane_of(message.subject)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(message.position - 1)
        if key == NOBODY or lane.is_behind or not lane.has_room:
            if not lane.is_behind:
                # What was put back may be above what was sorted in last, and is in memory all the same.
                lane.is_behind = True
                lane.upto = message.position - 1
            return False
        lane.append(message)
        self._held.add(message.position)
        self._in_memory += 1
        return True

    def _refill(self, key: Hashable, lane: _Lane) -> None:
        """Bring what a lane has left behind into its window, as far as there is room."""
        messages = self._store.waiting(self.name, lane.upto, READ_MESSAGES)
        lane.is_behind = len(messages) == READ_MESSAGES
        for message in messages:
            if message.position > self._sorted:
                lane.is_behind = False
                break
            if not lane.has_room:
                lane.is_behind = True
                break
            lane.upto = message.position
            if message.position not in self._held and self.takers.lane_of(message.subject) == key:
                lane.append(message)
                self._held.add(message.position)
                self._in_memory += 1
        self._tidy(key)

    def _leave_memory(self, message: Message) -> None:
        self._in_memory -= 1
        self._held.discard(message.position)

    def _count_out(self, message: Message) -> None:
        self.waiting -= 1
        self.octets -= message.size

    def _tidy(self, key: Hashable) -> None:
        lane = self._lanes.get(key)
        if lane is not None and not lane.messages and not lane.is_behind:
            del self._lanes[key]

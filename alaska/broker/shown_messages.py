"""The messages of queues as administrators see them: those with clients first, then those that wait, then delayed ones.

A page is read from where the one before has ended, so that a long queue is not read from its start each time.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import msgspec

from alaska.admin import message_snapshots
from alaska.admin import snapshots as shown
from alaska.admin.pages import PAGE_OCTETS, Key, Work, read_key, write_key
from alaska.admin.requests import MessageQuery
from alaska.admin.text import to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.cancelling import Matches, chosen
from alaska.broker.clients import Client, Lease
from alaska.broker.searching import MOST_WAITS, Held, unconfirmed, visit_part
from alaska.broker.terms import priority_of
from alaska.message import DELAYED, Message, PartName, QueueKind, QueueName, name_of, part_of, rank_of
from alaska.mlm.properties import to_octets

READ_PER_TURN = 200
MOST_SEARCHED = 200_000
"""With a filter, so many messages are looked at to count them, or for one page."""
PARTS_PER_TURN = 2000
"""The number of parts of queues, one for each priority, that one turn looks at."""
STATES = ("running", "waiting", "delayed")
_KINDS = (QueueKind.SERVICE, QueueKind.MAILBOX)
_SHAPE = (int, int, bytes, int, int)
"""A key: the number of the state, that of the kind of queue, its address, the rank (highest first), the position."""
Time = Callable[[float], float]
Items = dict[Key, message_snapshots.Message]


def messages(state: BrokerState, query: MessageQuery, time: Time) -> Work[shown.Page[message_snapshots.Message]]:
    """Return a page of messages; ``time`` converts the broker's time.

    :raises OperationFailed: the query is not valid.
    """
    queue, is_chosen = chosen(query)
    is_filtered = bool(query.match) or query.subject is not None or query.sender is not None
    after = read_key(query.after, _SHAPE)
    items: Items = {}
    room = _Room(query.limit)
    if is_filtered:
        total = yield from _count(state, queue, query.state, is_chosen)
    else:
        total = yield from _total(state, queue, query.state)
    if query.state in (None, "running"):
        held = yield from unconfirmed(state, is_chosen)
        total += len(held)
        if after is None or after[0] == 0:
            _add_running(state, items, held, after, room, time)
    for at, part in enumerate(_in_order(state, queue, query.state)):
        if at and not at % PARTS_PER_TURN:
            yield
        if room.is_full:
            break
        key = _key_of(part)
        if after is None or key >= after[:4]:
            position = after[4] if after is not None and key == after[:4] else 0
            yield from _add_waiting(state, items, part, position, room, time, is_chosen if is_filtered else None)
    upto = room.upto if room.is_full else None
    return shown.Page(items=list(items.values()), total=total, next=None if upto is None else write_key(upto))


class _Room:
    """The room that is left on a page."""

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.upto: Key | None = None
        """The key of what was added, or passed, last."""
        self._octets = self._passed = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more is added."""
        return self.left <= 0

    def add(self, items: Items, key: Key, item: message_snapshots.Message) -> None:
        """Add an item."""
        items[key] = item
        self.upto = key
        self.left -= 1
        self._octets += len(msgspec.json.encode(item))
        if self._octets > PAGE_OCTETS:
            self.left = 0

    def pass_over(self, key: Key) -> None:
        """Count an item that is not wanted; of too many, the page ends, and the next one continues."""
        self._passed += 1
        if self._passed >= MOST_SEARCHED:
            self.upto, self.left = key, 0


def _total(state: BrokerState, queue: QueueName | None, wanted: str | None) -> Generator[None, None, int]:
    """Return how many messages wait or are delayed."""
    table = state.queues.table
    queues = list(table.values()) if queue is None else [table[queue]] if queue in table else []
    total = parts = 0
    for each in queues:
        parts += max(1, len(each.parts))
        if parts > PARTS_PER_TURN:
            parts = 0
            yield
        total += each.waiting if wanted in (None, "waiting") else 0
        total += each.delayed if wanted in (None, "delayed") else 0
    return total


def _count(
    state: BrokerState, queue: QueueName | None, wanted: str | None, is_chosen: Matches
) -> Generator[None, None, int]:
    """Return how many messages that wait or are delayed match a filter; only the first ones are looked at."""
    count = looked = 0
    running: set[int] = set()

    def visit(message: Message) -> bool:
        nonlocal count, looked
        looked += 1
        count += message.position not in running and is_chosen(message)
        return looked >= MOST_SEARCHED

    for at, part in enumerate(_in_order(state, queue, wanted)):
        if at and not at % PARTS_PER_TURN:
            yield
        if looked >= MOST_SEARCHED:
            break
        rank, found = rank_of(part), state.queues.table.get(name_of(part))
        running = set() if found is None or rank == DELAYED else found.part(rank).positions_in_flight()
        yield from visit_part(state, part, visit, 0, READ_PER_TURN)
    return count


def _in_order(state: BrokerState, queue: QueueName | None, wanted: str | None) -> Iterator[PartName]:
    """Iterate over the parts of a queue, or of all, in the order of their keys."""
    table = state.queues.table
    every = [each.name for each in table.values()] if queue is None else [queue]
    names = sorted(every, key=lambda name: (_KINDS.index(name.kind), name.address))
    for name in names if wanted in (None, "waiting") else ():
        found = table.get(name)
        ranks = () if found is None else sorted(found.ranks, reverse=True)
        yield from (part_of(name, rank) for rank in ranks if rank != DELAYED)
    for name in names if wanted in (None, "delayed") else ():
        yield part_of(name, DELAYED)


def _key_of(part: PartName) -> Key:
    """Return the key of a part of a queue, to which that of a message adds the position."""
    rank = rank_of(part)
    return STATES.index("delayed" if rank == DELAYED else "waiting"), _KINDS.index(part.kind), part.address, -rank


def _add_running(
    state: BrokerState, items: Items, held: list[Held], after: Key | None, room: _Room, time: Time
) -> None:
    """Add the messages that clients have."""
    keys: dict[Key, Held] = {}
    for each in held:
        message = each[2]
        keys[0, _KINDS.index(message.queue.kind), message.queue.address, -message.rank, message.position] = each
    for key in sorted(keys):
        if room.is_full:
            return
        client, lease, message = keys[key]
        if (after is None or key > after) and client.holds(lease, message):
            is_cancelled = message in state.queues.cancelled
            room.add(items, key, shown_running(message, client, lease, is_cancelled, time))


def _add_waiting(
    state: BrokerState, items: Items, part: PartName, position: int, room: _Room, time: Time, is_chosen: Matches | None
) -> Generator[None, None, None]:
    """Add the messages of a part of a queue after a position, those that match a filter if there is one."""
    store, rank, waits = state.store, rank_of(part), 0
    while not room.is_full and waits < MOST_WAITS and (queue := state.queues.table.get(name_of(part))) is not None:
        if not queue.size_of(rank):
            return
        if not store.is_durable and rank != DELAYED:
            # What is in memory may not be in the store; it stays there only if a consumer is ready.
            queue.part(rank).leave_in_store()
        in_flight = set() if rank == DELAYED else queue.part(rank).positions_in_flight()
        most = READ_PER_TURN if is_chosen is not None else min(READ_PER_TURN, room.left + len(in_flight))
        page = store.waiting(part, position, most)
        for message in page:
            if room.is_full:
                return
            position = message.position
            if position in in_flight:
                continue
            if is_chosen is not None and not is_chosen(message):
                room.pass_over((*_key_of(part), position))
            else:
                room.add(items, (*_key_of(part), position), shown_waiting(message, time))
        if page.upto is None:
            return
        waits = 0 if page or page.upto > position else waits + 1
        position = max(position, page.upto)
        yield


def shown_waiting(message: Message, time: Time) -> message_snapshots.Message:
    """Return a message that waits or is delayed; ``time`` converts the broker's time."""
    if message.rank == DELAYED:
        # In ms, as it was sent: the broker's clock and that of the wall differ by some µs more at each look.
        due = None if message.expires is None else round(time(message.expires), 3)
        return _shown(message, "delayed", priority_of(message.properties), due=due)
    return _shown(message, "waiting", message.rank)


def shown_running(
    message: Message, client: Client, lease: Lease, is_cancelled: bool, time: Time
) -> message_snapshots.Message:
    """Return a message that a client has; ``time`` converts the broker's time."""
    report = client.progress.get(lease)
    progress = None if report is None else report.progress
    return _shown(
        message,
        "running",
        message.rank,
        client=to_text(client.address),
        delivered=time(message.moved_at) if message.moved_at else None,
        cancelled=is_cancelled,
        progress=None if progress is None else progress.fraction,
        progress_text="" if progress is None else to_text(progress.text),
    )


def _shown(
    message: Message,
    state: str,
    priority: int,
    due: float | None = None,
    client: str = "",
    delivered: float | None = None,
    cancelled: bool = False,
    progress: float | None = None,
    progress_text: str = "",
) -> message_snapshots.Message:
    return message_snapshots.Message(
        position=message.position,
        state=state,
        queue=message.queue.kind.value,
        address=to_text(message.queue.address),
        subject=to_text(message.subject),
        sender=to_text(message.sender),
        tracker=to_text(message.sent_as or message.tracker),
        id=to_text(to_octets(message.properties.get("id", b""))),
        since=message.since / 1000 if message.since else None,
        octets=message.size,
        attempts=message.attempts,
        snoozes=message.snoozes,
        priority=priority,
        due=due,
        client=client,
        delivered=delivered,
        cancelled=cancelled,
        progress=progress,
        progress_text=progress_text,
    )

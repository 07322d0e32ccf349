"""Finding messages of queues for administrators, in turns: those that wait, are delayed, or are with a client."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice

from alaska.admin.pages import TURN_ITEMS
from alaska.broker.broker_state import BrokerState
from alaska.broker.clients import Client, Lease
from alaska.message import DELAYED, Message, PartName, QueueName, name_of, part_of, rank_of

MOST_WAITS = 2000
"""After this many turns in which the store had nothing ready, or refused to delete, an operation ends early."""
EARLY = "the store did not answer in time; ask again for the rest"

Visit = Callable[[Message], bool]
"""Is called with a message; returns whether the search ends with it."""


def visit_part(
    state: BrokerState, part: PartName, visit: Visit, after: int, per_turn: int
) -> Generator[None, None, bool]:
    """Visit the messages that a part of a queue has at present after a position, in order, so many in a turn.

    Return False if the store did not answer. A durable store has those that are in flight as well.
    """
    queues, store, rank = state.queues, state.store, rank_of(part)
    upto, waits = queues.last_position, 0
    while waits < MOST_WAITS and (queue := queues.table.get(name_of(part))) is not None and queue.size_of(rank):
        if not store.is_durable and rank != DELAYED:
            # What is in memory may not be in the store; it stays there only if a consumer is ready.
            queue.part(rank).leave_in_store()
        page = store.waiting(part, after, per_turn)
        for message in page:
            if message.position > upto or visit(message):
                return True
            after = message.position
        if page.upto is None:
            break
        waits = 0 if page or page.upto > after else waits + 1
        after = max(after, page.upto)
        yield
    return waits < MOST_WAITS


def parts_of(state: BrokerState, queue: QueueName | None, delayed: bool | None = None) -> Iterator[PartName]:
    """Iterate over the parts of a queue, or of all queues that there are now; delayed messages come last.

    ``delayed`` selects those with delayed messages, or the others.
    """
    table = state.queues.table
    for name in [each.name for each in table.values()] if queue is None else [queue]:
        found = table.get(name)
        for rank in () if found is None else found.ranks:
            if delayed is None or (rank == DELAYED) == delayed:
                yield part_of(name, rank)


def unconfirmed(state: BrokerState, matches: Callable[[Message], bool]) -> Generator[None, None, list[Held]]:
    """Return the deliveries of messages that match, each with its client and lease."""
    found: list[Held] = []
    seen = 0
    for client in state.clients:
        leases = iter(list(client.leases.items()))
        while True:
            seen += 1
            for lease, message in islice(leases, max(1, TURN_ITEMS - seen)):
                seen += 1
                if matches(message):
                    found.append((client, lease, message))
            if seen < TURN_ITEMS:
                break  # there are no more
            seen = 0
            yield
    return found


Held = tuple[Client, Lease, Message]
"""A message that a client has not confirmed, and its lease."""


def in_turns(parts: Iterable[PartName], size: int = 500) -> Iterator[list[PartName]]:
    """Return parts in groups, each for one turn; a group is made when it is its turn."""
    left = iter(parts)
    while group := list(islice(left, size)):
        yield group

"""Operations on many messages, records or dead letters, each of which is done in turns (:mod:`alaska.admin.pages`)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from alaska.admin.pages import TURN_ITEMS, Work
from alaska.admin.requests import SomeLetters
from alaska.admin.snapshots import Done, DoneWithSome
from alaska.broker.broker_state import BrokerState
from alaska.broker.searching import EARLY, MOST_WAITS, parts_of, visit_part
from alaska.broker.shown_letters import matching
from alaska.broker.stream import Stream
from alaska.message import Message, QueueName

MESSAGES_PER_TURN = 300
LETTERS_PER_TURN = 300
MOST_FETCHED = 16
"""The maximum number of dead letters that are read from the store at the same time."""


def purge_queue(state: BrokerState, name: QueueName, now: Callable[[], float]) -> Work[Done]:
    """End the messages that wait in a queue at present, delayed ones too; their senders are told."""
    count, is_done = 0, True

    def end(message: Message) -> bool:
        nonlocal count
        count += state.queues.end_purged(message, now())
        return False

    for part in parts_of(state, name):
        is_done = (yield from visit_part(state, part, end, 0, MESSAGES_PER_TURN)) and is_done
    return Done(done=is_done, count=count, note="" if is_done else EARLY)


def purge_stream(stream: Stream) -> Work[Done]:
    """Delete the records of a stream that are stored at present."""
    first, upto, waits = stream.first, stream.last, 0
    while stream.first <= upto and waits < MOST_WAITS:
        before = stream.first
        stream.purge(upto)
        if stream.first <= upto:
            waits = waits + 1 if stream.first == before else 0
            yield
    return Done(done=waits < MOST_WAITS, count=stream.first - first, note="" if waits < MOST_WAITS else EARLY)


def drop_letters(state: BrokerState, letters: SomeLetters, wall: float) -> Work[DoneWithSome]:
    """Delete the dead letters that match at present; ``wall`` is the time since 1970."""
    positions = yield from _positions(state, letters, wall)
    count = 0
    for at, position in enumerate(positions):
        if at and not at % LETTERS_PER_TURN:
            yield
        count += state.queues.dead_letters.drop(position)
    return DoneWithSome(count=count, last=max(positions, default=None))


def replay_letters(state: BrokerState, letters: SomeLetters, now: Callable[[], float]) -> Work[DoneWithSome]:
    """Send the dead letters again that match at present, oldest first; end at the first for which there is no room."""
    positions = yield from _positions(state, letters, now() + state.queues.wall_offset)
    counts = {True: 0, False: 0}
    fetched = gone = 0
    dead = state.queues.dead_letters

    def ended(is_done: bool, position: int) -> None:
        nonlocal gone
        if is_done or dead.has(position):
            counts[is_done] += 1
        else:
            gone += 1  # somebody else was faster

    def failed(_failure: object) -> None:
        counts[False] += 1

    for position in positions:
        while fetched - gone - sum(counts.values()) >= MOST_FETCHED:
            yield
        if counts[False]:
            break
        fetched += 1
        state.queues.replay_dead_letter(position, now()).addCallbacks(ended, failed, (position,))
        if not fetched % MOST_FETCHED:
            yield
    while fetched > gone + sum(counts.values()):
        yield
    is_done = not counts[False]
    note = "" if is_done else "one could not be sent again: there is no room for it"
    return DoneWithSome(done=is_done, count=counts[True], note=note, last=max(positions, default=None))


def _positions(state: BrokerState, letters: SomeLetters, wall: float) -> Work[list[int]]:
    """Return the positions of the dead letters that match, in order."""
    found = matching(state.queues.dead_letters.after(letters.after), letters, wall)
    positions: list[int] = []
    while some := list(islice(found, TURN_ITEMS)):
        positions += [letter.message.position for letter in some if letter is not None]
        if letters.limit is not None and len(positions) >= letters.limit:
            return positions[: letters.limit]
        if len(some) == TURN_ITEMS:
            yield
    return positions

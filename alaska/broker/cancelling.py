"""Cancelling messages, and hurrying delayed ones, by position, id or tracker (docs/administration.md).

A message that waits is ended. A worker that has it is told, if it can be; what it confirms then, other than success, is
no dead letter, and the request is not delivered again. Finding a message takes turns, unless its position is known.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from itertools import chain

from alaska import errors
from alaska.admin import requests
from alaska.admin.pages import Work, matcher
from alaska.admin.snapshots import Done
from alaska.admin.text import to_name
from alaska.broker.broker_state import BrokerState
from alaska.broker.searching import EARLY, in_turns, parts_of, unconfirmed, visit_part
from alaska.errors import OperationFailed
from alaska.message import DELAYED, Message, PartName, QueueKind, QueueName
from alaska.mlm.properties import to_octets

SEARCHED_PER_TURN = 500
QUEUES_PER_TURN = 200
"""The number of queues that are asked for an id in one turn."""
ID = "id"
NONE_FOUND = "there is no such message, or it has ended"
NOT_TOLD = "a client that has it cannot be told; it is not delivered again"

Matches = Callable[[Message], bool]


def cancel(state: BrokerState, which: requests.Cancel, is_own: Matches | None = None) -> Work[Done]:
    """Cancel the messages that are meant, of all senders or of one's own.

    :raises OperationFailed: there is none.
    """
    queue, matches = _meaning(which)
    cancelled = state.queues.cancelled
    ended: set[int] = set()

    def wanted(message: Message) -> bool:
        return matches(message) and message.position not in ended and (is_own is None or is_own(message))

    def visit(message: Message) -> bool:
        if wanted(message) and cancelled.end_waiting(message):
            ended.add(message.position)
        return which.position is not None and message.position >= which.position

    told, untold = yield from _cancel_unconfirmed(state, wanted, which.force)
    ended |= told
    is_done = True
    if which.id is not None and not ended:
        yield from _visit_with_known_id(state, queue, to_name(which.id), visit)
    if not ended or which.tracker is not None:
        # Delayed ones first: meanwhile they may become due, and then they are in the parts that come later.
        parts = chain(parts_of(state, queue, delayed=True), parts_of(state, queue, delayed=False))
        is_done = yield from _visit_all(state, parts, which, visit)
        # Some may have been delivered meanwhile.
        told, more_untold = yield from _cancel_unconfirmed(state, wanted, which.force)
        ended |= told
        untold += more_untold
    if is_done and not ended:
        raise OperationFailed(NONE_FOUND, errors.NOT_FOUND)
    return _done(is_done, len(ended), untold)


def cancel_some(state: BrokerState, some: requests.SomeMessages) -> Work[Done]:
    """Cancel the messages that are in a state at present, and match a filter."""
    queue, is_chosen = chosen(some)
    cancelled, count, is_done, untold = state.queues.cancelled, 0, True, 0

    def wanted(message: Message) -> bool:
        return is_chosen(message) and message not in cancelled

    def end(message: Message) -> bool:
        nonlocal count
        count += wanted(message) and cancelled.end_waiting(message)
        return False

    if some.state == "running":
        told, untold = yield from _cancel_unconfirmed(state, wanted, some.force)
        count = len(told)
    else:
        for group in in_turns(parts_of(state, queue, delayed=some.state == "delayed")):
            for part in group:
                is_done = (yield from visit_part(state, part, end, 0, SEARCHED_PER_TURN)) and is_done
            yield
    return _done(is_done, count, untold)


def _cancel_unconfirmed(
    state: BrokerState, wanted: Matches, is_forced: bool
) -> Generator[None, None, tuple[set[int], int]]:
    """Cancel messages that clients have, or that are kept for a client that may come back.

    Return their positions, and how many of the clients cannot be told.
    """
    cancelled = state.queues.cancelled
    held = yield from unconfirmed(state, wanted)
    # A client may have confirmed one since it was found.
    held = [(client, lease, message) for client, lease, message in held if client.holds(lease, message)]
    lost = list(filter(wanted, state.queues.awaited.requests()))
    for message in lost:
        # The worker that has it is not connected, so it is lost to the message.
        cancelled.end(message)
    told = [cancelled.tell(client, lease, message, is_forced) for client, lease, message in held]
    return {message.position for *_, message in held} | {message.position for message in lost}, told.count(False)


def _done(is_done: bool, count: int, untold: int) -> Done:
    notes = [EARLY] * (not is_done) + [NOT_TOLD] * (untold > 0)
    return Done(done=is_done, count=count, note="; ".join(notes))


def _visit_with_known_id(
    state: BrokerState, queue: QueueName | None, name: bytes, visit: Matches
) -> Generator[None, None, None]:
    """Visit the messages that wait or are delayed for which an id is known, in one queue or in all.

    Each is visited in the turn in which it is found: by the next one it may have been delivered, and have ended.
    """
    store, table = state.store, state.queues.table
    names = [each.name for each in table.values()] if queue is None else [queue]
    for at, each in enumerate(names if store.has_ids else ()):
        if at and not at % QUEUES_PER_TURN:
            yield
        known = store.known_id(each, name)
        message = None if known is None or known.status else state.queues.finding.waiting(each, known.position)
        if message is not None:
            visit(message)


def hurry(state: BrokerState, which: requests.OneMessage, now: Callable[[], float]) -> Work[Done]:
    """Make the delayed messages that are meant due now.

    :raises OperationFailed: there is none.
    """
    queue, matches = _meaning(which)
    found: list[Message] = []
    count = 0

    def visit(message: Message) -> bool:
        if matches(message):
            found.append(message)
        return which.position is not None and message.position >= which.position

    def visited() -> None:
        nonlocal count
        count += len(found)
        state.queues.hurry(found, now())
        found.clear()

    def visit_known(message: Message) -> bool:
        if message.rank == DELAYED:
            visit(message)
            visited()
        return False

    if which.id is not None:
        yield from _visit_with_known_id(state, queue, to_name(which.id), visit_known)
        if count:
            return Done(count=count)
    parts = parts_of(state, queue, delayed=True)
    is_done = yield from _visit_all(state, parts, which, visit, visited)
    if is_done and not count:
        raise OperationFailed("there is no such delayed message", errors.NOT_FOUND)
    return Done(done=is_done, count=count, note="" if is_done else EARLY)


def _visit_all(
    state: BrokerState,
    parts: Iterable[PartName],
    which: requests.OneMessage,
    visit: Callable[[Message], bool],
    visited: Callable[[], None] = lambda: None,
) -> Generator[None, None, bool]:
    """Visit the messages of parts of queues that may be meant; ``visited`` is called before each pause."""
    is_done = True
    after = 0 if which.position is None else which.position - 1
    per_turn = SEARCHED_PER_TURN if which.position is None else 1
    for group in in_turns(parts):
        for part in group:
            search = visit_part(state, part, visit, after, per_turn)
            while True:
                try:
                    next(search)
                except StopIteration as stop:
                    is_done = is_done and stop.value
                    break
                visited()
                yield
            visited()
        yield
    return is_done


def _meaning(which: requests.OneMessage) -> tuple[QueueName | None, Matches]:
    """Return the queue in which the messages are, if it is named, and which messages are meant.

    :raises OperationFailed: the request does not say that.
    """
    if sum(each is not None for each in (which.position, which.id, which.tracker)) != 1:
        raise OperationFailed("one of position, id and tracker is needed")
    queue = named_queue(which.service, which.mailbox)
    position = which.position
    if position is not None:
        return queue, lambda message: message.position == position and queue in (None, message.queue)
    name = to_name(which.id or which.tracker or "")
    if not name:
        raise OperationFailed("an id, or a tracker, must not be empty")
    if which.id is not None:
        return queue, lambda message: id_of(message) == name and queue in (None, message.queue)
    return queue, lambda message: name in (message.tracker, message.sent_as) and queue in (None, message.queue)


def chosen(some: requests.Messages) -> tuple[QueueName | None, Matches]:
    """Return the queue in which the messages are, if it is named, and which messages are meant.

    :raises OperationFailed: the request does not say that.
    """
    queue, match = named_queue(some.service, some.mailbox), matcher(some.match)
    subject, sender = (None if each is None else to_name(each) for each in (some.subject, some.sender))

    def is_chosen(message: Message) -> bool:
        has_names = subject in (None, message.subject) and sender in (None, message.sender)
        return queue in (None, message.queue) and has_names and (match is None or match(message.subject))

    return queue, is_chosen


def id_of(message: Message) -> bytes:
    """Return the id of a message; empty if it has none."""
    return to_octets(message.properties[ID]) if ID in message.properties else b""


def named_queue(service: str | None, mailbox: str | None) -> QueueName | None:
    """Return the queue with the name of a service or of a mailbox; None if neither is given.

    :raises OperationFailed: both are given.
    """
    if service is not None and mailbox is not None:
        raise OperationFailed("either service or mailbox can be given")
    if service is not None:
        return QueueName(QueueKind.SERVICE, to_name(service))
    return None if mailbox is None else QueueName(QueueKind.MAILBOX, to_name(mailbox))

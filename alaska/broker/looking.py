"""Looking at single messages for administrators: the content of one, and finding some by id, tracker or subject."""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator

from alaska import errors
from alaska.admin import message_snapshots, overviews
from alaska.admin.pages import TURN_ITEMS, Work
from alaska.admin.requests import FindQuery, OneOfQueue
from alaska.admin.text import to_name, to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.cancelling import QUEUES_PER_TURN, SEARCHED_PER_TURN, id_of, named_queue
from alaska.broker.letter_operations import MAX_READ_OCTETS
from alaska.broker.past import Ended
from alaska.broker.searching import parts_of, unconfirmed, visit_part
from alaska.broker.shown_letters import shown_letter
from alaska.broker.shown_messages import Time, shown_running, shown_waiting
from alaska.broker.shown_past import shown_finished, shown_step, tracker_of
from alaska.errors import OperationFailed
from alaska.message import DeadLetter, Message, QueueKind, QueueName
from alaska.mlm.properties import to_octets

MOST_FOUND = 50
"""The maximum number of messages, and of dead letters, that are found."""
TAKEN = ("succeeded", "delivered")
"""The outcomes of an answer that has been taken by who has asked."""
MORE = "There may be more."
MOST_SEARCHED = 200_000
"""After so many waiting messages, a search ends: it takes about five seconds."""


def read_message(state: BrokerState, request: OneOfQueue, time: Time) -> Work[overviews.MessageContent]:
    """Return a message of a queue with its content, unless that is large; the message stays where it is.

    :raises OperationFailed: there is none.
    """
    queue = named_queue(request.service, request.mailbox)
    if queue is None:
        raise OperationFailed("either service or mailbox is needed")
    position = request.position
    message = state.queues.finding.waiting(queue, position)
    item = None if message is None else shown_waiting(message, time)
    if message is None:
        held = yield from unconfirmed(state, lambda each: each.position == position and each.queue == queue)
        for client, lease, each in held:
            message, item = each, shown_running(each, client, lease, each in state.queues.cancelled, time)
    if message is None or item is None:
        raise OperationFailed("there is no such message, or it has ended", errors.NOT_FOUND)
    is_shown = message.size <= MAX_READ_OCTETS and bool(message.content or not message.size)
    return overviews.MessageContent(
        message=item,
        content=[base64.b64encode(frame).decode() for frame in message.content] if is_shown else None,
        properties={key: to_text(to_octets(value)) for key, value in message.properties.items()},
    )


def find(state: BrokerState, query: FindQuery, time: Time) -> Work[overviews.Found]:
    """Find messages, dead letters and known ids by an id, a tracker, a subject or a position."""
    text = to_name(query.text)
    if not text:
        raise OperationFailed("text must not be empty")
    position = int(query.text) if query.text.isdecimal() and query.text.isascii() else -1

    def matches(message: Message) -> bool:
        names = message.tracker, message.sent_as, message.subject, id_of(message)
        return text in names or message.position == position

    held = (yield from unconfirmed(state, matches))[:MOST_FOUND]
    items = [shown_running(each, client, lease, each in state.queues.cancelled, time) for client, lease, each in held]
    # The store has those that are in flight, too.
    known = {each.position for each in items}
    waiting, is_whole = yield from _waiting(
        state, lambda message: matches(message) and message.position not in known, MOST_FOUND - len(items)
    )
    items += [shown_waiting(each, time) for each in waiting]
    letters = yield from _letters(state, matches)
    ends = yield from _ended(state, text)
    shown = {each.position for each in items} | {each.position for each in letters}
    past = state.queues.measures.past
    ended = [each for each in past.ended(matches) if each.message.position not in shown][-MOST_FOUND:]
    finished = yield from _finished(state, ended, time)
    positions = sorted(shown | {each.position for each in finished})
    return overviews.Found(
        messages=items, letters=letters, ended=ends, note="" if is_whole else MORE, finished=finished,
        steps=[shown_step(position, step, time) for position in positions for step in past.steps(position)],
    )  # fmt: skip


def _finished(
    state: BrokerState, ended: list[Ended], time: Time
) -> Generator[None, None, list[message_snapshots.Finished]]:
    """Return messages that have ended with what is known of their answers."""
    yield
    asked = {(each.message.sender, tracker_of(each.message)) for each in ended if each.message.sender}

    def is_answer(message: Message) -> bool:
        is_mail = message.queue.kind is QueueKind.MAILBOX
        return is_mail and (message.queue.address, tracker_of(message)) in asked

    answers: dict[tuple[bytes, bytes], tuple[int, str]] = {}
    for end in state.queues.measures.past.ended(is_answer):
        state_of = "taken" if end.outcome in TAKEN else end.outcome
        answers[end.message.queue.address, tracker_of(end.message)] = end.message.position, state_of
    for _, _, message in (yield from unconfirmed(state, is_answer)):
        answers[message.queue.address, tracker_of(message)] = message.position, "delivered"
    return [
        shown_finished(each, answers.get((each.message.sender, tracker_of(each.message)), (None, "")), time)
        for each in sorted(ended, key=lambda each: each.message.position)
    ]


def _waiting(
    state: BrokerState, matches: Callable[[Message], bool], most: int
) -> Generator[None, None, tuple[list[Message], bool]]:
    """Return waiting and delayed messages that match, and whether all were looked at."""
    found: list[Message] = []
    looked = 0

    def visit(message: Message) -> bool:
        nonlocal looked
        looked += 1
        if matches(message):
            found.append(message)
        return len(found) >= most or looked >= MOST_SEARCHED

    for at, part in enumerate(parts_of(state, None)):
        if len(found) >= most or looked >= MOST_SEARCHED:
            return found, False
        if at and not at % QUEUES_PER_TURN:
            yield
        yield from visit_part(state, part, visit, 0, SEARCHED_PER_TURN)
    return found, looked < MOST_SEARCHED


def _letters(
    state: BrokerState, matches: Callable[[Message], bool]
) -> Generator[None, None, list[message_snapshots.Letter]]:
    found: list[DeadLetter] = []
    for at, letter in enumerate(state.queues.dead_letters):
        if at and not at % TURN_ITEMS:
            yield
        if matches(letter.message):
            found.append(letter)
    return [shown_letter(letter) for letter in found[-MOST_FOUND:]]


def _ended(state: BrokerState, name: bytes) -> Generator[None, None, list[overviews.EndedId]]:
    """Return what is known of an id whose message has ended."""
    found: list[overviews.EndedId] = []
    names = [each.name for each in state.queues.table.values()] if state.store.has_ids else []
    for at, queue in enumerate(names):
        if at and not at % QUEUES_PER_TURN:
            yield
        known = state.store.known_id(queue, name)
        if known is not None and known.status and len(found) < MOST_FOUND:
            found.append(_shown_id(queue, known.position, known.status, known.reason))
    return found


def _shown_id(queue: QueueName, position: int, status: int, reason: bytes) -> overviews.EndedId:
    kind, address = queue.kind.value, to_text(queue.address)
    return overviews.EndedId(queue=kind, address=address, position=position, status=status, reason=to_text(reason))

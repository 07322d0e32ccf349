"""Dead letters as administrators see them: which of them match a query, and what is shown of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from alaska.admin import message_snapshots
from alaska.admin.requests import Letters
from alaska.admin.text import to_name, to_text
from alaska.errors import OperationFailed, PatternError
from alaska.message import DeadLetter, LastWorker
from alaska.mlm.patterns import compile_pattern

TEXT_OCTETS = 512
"""Looking for a text in so many octets of a reason takes about as long as looking at a dead letter."""
PATTERN_OCTETS = 16
"""So does matching a pattern with so many octets, if it is one of the slow ones."""
Test = Callable[[DeadLetter], object]
ReasonTest = Callable[[bytes], bool]


def matching(dead: Iterable[DeadLetter], letters: Letters, wall: float) -> Iterator[DeadLetter | None]:
    """Iterate over the dead letters that match, with None for each other one; ``wall`` is the time since 1970.

    There are more Nones after those whose long reasons were looked at: so a turn that takes a number of items from here
    takes a limited time.

    :raises OperationFailed: the pattern is not valid.
    """
    tests = [*_tests_of_message(letters), *_tests_of_death(letters, wall)]
    in_reason = _test_of_reason(letters)
    if not tests and in_reason is None:
        return iter(dead)
    return _matching(dead, tests, in_reason, TEXT_OCTETS if letters.reason_pattern is None else PATTERN_OCTETS)


def _matching(
    dead: Iterable[DeadLetter], tests: list[Test], in_reason: ReasonTest | None, octets: int
) -> Iterator[DeadLetter | None]:
    for letter in dead:
        if not all(test(letter) for test in tests):
            yield None
        elif in_reason is None:
            yield letter
        else:
            yield letter if in_reason(letter.reason) else None
            yield from repeat(None, len(letter.reason) // octets)


def _tests_of_message(letters: Letters) -> Iterator[Test]:
    kind, address = letters.queue, letters.address
    if letters.service is not None:
        service = to_name(letters.service)
        yield lambda letter: letter.message.queue.address == service and letter.message.queue.kind.value == "service"
    if kind is not None:
        yield lambda letter: letter.message.queue.kind.value == kind
    if address is not None:
        name = to_name(address)
        yield lambda letter: letter.message.queue.address == name
    if letters.subject is not None:
        subject = to_name(letters.subject)
        yield lambda letter: letter.message.subject == subject
    if letters.sender is not None:
        sender = to_name(letters.sender)
        yield lambda letter: letter.message.sender == sender
    upto = letters.upto
    if upto is not None:
        yield lambda letter: letter.message.position <= upto


def _tests_of_death(letters: Letters, wall: float) -> Iterator[Test]:
    status, cause = letters.status, letters.cause
    if status is not None:
        yield lambda letter: letter.status == status
    if cause is not None:
        yield lambda letter: letter.cause.value == cause
    if letters.worker is not None:
        worker = to_name(letters.worker)
        yield lambda letter: letter.worker is not None and letter.worker.address == worker
    if letters.older is not None:
        latest = wall - letters.older
        yield lambda letter: letter.time <= latest
    if letters.younger is not None:
        earliest = wall - letters.younger
        yield lambda letter: letter.time >= earliest


def _test_of_reason(letters: Letters) -> ReasonTest | None:
    text = None if letters.reason is None else to_name(letters.reason)
    if letters.reason_pattern is None:
        return None if text is None else lambda reason: text in reason
    try:
        matches = compile_pattern(to_name(letters.reason_pattern)).matches
    except PatternError as error:
        raise OperationFailed(f"reason_pattern is not valid: {error}") from None
    return matches if text is None else lambda reason: text in reason and matches(reason)


def shown_letter(letter: DeadLetter) -> message_snapshots.Letter:
    """Return a dead letter without its content."""
    message, worker = letter.message, letter.worker
    return message_snapshots.Letter(
        position=message.position,
        queue=message.queue.kind.value,
        address=to_text(message.queue.address),
        sender=to_text(message.sender),
        subject=to_text(message.subject),
        tracker=to_text(message.tracker),
        attempts=message.attempts,
        octets=message.size,
        status=letter.status,
        reason=to_text(letter.reason),
        time=letter.time,
        cause=letter.cause.value,
        arrived=message.since / 1000 if message.since else None,
        worker=None if worker is None else _shown_worker(worker),
    )


def _shown_worker(worker: LastWorker) -> message_snapshots.LastWorker:
    return message_snapshots.LastWorker(address=to_text(worker.address), host=to_text(worker.host), pid=worker.pid)

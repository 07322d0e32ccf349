"""Dead letters as administrators see them: which of them match a query, and what is shown of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from alaska.admin import snapshots as shown
from alaska.admin.requests import Letters
from alaska.admin.text import to_name, to_text
from alaska.message import DeadLetter


def selection(letters: Letters) -> Callable[[DeadLetter], bool] | None:
    """Return a function that says whether a dead letter is one of those; None if all are."""
    wanted: list[tuple[Callable[[DeadLetter], object], object]] = []
    if letters.queue is not None:
        wanted.append((lambda letter: letter.message.queue.kind.value, letters.queue))
    if letters.address is not None:
        wanted.append((lambda letter: letter.message.queue.address, to_name(letters.address)))
    if letters.subject is not None:
        wanted.append((lambda letter: letter.message.subject, to_name(letters.subject)))
    if letters.sender is not None:
        wanted.append((lambda letter: letter.message.sender, to_name(letters.sender)))
    if letters.status is not None:
        wanted.append((lambda letter: letter.status, letters.status))
    return partial(_has_all, wanted) if wanted else None


def _has_all(wanted: list[tuple[Callable[[DeadLetter], object], object]], letter: DeadLetter) -> bool:
    return all(value(letter) == expected for value, expected in wanted)


def shown_letter(letter: DeadLetter) -> shown.Letter:
    """Return a dead letter without its content."""
    message = letter.message
    return shown.Letter(
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
    )

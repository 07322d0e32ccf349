"""Dead letters by reason: how many there are of each, in turns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from alaska.admin import overviews
from alaska.admin.pages import Work
from alaska.admin.requests import Letters
from alaska.admin.text import to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.shown_letters import matching
from alaska.message import DeadLetter

MOST_GROUPS = 1000
"""The maximum number of groups that are counted; what is in no group counts together."""
MOST_SHOWN = 20
LETTERS_PER_TURN = 1000
"""So many take about 2 ms."""
REASON_OCTETS = 160
"""Reasons with the same first line, or the same beginning of it, are one."""
Key = tuple[str, str, bytes, bytes]


def letter_groups(state: BrokerState, letters: Letters, wall: float) -> Work[overviews.LetterGroups]:
    """Return the largest groups of the dead letters that match; ``wall`` is the time since 1970."""
    found: Iterator[DeadLetter | None] = matching(list(state.queues.dead_letters), letters, wall)
    counts: dict[Key, int] = {}
    latest: dict[Key, float] = {}
    total = 0
    while some := list(islice(found, LETTERS_PER_TURN)):
        for letter in some:
            if letter is None:
                continue
            total += 1
            queue = letter.message.queue
            key = letter.cause.value, queue.kind.value, queue.address, _beginning(letter.reason)
            if key in counts or len(counts) < MOST_GROUPS:
                counts[key] = counts.get(key, 0) + 1
                latest[key] = max(letter.time, latest.get(key, 0.0))
        if len(some) == LETTERS_PER_TURN:
            yield
    largest = sorted(counts, key=lambda key: (-counts[key], key))[:MOST_SHOWN]
    groups = [
        overviews.LetterGroup(
            cause=cause,
            queue=kind,
            address=to_text(address),
            reason=to_text(reason),
            count=counts[cause, kind, address, reason],
            latest=latest[cause, kind, address, reason],
        )
        for cause, kind, address, reason in largest
    ]
    return overviews.LetterGroups(groups=groups, others=total - sum(each.count for each in groups))


def _beginning(reason: bytes) -> bytes:
    line = reason.split(b"\n", 1)[0]
    # A character that is cut would look like octets that are not UTF-8.
    return line[:REASON_OCTETS].decode("utf-8", "ignore").encode() if len(line) > REASON_OCTETS else line

"""The last messages that have ended, and what had happened to messages before, for administrators who look for them.

It is in memory, and a restart of the broker forgets it. Of many requests that succeed in a short time, only some are
kept (:class:`alaska.broker.measures.QueueMeasures`). Those that did not simply succeed are all kept, and apart, so that
the others do not push them out.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import chain, islice
from typing import NamedTuple

from alaska.message import Message, QueueKind
from alaska.mlm.progress import Progress
from alaska.mlm.terms import ID

MOST_ENDED = 1000
"""The number of messages that are kept of each kind: requests that have simply succeeded, such mail, all others."""
MOST_OCTETS = 2048
"""A larger message is kept without its content; what is shown never has it."""
MOST_REASON_OCTETS = 256
MOST_WITH_STEPS = 1000
"""The number of messages whose steps are kept."""
MOST_STEPS = 20
"""The number of steps of one message that are kept, the last ones."""


class Ended(NamedTuple):
    """A message that has ended: how, the status and reason that its sender was told, who had it last, and when."""

    message: Message
    outcome: str
    status: int
    reason: bytes
    worker: bytes
    time: float


class Step(NamedTuple):
    """What happened to a message before it ended, at the broker's ``time``.

    ``what``: its worker has failed at it, and it is tried again (``retried``); was lost (``lost``); has put it off
    (``snoozed``) or returned it (``returned``) without an attempt; or has told how far it is (``progress``).
    ``delivered`` is when that worker got it.
    """

    time: float
    what: str
    worker: bytes
    reason: bytes
    delivered: float


class Past:
    """Keeps the last messages that have ended, and the last steps of messages; ``now`` returns the broker's time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._requests: deque[Ended] = deque(maxlen=MOST_ENDED)
        self._mail: deque[Ended] = deque(maxlen=MOST_ENDED)
        self._others: deque[Ended] = deque(maxlen=MOST_ENDED)
        self._steps: OrderedDict[int, deque[Step]] = OrderedDict()

    def keep_request(self, message: Message, outcome: str, status: int, worker: bytes, now: float) -> None:
        """Keep a request that has succeeded at its first delivery, or was not to be confirmed; ``worker`` had it."""
        self._requests.append(Ended(_small(message), outcome, status, b"", worker, now))

    def keep_mail(self, message: Message, outcome: str, status: int, worker: bytes, now: float) -> None:
        """Do as :meth:`keep_request` with mail, unless it is an answer of the broker itself."""
        if not _is_own(message):
            self._mail.append(Ended(_small(message), outcome, status, b"", worker, now))

    def keep(self, message: Message, outcome: str, status: int, reason: bytes = b"", worker: bytes = b"") -> None:
        """Keep any other message that has ended, unless it is an answer of the broker itself."""
        if _is_own(message):
            return
        reason = reason[:MOST_REASON_OCTETS]
        self._others.append(Ended(_small(message), outcome, status, reason, worker, self._now()))

    # What happens before the end

    def step(self, message: Message, what: str, worker: bytes, reason: bytes = b"") -> None:
        """Note what has happened to a message that a worker had."""
        steps = self._steps_of(message)
        steps.append(Step(self._now(), what, worker, reason[:MOST_REASON_OCTETS], message.moved_at))

    def lost(self, messages: Iterable[Message], worker: bytes) -> None:
        """Note that the worker of some messages was lost; of many, the first ones."""
        for message in islice(messages, MOST_WITH_STEPS):
            self.step(message, "lost", worker)

    def progressed(self, message: Message, worker: bytes, progress: Progress) -> None:
        """Note how far the worker of a message is; only the last time is kept of each delivery."""
        steps = self._steps_of(message)
        if steps and steps[-1].what == "progress":
            steps.pop()
        self.step(message, "progress", worker, b"%d %% %s" % (progress.fraction * 100, progress.text))

    def _steps_of(self, message: Message) -> deque[Step]:
        steps = self._steps.get(message.position)
        if steps is None:
            if len(self._steps) >= MOST_WITH_STEPS:
                self._steps.popitem(last=False)
            steps = self._steps[message.position] = deque(maxlen=MOST_STEPS)
        return steps

    # What is known

    def steps(self, position: int) -> list[Step]:
        """Return what is known to have happened to a message, in order."""
        return list(self._steps.get(position, ()))

    def ended(self, matches: Callable[[Message], bool]) -> list[Ended]:
        """Return the messages that match, those that have ended last at the end."""
        kept = chain(self._requests, self._mail, self._others)
        return sorted((each for each in kept if matches(each.message)), key=_time_of)


def _time_of(ended: Ended) -> float:
    return ended.time


def _is_own(message: Message) -> bool:
    """Return whether the broker has sent a message: only its own has no time of arrival. There may be many of them."""
    return not message.since and message.queue.kind is QueueKind.MAILBOX


def _small(message: Message) -> Message:
    """Return what is shown of a message: itself, or what is like it without content if it is large."""
    if message.size <= MOST_OCTETS:
        return message
    # Another one, since the store may still be writing it.
    name = message.properties.get(ID)
    kept = Message(
        message.position, message.queue, message.sender, message.subject, message.tracker, (),
        attempts=message.attempts, sent_as=message.sent_as, since=message.since, moved_at=message.moved_at,
        properties={} if name is None else {ID: name}, rank=message.rank, snoozes=message.snoozes,
    )  # fmt: skip
    kept.size = message.size
    return kept

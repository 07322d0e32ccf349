"""What administrators do with one dead letter: read it, send it again as it was or changed, or drop it."""

from __future__ import annotations

import base64

from twisted.internet.defer import Deferred, succeed

from alaska import errors
from alaska.admin import message_snapshots
from alaska.admin import snapshots as shown
from alaska.admin.requests import OneLetter, Replay
from alaska.admin.text import to_name, to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.dead_lettering import Edit
from alaska.broker.shown_letters import shown_letter
from alaska.errors import OperationFailed
from alaska.message import DeadLetter, QueueKind
from alaska.mlm.commands import MAX_STRING_OCTETS
from alaska.mlm.properties import to_octets
from alaska.names import is_brokers_own

MAX_READ_OCTETS = 4 * 1024 * 1024
"""A dead letter with more octets is shown without its content."""


class LetterOperations:
    """The operations on one dead letter of a broker."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state

    def read(self, request: OneLetter) -> Deferred[message_snapshots.LetterContent]:
        """Return a dead letter with its content, unless that is large.

        :raises OperationFailed: there is none at this position.
        """
        summary = self._summary(request)
        if summary.message.size > MAX_READ_OCTETS:
            return succeed(message_snapshots.LetterContent(letter=shown_letter(summary), content=None))

        def with_content(letter: DeadLetter | None) -> message_snapshots.LetterContent:
            if letter is None:
                raise _no_letter(request.position)
            message = letter.message
            return message_snapshots.LetterContent(
                letter=shown_letter(summary),
                content=[base64.b64encode(frame).decode() for frame in message.content],
                properties={key: to_text(to_octets(value)) for key, value in message.properties.items()},
            )

        return self._state.queues.dead_letters.find(request.position).addCallback(with_content)

    def replay(self, request: Replay, now: float) -> Deferred[shown.Done]:
        """Send a dead letter again, with the changes of the request.

        :raises OperationFailed: there is none at this position, or the changes are not valid; nothing is sent.
        """
        edit = self._edit(request, self._summary(request))

        def replayed(is_done: bool) -> shown.Done:
            return shown.Done(done=is_done, count=int(is_done), note="" if is_done else "there is no room for it")

        return self._state.queues.replay_dead_letter(request.position, now, edit).addCallback(replayed)

    def _edit(self, request: Replay, letter: DeadLetter) -> Edit:
        service = None if request.service is None else to_name(request.service)
        subject = None if request.subject is None else to_name(request.subject)
        content = None if request.content is None else tuple(request.content)
        most = self._state.limits.content_octets
        for name, value in (("service", service), ("subject", subject)):
            if value is not None and len(value) > MAX_STRING_OCTETS:
                raise OperationFailed(f"{name} must have at most {MAX_STRING_OCTETS} octets")
        if service is not None and letter.message.queue.kind is not QueueKind.SERVICE:
            raise OperationFailed("service must not be given: this dead letter is mail")
        if service is not None and (not service or is_brokers_own(service)):
            raise OperationFailed("service must be the name of a service that is not the broker's own")
        if content is not None and most is not None and sum(map(len, content)) > most:
            raise OperationFailed(f"content has more than {most} octets", errors.TOO_LARGE)
        return Edit(service, subject, content)

    def drop(self, request: OneLetter) -> shown.Done:
        """Delete a dead letter.

        :raises OperationFailed: there is none at this position.
        """
        self._summary(request)
        self._state.queues.dead_letters.drop(request.position)
        return shown.Done(count=1)

    def _summary(self, request: OneLetter) -> DeadLetter:
        summary = self._state.queues.dead_letters.summary(request.position)
        if summary is None:
            raise _no_letter(request.position)
        return summary


def _no_letter(position: int) -> OperationFailed:
    return OperationFailed(f"there is no dead letter {position}", errors.NOT_FOUND)

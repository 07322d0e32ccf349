"""What a program waits for by tracker: what became of a message, or the answer to a question.

Answers are matched by tracker, never by their order.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from alaska import errors
from alaska.client.delivery import Confirmation, Delivery
from alaska.mlm import commands as mlm

NOBODY_OFFERS = "offers=0"


def new_tracker() -> str:
    """Return a tracker that nothing else has."""
    return secrets.token_hex(8)


class Trackers:
    """The trackers of one client that somebody waits for.

    A request that is done may have been answered by mail that is still to come: from another connection, or behind
    other mail. So a question ends without an answer only after a round trip to the broker, begun by ``fence``, in which
    no mail came.
    """

    def __init__(self, address: bytes, fence: Callable[[], int]) -> None:
        self._address = address
        self._fence = fence
        self._tracked: dict[str, Deferred[Confirmation]] = {}
        self._asked: dict[str, tuple[Deferred[Delivery], bytes]] = {}
        # Of questions whose request is done: the round that would end them, and how much mail had come when it began.
        self._ending: dict[str, tuple[int, int]] = {}
        self._mail = 0

    def track(self, tracker: str) -> Deferred[Confirmation]:
        """Return what fires when it is known what became of the message with a tracker."""
        tracked: Deferred[Confirmation] = Deferred(lambda _: self._forget(tracker))
        self._tracked[tracker] = tracked
        return tracked

    def ask(self, tracker: str, subject: bytes) -> Deferred[Delivery]:
        """Return what fires with the answer to the question with a tracker, or fails when it is refused."""
        asked: Deferred[Delivery] = Deferred(lambda _: self._forget(tracker))
        self._asked[tracker] = asked, subject
        return asked

    @property
    def questions(self) -> int:
        """How many answers are waited for."""
        return len(self._asked)

    def _forget(self, tracker: str) -> None:
        for waiting in (self._tracked, self._asked, self._ending):
            waiting.pop(tracker, None)

    def _end(self, tracker: str) -> tuple[Deferred[Delivery], bytes]:
        self._ending.pop(tracker, None)
        return self._asked.pop(tracker)

    def confirmed(self, confirmation: Confirmation) -> None:
        """Take note of what the broker says."""
        tracker = confirmation.tracker
        if confirmation.is_final and tracker in self._tracked:
            self._tracked.pop(tracker).callback(confirmation)
        if tracker not in self._asked:
            return
        if confirmation.reason == NOBODY_OFFERS and not confirmation.is_final:
            self._end(tracker)[0].errback(errors.Refused("nobody offers the service", errors.NOT_FOUND))
        elif confirmation.status >= errors.FAILED:
            refused = errors.Refused(f"no answer: {confirmation.reason}", confirmation.status)
            self._end(tracker)[0].errback(refused)
        elif confirmation.status == errors.SUCCESS:
            self._ending[tracker] = self._fence(), self._mail

    def awaits(self, delivery: Delivery) -> bool:
        """Return whether this is an answer that is waited for."""
        return delivery.kind == "mailbox" and delivery.tracker in self._asked

    def answered(self, delivery: Delivery) -> bool:
        """Take mail if it is an answer that is waited for; return whether it was."""
        if delivery.kind != "mailbox":
            return False
        self._mail += 1
        if not self.awaits(delivery):
            return False
        self._end(delivery.tracker)[0].callback(delivery)
        return True

    def came_round(self, rounds: int, session: int) -> None:
        """Answer with nothing what no mail can answer any more, now that the broker has answered so many PINGs."""
        for tracker, (last, mail) in list(self._ending.items()):
            if rounds < last or tracker not in self._ending:
                continue
            if mail != self._mail:
                self._ending[tracker] = self._fence(), self._mail
                continue
            asked, subject = self._end(tracker)
            nothing = mlm.MailboxDeliver(b"", self._address, subject, tracker.encode(), ())
            asked.callback(Delivery(nothing, session))

    def waiting(self) -> list[Deferred[Any]]:
        """Return all that is waited for, and wait for it no longer."""
        waiting: list[Deferred[Any]] = [*self._tracked.values(), *(asked for asked, _ in self._asked.values())]
        self._tracked, self._asked, self._ending = {}, {}, {}
        return waiting

"""What a program waits for by tracker: what became of a message, or the answer to a question.

Answers are matched by tracker, never by their order.
"""

from __future__ import annotations

import secrets
from typing import Any

from twisted.internet.defer import Deferred

from alaska import errors
from alaska.delivery import Confirmation, Delivery

NOBODY_OFFERS = "offers=0"


def new_tracker() -> str:
    """Return a tracker that nothing else has."""
    return secrets.token_hex(8)


class Trackers:
    """The trackers of one client that somebody waits for."""

    def __init__(self) -> None:
        self._tracked: dict[str, Deferred[Confirmation]] = {}
        self._asked: dict[str, Deferred[Delivery]] = {}

    def track(self, tracker: str) -> Deferred[Confirmation]:
        """Return what fires when it is known what became of the message with a tracker."""
        tracked: Deferred[Confirmation] = Deferred(lambda _: self._forget(tracker))
        self._tracked[tracker] = tracked
        return tracked

    def ask(self, tracker: str) -> Deferred[Delivery]:
        """Return what fires with the answer to the question with a tracker, or fails when there will be none."""
        asked: Deferred[Delivery] = Deferred(lambda _: self._forget(tracker))
        self._asked[tracker] = asked
        return asked

    @property
    def questions(self) -> int:
        """How many answers are waited for."""
        return len(self._asked)

    def _forget(self, tracker: str) -> None:
        self._tracked.pop(tracker, None)
        self._asked.pop(tracker, None)

    def confirmed(self, confirmation: Confirmation) -> None:
        """Take note of what the broker says."""
        tracker = confirmation.tracker
        if confirmation.is_final and tracker in self._tracked:
            self._tracked.pop(tracker).callback(confirmation)
        if tracker in self._asked:
            if confirmation.reason == NOBODY_OFFERS and not confirmation.is_final:
                self._asked.pop(tracker).errback(errors.Refused("nobody offers the service", errors.NOT_FOUND))
            elif confirmation.status >= errors.FAILED:
                refused = errors.Refused(f"no answer: {confirmation.reason}", confirmation.status)
                self._asked.pop(tracker).errback(refused)

    def answered(self, delivery: Delivery) -> bool:
        """Take a delivery if it is an answer that is waited for; return whether it was."""
        asked = self._asked.pop(delivery.tracker, None) if delivery.kind == "mailbox" else None
        if asked is None:
            return False
        asked.callback(delivery)
        return True

    def waiting(self) -> list[Deferred[Any]]:
        """Return all that is waited for, and wait for it no longer."""
        waiting: list[Deferred[Any]] = [*self._tracked.values(), *self._asked.values()]
        self._tracked, self._asked = {}, {}
        return waiting

"""Match confirmations and replies to what waits for them, by tracker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from alaska import errors
from alaska.messaging.delivery import Confirmation, Delivery, Progress, to_octets
from alaska.messaging.waiting import Waiting
from alaska.mlm import commands as mlm

NOBODY_OFFERS = "offers=0"


def new_tracker() -> str:
    """Return a unique tracker."""
    return secrets.token_hex(8)


class Trackers:
    """The pending trackers of one client.

    The confirmation of a request may arrive before its reply, which another connection may have sent, or which is
    queued behind other mail. So a request ends without a reply only after a round trip to the broker, started by
    ``fence``, during which no mail arrived. ``progressed`` is called with the progress of each message.
    """

    def __init__(
        self, address: bytes, fence: Callable[[], int], progressed: Callable[[Progress], None] | None = None
    ) -> None:
        self._address = address
        self._fence = fence
        self._progressed = progressed
        self._tracked: dict[str, Waiting[Confirmation]] = {}
        self._watched: dict[str, Callable[[Progress], None]] = {}
        self._replies: dict[str, tuple[Waiting[Delivery], bytes]] = {}
        # The requests that wait although nobody offers their service.
        self._patient: set[str] = set()
        # For confirmed requests: the PONG that ends the wait, and the amount of mail received when its PING was sent.
        self._ending: dict[str, tuple[int, int]] = {}
        self._mail = 0

    def track(self, tracker: str, tracked: Waiting[Confirmation]) -> None:
        """Call ``tracked`` with the final status of the message with a tracker."""
        self._tracked[tracker] = tracked

    def ask(self, tracker: str, subject: bytes, asked: Waiting[Delivery], needs_offer: bool = True) -> None:
        """Call ``asked`` with the reply to the request with a tracker, or with an error if it is refused.

        With ``needs_offer``, it is also an error if nobody offers the service.
        """
        self._replies[tracker] = asked, subject
        if not needs_offer:
            self._patient.add(tracker)

    def watch(self, tracker: str, progressed: Callable[[Progress], None] | None) -> None:
        """Call a function with the progress of a pending message, until that has ended."""
        if progressed is not None:
            self._watched[tracker] = progressed

    def progressed(self, progress: Progress) -> None:
        """Process the progress of a message."""
        for call in (self._watched.get(progress.tracker), self._progressed):
            if call is not None:
                call(progress)

    @property
    def awaited_replies(self) -> int:
        """The number of awaited replies."""
        return len(self._replies)

    def forget(self, tracker: str) -> None:
        """Forget what waits for a tracker, since the program has given up waiting."""
        for pending in (self._tracked, self._replies, self._ending, self._watched):
            pending.pop(tracker, None)
        self._patient.discard(tracker)

    def _end(self, tracker: str) -> tuple[Waiting[Delivery], bytes]:
        self._ending.pop(tracker, None)
        self._watched.pop(tracker, None)
        self._patient.discard(tracker)
        return self._replies.pop(tracker)

    def confirmed(self, confirmation: Confirmation) -> None:
        """Process a confirmation from the broker."""
        tracker = confirmation.tracker
        if tracker in self._tracked and confirmation.is_final:
            self._watched.pop(tracker, None)
            self._tracked.pop(tracker).callback(confirmation)
        if tracker not in self._replies:
            return
        if confirmation.reason == NOBODY_OFFERS and not confirmation.is_final:
            if tracker in self._patient:
                return
            self._end(tracker)[0].errback(errors.Refused("nobody offers the service", errors.NOT_FOUND))
        elif confirmation.status >= errors.FAILED:
            refused = errors.Refused(f"no answer: {confirmation.reason}", confirmation.status)
            self._end(tracker)[0].errback(refused)
        elif confirmation.status == errors.REPLACED:
            replaced = f"no answer: a later request with its id has replaced it ({confirmation.reason})"
            self._end(tracker)[0].errback(errors.Refused(replaced, errors.REPLACED))
        elif confirmation.status == errors.SUCCESS:
            self._ending[tracker] = self._fence(), self._mail

    def awaits(self, delivery: Delivery) -> bool:
        """Return whether a delivery is an awaited reply."""
        return delivery.kind == "mailbox" and delivery.tracker in self._replies

    def take_reply(self, delivery: Delivery) -> bool:
        """Pass a delivery to what waits for it; return whether there was something."""
        if delivery.kind != "mailbox":
            return False
        self._mail += 1
        if not self.awaits(delivery):
            return False
        self._end(delivery.tracker)[0].callback(delivery)
        return True

    def ponged(self, rounds: int, session: int) -> None:
        """End requests whose reply cannot arrive any more, now that the broker has answered ``rounds`` PINGs."""
        for tracker, (last, mail) in list(self._ending.items()):
            if rounds < last or tracker not in self._ending:
                continue
            if mail != self._mail:
                self._ending[tracker] = self._fence(), self._mail
                continue
            asked, subject = self._end(tracker)
            nothing = mlm.MailboxDeliver(b"", self._address, subject, to_octets(tracker), ())
            asked.callback(Delivery(nothing, session))

    def take_pending(self) -> list[Waiting[Any]]:
        """Return all that waits, and forget it."""
        pending: list[Waiting[Any]] = [*self._tracked.values(), *(asked for asked, _ in self._replies.values())]
        self._tracked, self._replies, self._ending, self._patient = {}, {}, {}, set()
        self._watched.clear()
        return pending

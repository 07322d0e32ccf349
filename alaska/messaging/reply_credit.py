"""The credit that a client gives for the replies to its requests, besides what the program gives."""

from __future__ import annotations

from typing import TypeVar

from alaska.messaging.delivery import Delivery
from alaska.messaging.trackers import Trackers
from alaska.mlm.client import ClientMachine

AUTO_CREDIT = 1000
"""The credit that is maintained while all deliveries are confirmed automatically."""

Answer = TypeVar("Answer")


class ReplyCredit:
    """Gives credit for replies, of which a credit client would otherwise have none left, through the ``machine``.

    A client whose program gives no credit becomes a credit client with its first request, since only those get
    confirmations; its deliveries are then confirmed automatically (``is_automatic``).
    """

    def __init__(self, machine: ClientMachine, trackers: Trackers) -> None:
        self._machine = machine
        self._trackers = trackers
        self.is_automatic = False
        self._is_without_credit = True
        # Credit that was given for replies that did not arrive.
        self._spare = 0

    def program_gives(self) -> None:
        """Record that the program gives credit itself, and confirms its deliveries."""
        self._is_without_credit = self.is_automatic = False

    def before_request(self) -> None:
        """Become a credit client, if this client is none: otherwise its request would not be confirmed."""
        if self._is_without_credit and not self.is_automatic and self._machine.may_confirm:
            self.is_automatic = True
            self._machine.give_credit(AUTO_CREDIT)

    def sent_request(self) -> None:
        """Give credit for one more reply, from the spare credit if there is any.

        Other mail, such as a reply that came too late, may have used it up while no reply was awaited.
        """
        if self._is_without_credit or not self._machine.may_be_confirmed:
            return
        left = self._machine.credit - self._trackers.awaited_replies
        self._spare = max(0, min(self._spare, left))
        if self._spare > 0:
            self._spare -= 1
        else:
            self._machine.give_credit(1)

    def ended_request(self, result: Answer) -> Answer:
        """Add the credit of a request that has ended to the spare credit; a reply has subtracted it before."""
        self._spare += 1
        return result

    def refill(self) -> None:
        """Give more credit after a delivery that was confirmed automatically, if much of it is used up."""
        if self._machine.credit <= AUTO_CREDIT // 2:
            self._machine.give_credit(AUTO_CREDIT - self._machine.credit)

    def is_for(self, delivery: Delivery) -> bool:
        """Return whether a delivery is an awaited reply; replace the credit of replies that another one has used up."""
        if self._trackers.awaits(delivery):
            self._spare -= 1
            return True
        if (
            not self._is_without_credit
            and self._machine.credit < self._trackers.awaited_replies
            and self._machine.may_be_confirmed
        ):
            self._machine.give_credit(1)
        return False

"""The sent messages that the broker has not confirmed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.mlm.commands import ServiceSend
from alaska.mlm.confirmations import Unconfirmed


def request(tracker: bytes, subject: bytes) -> ServiceSend:
    """Return a request."""
    return ServiceSend(b"svc", subject, tracker, 0, ())


class UnconfirmedTests(SynchronousTestCase):
    """Messages by tracker."""

    def setUp(self) -> None:
        self.unconfirmed = Unconfirmed()
        self.first, self.second, self.other = request(b"t", b"1"), request(b"t", b"2"), request(b"u", b"3")
        for number, each in enumerate((self.first, self.other, self.second), start=1):
            self.unconfirmed.add(number, each)

    def test_in_order(self) -> None:
        """They are returned in the order of sending, up to a number."""
        self.assertEqual(self.unconfirmed.upto(3), [self.first, self.other, self.second])
        self.assertEqual(self.unconfirmed.upto(2), [self.first, self.other])

    def test_same_tracker(self) -> None:
        """A confirmation is for the oldest message with its tracker; others have no effect."""
        self.unconfirmed.confirmed(b"t")
        self.unconfirmed.confirmed(b"unknown")
        self.assertEqual(self.unconfirmed.upto(3), [self.other, self.second])

    def test_clear(self) -> None:
        """Nothing is left after clear."""
        self.unconfirmed.clear()
        self.assertEqual(self.unconfirmed.upto(3), [])

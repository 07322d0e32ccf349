"""Messages that expire before they are delivered."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, PING, BrokerTestCase, expired, mail, request


class TimeoutTests(BrokerTestCase):
    """Messages with a timeout."""

    def test_expires(self) -> None:
        """A message that was not delivered within its timeout expires; one with a longer timeout does not."""
        self.open("p", request(b"short", timeout=1000), request(b"long", timeout=2000), mail(timeout=1000))
        self.pass_time(1.1, "p")
        self.open("a", OFFER)
        self.do("late", mlm.ConnectionOpen(b"late"), PING)
        self.assertEqual(expired(self.broker), 2)
        self.assertEqual(self.taken("late"), [])

    def test_no_timeout(self) -> None:
        """A message with timeout 0 does not expire."""
        self.open("p", request())
        self.pass_time(100, "p")
        self.open("a", OFFER)
        self.assertEqual(expired(self.broker), 0)


class OverdueTests(BrokerTestCase):
    """Messages that expire while they are in flight."""

    def test_messages_in_flight_do_not_delay_expiry(self) -> None:
        """Any number of expired messages in flight does not delay the expiry of waiting ones."""
        self.open("w", OFFER, credit=1500)
        self.open("p", *(request(timeout=100) for _ in range(1500)), credit=0)
        self.do("p", mlm.ServiceSend(b"other", b"late", b"t", 200, ()))
        self.pass_time(0.5)
        self.assertEqual(
            [(each.tracker, each.status_code) for each in self.take("p") if isinstance(each, mlm.Confirm)],
            [(b"t", 201), (b"t", 302)],
        )

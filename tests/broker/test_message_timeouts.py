"""Messages that expire before they are delivered."""

from __future__ import annotations

from typing import Any

from alaska.broker.limits import Limits
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


def dying(*, ttl: int | bytes, timeout: int = 0, **more: Any) -> mlm.MailboxSend:
    """Return tracked mail with the property ttl."""
    return mlm.MailboxSend(b"late", b"hi", b"t", timeout, (b"x",), {"ttl": ttl, **more})


class TimeToLiveTests(BrokerTestCase):
    """Mail and requests with a time to live, and the default of mailboxes."""

    limits = Limits(client_timeout=1e9, mailbox_seconds=10.0)

    def told(self, name: str) -> list[int]:
        """Return the statuses that a sender was told."""
        return [each.status_code for each in self.take(name) if isinstance(each, mlm.Confirm)]

    def test_property(self) -> None:
        """A message expires after its ttl or its timeout, whichever is less; its sender is told 302."""
        for ttl, timeout in ((1000, 0), (b"1000", 5000), (5000, 1000)):
            name = f"p{ttl!r}"
            self.open_second(name)
            self.do(name, dying(ttl=ttl, timeout=timeout))
            self.pass_time(0.9)
            self.assertEqual(self.told(name), [201])
            self.pass_time(0.2)
            self.assertEqual(self.told(name), [302])

    def test_request(self) -> None:
        """A request has one as well."""
        self.open_second("p")
        self.do("p", mlm.ServiceSend(b"svc", b"", b"t", 0, (b"x",), {"ttl": 1000}))
        self.pass_time(1.1)
        self.assertEqual(self.told("p"), [201, 302])

    def test_default(self) -> None:
        """Mail without either expires after the time of mailboxes; its own ttl or timeout counts; requests wait."""
        self.open_second("p")
        self.do("p", mail(tracker=b"a"), mail(tracker=b"b", timeout=20_000), dying(ttl=0), request(tracker=b"d"))
        self.take("p")
        self.pass_time(10.1)
        self.assertEqual([each.tracker for each in self.take("p") if isinstance(each, mlm.Confirm)], [b"a"])
        self.pass_time(10)
        self.assertEqual([each.tracker for each in self.take("p") if isinstance(each, mlm.Confirm)], [b"b"])
        self.pass_time(50)
        self.assertEqual(self.told("p"), [])

    def test_delayed(self) -> None:
        """The ttl of a delayed message begins when it is due."""
        self.open_second("p")
        self.do("p", dying(ttl=1000, delay=5000))
        self.pass_time(5.9)
        self.assertEqual(self.told("p"), [201])
        self.pass_time(0.3)
        self.assertEqual(self.told("p"), [302])

    def test_of_the_broker(self) -> None:
        """Mail of the broker itself expires as well."""
        self.broker.queues.send_mail(mail(), b"broker", self.now)
        self.pass_time(10.1)
        self.assertEqual(expired(self.broker), 1)

    def test_not_valid(self) -> None:
        """A ttl that is no number is refused."""
        self.open_second("p")
        self.do("p", dying(ttl=b"soon"), dying(ttl=2**60))
        self.assertNotIn(201, self.told("p"))


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

"""Limits for the number of mailboxes, services and streams, since any client can use new names."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.broker import ended_streams
from alaska.broker.limits import Limits
from alaska.message import Retention
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase
from tests.network_case import LogCase

MOST = 5


class NamesTestCase(BrokerTestCase, LogCase):
    """A broker with low limits."""

    limits = Limits(
        queues=MOST, streams=MOST, retention_of={b"not kept": Retention(0)}, retention=Retention(2, None, 60)
    )

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.open("sender", credit=0)

    def mail(self, to: str) -> int:
        """Send mail; return the status that its sender gets."""
        (status,) = self.statuses(*self.say("sender", mlm.MailboxSend(to.encode(), b"hi", b"t", 0, ())))
        return status

    def statuses(self, *told: mlm.Command) -> list[int]:
        """Return the statuses of the confirmations among commands."""
        return [each.status_code for each in told if isinstance(each, mlm.Confirm)]

    def publish(self, stream: bytes, count: int = 1) -> None:
        """Send messages to a stream."""
        self.do("sender", mlm.StreamWrite(stream), *[mlm.StreamSend(b"x", ())] * count)
        self.take("sender")

    def replayed(self, stream: bytes) -> list[int]:
        """Return the positions of a stream's stored records."""
        self.open("reader", credit=100)
        got = self.say("reader", mlm.StreamReplay(stream, b"", 0))
        self.do("reader", mlm.ConnectionClose())
        return [each.position for each in got if isinstance(each, mlm.StreamRecord)]


class QueueTests(NamesTestCase):
    """Mailboxes and services."""

    def test_mailboxes(self) -> None:
        """Mail for another mailbox beyond the limit is refused with a warning; existing mailboxes may grow."""
        self.assertEqual([self.mail(f"nobody{number}") for number in range(MOST + 2)], [201] * MOST + [301] * 2)
        self.assertEqual(self.mail("nobody0"), 201)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)
        self.open("nobody1")
        self.pass_time(0.2, "sender")
        self.assertEqual(self.taken("nobody1"), [b"hi"])
        self.take("sender")
        self.assertEqual(self.mail("another"), 201)

    def test_services(self) -> None:
        """Requests for another service beyond the limit are refused."""
        for number in range(MOST + 1):
            self.do("sender", mlm.ServiceSend(b"svc%d" % number, b"job", b"%d" % number, 0, ()))
        self.assertEqual(self.statuses(*self.take("sender")), [201] * MOST + [301])

    def test_connected_clients(self) -> None:
        """The limit does not affect connected clients, also if messages have to wait for their credit."""
        self.open("busy", OFFER, credit=0)
        for number in range(MOST):
            self.mail(f"nobody{number}")
        self.assertEqual(self.mail("busy"), 201)
        self.do("sender", mlm.ServiceSend(b"svc", b"job", b"", 0, ()))
        self.do("busy", mlm.Credit(5))
        self.assertEqual(self.taken("busy"), [b"hi", b"job"])


class AbandonedTests(NamesTestCase):
    """Mailboxes and services whose clients have left, each with a new name."""

    def test_mailboxes(self) -> None:
        """The mail that such clients leave, delivered or not, is in a limited number of mailboxes."""
        for credit in (0, 1):
            statuses = []
            for number in range(4 * MOST):
                name = f"{credit} {number}"
                self.open(name, credit=credit)
                statuses.append(self.mail(name))
                self.do(name, mlm.ConnectionClose())
            self.assertEqual(statuses[-1], 301)
        self.assertLessEqual(len(self.store.queues()), 2 * MOST + 2)
        self.assertLessEqual(len(self.broker.queues.table), 2 * MOST + 2)

    def test_services(self) -> None:
        """The requests for services that are not offered any more are limited, too."""
        for number in range(4 * MOST):
            self.open("worker", mlm.ServiceOffer(b"%d" % number, b""), credit=0)
            self.do("sender", mlm.ServiceSend(b"%d" % number, b"x", b"t", 0, ()))
            self.do("worker", mlm.ConnectionClose())
        self.assertLessEqual(len(self.broker.queues.table), 2 * MOST + 2)

    def test_plain_client(self) -> None:
        """A plain client, which leaves no message, gets its mail nevertheless."""
        self.test_mailboxes()
        self.open("plain")
        self.pass_time(0.2, "sender")
        self.do("sender", mlm.MailboxSend(b"plain", b"hi", b"", 0, ()))
        self.assertEqual(self.taken("plain"), [b"hi"])

    def test_plain_clients_that_vanish(self) -> None:
        """Mail for plain clients whose connections are lost is in a limited number of mailboxes, too."""
        for number in range(4 * MOST):
            name = f"plain {number}"
            self.open(name)
            self.pass_time(0.2, "sender")
            self.gone.add(name.encode())
            self.do("sender", mlm.MailboxSend(name.encode(), b"hi", b"", 0, ()))
        self.assertLessEqual(len(self.broker.queues.table), 2 * MOST + 2)


class StreamTests(NamesTestCase):
    """Streams with retention."""

    def test_streams(self) -> None:
        """Messages of another stream beyond the limit are not stored, with one warning, but are delivered live."""
        for number in range(MOST + 2):
            self.publish(b"%d" % number)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)
        self.assertEqual(self.replayed(b"0"), [1])
        self.assertEqual(self.replayed(b"%d" % MOST), [])
        self.open("reader", mlm.StreamRead(b"new", b""))
        self.publish(b"new")
        self.assertEqual(self.taken("reader"), [b"x"])

    def test_forgotten(self) -> None:
        """A stream whose records were all trimmed does not count, and continues after its last position."""
        for number in range(MOST):
            self.publish(b"%d" % number, 3)
        self.pass_time(62, "sender")
        self.publish(b"new")
        self.assertEqual(self.replayed(b"new"), [1])
        self.publish(b"0")
        self.assertEqual(self.replayed(b"0"), [4])

    def test_positions_are_not_reused(self) -> None:
        """No position of a stream is used twice, even if its name was forgotten because of too many names."""
        self.patch(ended_streams, "MAX_NAMES", 2)
        for number in range(MOST):
            self.publish(b"%d" % number, number + 1)
        self.pass_time(62, "sender")
        for number in range(MOST):
            self.publish(b"%d" % number)
            self.assertGreater(self.replayed(b"%d" % number)[0], number + 1)

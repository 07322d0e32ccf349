"""Names of mailboxes, services and streams that anybody makes up: what the broker remembers of them."""

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
    """A broker that remembers few names."""

    limits = Limits(
        queues=MOST, streams=MOST, retention_of={b"not kept": Retention(0)}, retention=Retention(2, None, 60)
    )

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.open("sender", credit=0)

    def mail(self, to: str) -> int:
        """Send mail; return the status that its sender is told."""
        (status,) = self.statuses(*self.say("sender", mlm.MailboxSend(to.encode(), b"hi", b"t", 0, ())))
        return status

    def statuses(self, *told: mlm.Command) -> list[int]:
        """Return the statuses of confirmations."""
        return [each.status_code for each in told if isinstance(each, mlm.Confirm)]

    def publish(self, stream: bytes, count: int = 1) -> None:
        """Send messages to a stream."""
        self.do("sender", mlm.StreamWrite(stream), *[mlm.StreamSend(b"x", ())] * count)
        self.take("sender")

    def replayed(self, stream: bytes) -> list[int]:
        """Return the positions of what is kept of a stream."""
        self.open("reader", credit=100)
        got = self.say("reader", mlm.StreamReplay(stream, b"", 0))
        self.do("reader", mlm.ConnectionClose())
        return [each.position for each in got if isinstance(each, mlm.StreamRecord)]


class QueueTests(NamesTestCase):
    """Mailboxes and services."""

    def test_mailboxes(self) -> None:
        """Mail for one name too many is refused, and the log says so; what waits already may grow."""
        self.assertEqual([self.mail(f"nobody{number}") for number in range(MOST + 2)], [201] * MOST + [301] * 2)
        self.assertEqual(self.mail("nobody0"), 201)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)
        self.open("nobody1")
        self.pass_time(0.2, "sender")
        self.assertEqual(self.taken("nobody1"), [b"hi"])
        self.take("sender")
        self.assertEqual(self.mail("another"), 201)

    def test_services(self) -> None:
        """So are requests for one service too many."""
        for number in range(MOST + 1):
            self.do("sender", mlm.ServiceSend(b"svc%d" % number, b"job", b"%d" % number, 0, ()))
        self.assertEqual(self.statuses(*self.take("sender")), [201] * MOST + [301])

    def test_who_is_there(self) -> None:
        """Who is there gets all, however many mailboxes wait for others, also if it has to wait for its credit."""
        self.open("busy", OFFER, credit=0)
        for number in range(MOST):
            self.mail(f"nobody{number}")
        self.assertEqual(self.mail("busy"), 201)
        self.do("sender", mlm.ServiceSend(b"svc", b"job", b"", 0, ()))
        self.do("busy", mlm.Credit(5))
        self.assertEqual(self.taken("busy"), [b"hi", b"job"])


class StreamTests(NamesTestCase):
    """Streams that are kept."""

    def test_streams(self) -> None:
        """Of one stream too many nothing is kept, and the log says so once; who reads it gets it all the same."""
        for number in range(MOST + 2):
            self.publish(b"%d" % number)
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)
        self.assertEqual(self.replayed(b"0"), [1])
        self.assertEqual(self.replayed(b"%d" % MOST), [])
        self.open("reader", mlm.StreamRead(b"new", b""))
        self.publish(b"new")
        self.assertEqual(self.taken("reader"), [b"x"])

    def test_forgotten(self) -> None:
        """A stream of which nothing is kept any more makes room, and goes on behind its last position."""
        for number in range(MOST):
            self.publish(b"%d" % number, 3)
        self.pass_time(62, "sender")
        self.publish(b"new")
        self.assertEqual(self.replayed(b"new"), [1])
        self.publish(b"0")
        self.assertEqual(self.replayed(b"0"), [4])

    def test_no_position_twice(self) -> None:
        """Where more names are forgotten than can be known, no position is given twice, to whichever stream."""
        self.patch(ended_streams, "MAX_NAMES", 2)
        for number in range(MOST):
            self.publish(b"%d" % number, number + 1)
        self.pass_time(62, "sender")
        for number in range(MOST):
            self.publish(b"%d" % number)
            self.assertGreater(self.replayed(b"%d" % number)[0], number + 1)

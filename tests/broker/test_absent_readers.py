"""Mailboxes that nobody reads."""

from __future__ import annotations

from alaska.broker import absent_readers
from alaska.broker.limits import Limits, UnreadLimits
from alaska.mlm import commands as mlm
from tests.broker.broker_case import BrokerTestCase, mail
from tests.broker.test_durability import DurableTestCase


class AbsentReaderTests(BrokerTestCase):
    """Limits of mailboxes whose owners are away."""

    limits = Limits(client_timeout=1e9, unread=UnreadLimits(3, 10_000, 100.0))

    def fill(self, count: int) -> None:
        """Let mail with these numbers as subjects wait."""
        self.do("p", *(mail(b"%d" % number, tracker=b"%d" % number) for number in range(count)))

    def left(self) -> list[bytes]:
        """Return the subjects of the mail that its owner gets."""
        self.open("late", credit=1000)
        self.pass_time(0.5)
        return self.taken("late")

    def test_count(self) -> None:
        """Beyond the number, the oldest are dropped and counted when the owner has been away; senders are told 404."""
        self.patch(absent_readers, "DROPPED_PER_TURN", 2)
        self.open("p", credit=0)
        self.fill(8)
        self.take("p")
        self.pass_time(4)
        self.assertEqual(self.take("p"), [])
        self.pass_time(3)
        told = [(each.tracker, each.status_code) for each in self.take("p") if isinstance(each, mlm.Confirm)]
        self.assertEqual(told, [(b"%d" % number, 404) for number in range(5)])
        self.assertEqual(self.broker.counters.dropped_for, {"unread_mail": 5})
        self.assertEqual(self.left(), [b"5", b"6", b"7"])

    def test_octets(self) -> None:
        """So they are beyond the size."""
        self.open("p", *(mlm.MailboxSend(b"late", b"%d" % each, b"", 0, (b"x" * 6000,)) for each in range(2)))
        self.pass_time(8)
        self.assertEqual(self.left(), [b"1"])

    def test_age(self) -> None:
        """So are old ones."""
        self.broker.tick(self.now, 1000.0)
        self.open("p", mail(b"old"))
        self.pass_time(60)
        self.do("p", mail(b"new"))
        self.pass_time(50)
        self.assertEqual(self.left(), [b"new"])

    def test_connected(self) -> None:
        """Nothing is dropped while the owner is connected, even if it takes nothing."""
        self.open("late", credit=0)
        self.open("p", credit=0)
        self.fill(8)
        self.pass_time(10)
        self.do("late", mlm.Credit(100))
        self.assertEqual(len(self.taken("late")), 8)

    def test_back_in_time(self) -> None:
        """An owner that was away for a moment loses nothing."""
        self.open("p", credit=0)
        self.fill(8)
        self.pass_time(3)
        self.assertEqual(len(self.left()), 8)


class DurableTests(DurableTestCase):
    """Mail in a file that nobody reads."""

    limits = Limits(client_timeout=1e9, unread=UnreadLimits(3))

    def test_restart(self) -> None:
        """What is dropped is gone from the store, too."""
        self.open("p", *(mail(b"%d" % number) for number in range(8)))
        self.write()
        self.crash()
        self.pass_time(8)
        self.write()
        self.crash()
        self.open("late", credit=100)
        self.pass_time(0.5)
        self.write()
        self.assertEqual(self.taken("late"), [b"5", b"6", b"7"])

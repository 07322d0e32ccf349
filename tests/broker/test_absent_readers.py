"""Mailboxes that nobody reads."""

from __future__ import annotations

from dataclasses import replace

from alaska.broker import absent_readers, unread_limits
from alaska.broker.limits import Limits, UnreadLimits
from alaska.message import QueueKind, QueueName
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

    def test_delayed(self) -> None:
        """Delayed mail is not dropped, and none is dropped for its size."""
        large = mlm.MailboxSend(b"late", b"large", b"", 0, (b"x" * 20_000,), {"delay": 1_000_000})
        self.open_second("p", mail(b"small"), large)
        self.pass_time(8)
        self.assertEqual(self.left(), [b"small"])

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


class PatternTests(BrokerTestCase):
    """Limits of single mailboxes, by patterns of their names."""

    limits = Limits(
        client_timeout=1e9,
        unread=UnreadLimits(3, None, 1000.0),
        unread_of=(
            (b"^audit", UnreadLimits(5, None, 1000.0)),
            (b"log", UnreadLimits(1, None, 1000.0)),
            (b"^news", UnreadLimits(None, None, 20.0)),
        ),
    )

    def fill(self, *names: bytes) -> None:
        """Let eight messages wait in each of some mailboxes."""
        self.broker.tick(self.now, 1000.0)
        self.open("p", *(mail(b"x", to=name) for name in names for _ in range(8)))

    def left(self, name: bytes) -> int:
        """Return how many messages wait in a mailbox."""
        queue = self.broker.queues.table.get(QueueName(QueueKind.MAILBOX, name))
        return 0 if queue is None else queue.waiting

    def test_patterns(self) -> None:
        """The first pattern that matches the name of a mailbox counts, and for all others the general limits do."""
        names = (b"audit", b"audit.log", b"a.log", b"other")
        self.fill(*names)
        self.pass_time(15)
        self.assertEqual([self.left(name) for name in names], [5, 5, 1, 3])

    def test_age(self) -> None:
        """A pattern can limit the age alone."""
        self.fill(b"news", b"newsletter")
        self.pass_time(15)
        self.assertEqual([self.left(b"news"), self.left(b"newsletter")], [8, 8])
        self.pass_time(20)
        self.assertEqual([self.left(b"news"), self.left(b"newsletter")], [0, 0])

    def test_reload(self) -> None:
        """New limits count for mailboxes that were known before."""
        self.fill(b"audit")
        self.pass_time(10)
        self.assertEqual(self.left(b"audit"), 5)
        self.broker.configure(replace(self.limits, unread_of=((b"^audit", UnreadLimits(2)),)))
        self.pass_time(10)
        self.assertEqual(self.left(b"audit"), 2)

    def test_many(self) -> None:
        """However many mailboxes there are, few of their names are matched in one turn, and all of them at last."""
        self.patch(unread_limits, "NEW_PER_TURN", 2)
        names = [b"log%d" % number for number in range(10)]
        self.fill(*names)
        self.pass_time(7)
        self.assertEqual({self.left(name) for name in names}, {1, 8})
        self.pass_time(10)
        self.assertEqual({self.left(name) for name in names}, {1})

    def test_replies(self) -> None:
        """Replies for a process that served HTTP and has ended are dropped after a minute."""
        self.fill(b"alaska.http::host::1-0002")
        self.pass_time(30)
        self.assertEqual(self.left(b"alaska.http::host::1-0002"), 3)
        self.pass_time(40)
        self.assertEqual(self.left(b"alaska.http::host::1-0002"), 0)


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

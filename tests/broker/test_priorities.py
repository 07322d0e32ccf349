"""Priorities of messages."""

from __future__ import annotations

from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from alaska.broker import lanes
from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.interfaces import IStore, Reactor
from alaska.mlm import commands as mlm
from alaska.store.database import TemporaryFile
from alaska.store.sqlite import SqliteStore
from alaska.testing.disk import HandWriting
from tests import examples
from tests.broker.broker_case import OFFER, BrokerTestCase

URGENT, NORMAL, LOW = 9, 4, 0


def ranked(priority: int | None, subject: bytes, to: bytes = b"svc") -> mlm.ServiceSend:
    """Return a request with a priority."""
    return mlm.ServiceSend(to, subject, b"", 0, (b"x",), {} if priority is None else {"priority": priority})


class PriorityCase(BrokerTestCase):
    """A sender of the second edition, and workers that come later."""

    limits = Limits(client_timeout=1e9)

    def setUp(self) -> None:
        super().setUp()
        self.open_second("p")

    def drained(self, *names: str) -> list[bytes]:
        """Return the subjects that workers get, one by one."""
        found: list[bytes] = []
        for name in names or ("w",):
            self.open_second(name, OFFER)
            while True:
                self.do(name, mlm.Credit(1))
                self.broker.tick(self.now)
                some = self.taken(name)
                if not some:
                    break
                found += some
        return found


class PriorityTests(PriorityCase):
    """The order of deliveries."""

    def test_order(self) -> None:
        """Higher priorities come first, and messages of one priority in their order; without one, it is 4."""
        priorities = (LOW, NORMAL, URGENT, None, LOW, URGENT, 5)
        self.do("p", *(ranked(each, b"%d" % number) for number, each in enumerate(priorities)))
        self.assertEqual(self.drained(), [b"2", b"5", b"6", b"1", b"3", b"0", b"4"])

    def test_mail(self) -> None:
        """Mail has priorities, too."""
        for priority in (LOW, URGENT):
            self.do("p", mlm.MailboxSend(b"box", b"%d" % priority, b"", 0, (), {"priority": priority}))
        self.open_second("box", credit=2)
        self.assertEqual(self.taken("box"), [b"9", b"0"])

    def test_behind_many(self) -> None:
        """A message of a high priority is the next one, however many others wait in the store."""
        self.patch(lanes, "WINDOW_MESSAGES", 10)
        self.do("p", *(ranked(None, b"%d" % number) for number in range(500)))
        self.open_second("w", OFFER, credit=1)
        self.do("p", ranked(URGENT, b"urgent"))
        self.do("w", mlm.Credit(1))
        self.assertEqual(self.taken("w"), [b"0", b"urgent"])

    def test_no_overtaking(self) -> None:
        """A new message of a low priority does not overtake those of a high one that are only in the store."""
        self.patch(lanes, "WINDOW_MESSAGES", 2)
        self.do("p", *(ranked(URGENT, b"%d" % number) for number in range(50)))
        self.open_second("w", OFFER, credit=20)
        self.do("p", ranked(LOW, b"low"), ranked(None, b"normal"))
        found = self.taken("w")
        self.pass_time(0.2)
        found += self.taken("w")
        self.assertEqual(found, [b"%d" % number for number in range(20)])
        found += self.drained("v")
        self.assertEqual(found, [*(b"%d" % number for number in range(50)), b"normal", b"low"])

    def test_other_subjects(self) -> None:
        """A message of a high priority that no worker takes does not hold up others."""
        self.do("p", ranked(URGENT, b"nobody"), ranked(LOW, b"job"))
        self.open_second("w", mlm.ServiceOffer(b"svc", b"^job"), credit=5)
        self.assertEqual(self.taken("w"), [b"job"])
        self.do("p", ranked(LOW, b"job2"))
        self.assertEqual(self.taken("w"), [b"job2"])

    def test_redelivered(self) -> None:
        """A redelivered message keeps its priority."""
        self.do("p", ranked(URGENT, b"urgent"), ranked(None, b"normal"))
        self.open_second("v", OFFER, credit=1)
        self.assertEqual(self.taken("v"), [b"urgent"])
        self.do("v", mlm.ConnectionClose())
        self.assertEqual(self.drained(), [b"urgent", b"normal"])

    def test_restart(self) -> None:
        """Priorities are known after a restart."""
        self.do("p", ranked(None, b"normal"), ranked(URGENT, b"urgent"))
        for part in (self.store.queues(),):
            self.assertEqual(sum(size.messages for size in part), len(part))
        self.broker.queues.table[next(iter(self.broker.queues.table))].leave_all_in_store()
        self.broker = Broker(self.router, self.limits, self.store)
        self.assertEqual(self.drained(), [b"urgent", b"normal"])

    def test_no_parts_left(self) -> None:
        """When the messages of a priority have gone, so has the part for them."""
        self.open_second("w", OFFER, credit=0)
        self.do("p", ranked(URGENT, b"urgent"), ranked(LOW, b"low"))
        (queue,) = self.broker.queues.table.values()
        self.assertEqual((len(queue.parts), queue.waiting), (3, 2))
        self.do("w", mlm.Credit(2))
        leases = [each.properties["lease"] for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        self.do("w", *(mlm.Confirm(b"", 200, b"", {"lease": lease}) for lease in leases))
        self.assertEqual((len(queue.parts), queue.waiting, queue.octets), (1, 0, 0))

    @settings(max_examples=examples(50))
    @given(st.lists(st.tuples(st.sampled_from([None, 0, 3, 4, 5, 9]), st.booleans()), max_size=40))
    def test_any(self, sends: list[tuple[int | None, bool]]) -> None:
        """Whatever is sent and delivered meanwhile, the next delivery is the first of the highest priority."""
        self.setUp()
        self.open_second("w", OFFER)
        waiting: list[tuple[int, int]] = []
        for number, (priority, takes_one) in enumerate(sends):
            self.do("p", ranked(priority, b"%d" % number))
            waiting.append((-(NORMAL if priority is None else priority), number))
            if takes_one:
                self.do("w", mlm.Credit(1))
                expected = min(waiting)
                waiting.remove(expected)
                self.assertEqual(self.taken("w"), [b"%d" % expected[1]])
        self.assertEqual(self.drained("v"), [b"%d" % number for _, number in sorted(waiting)])


class SqlitePriorityTests(PriorityTests):
    """The same with a temporary file for what does not fit into memory."""

    def test_restart(self) -> None:
        """This store is not durable."""

    def make_store(self) -> IStore:
        """Return a temporary store."""
        store = SqliteStore(cast("Reactor", Clock()), TemporaryFile(), HandWriting)
        self.addCleanup(store.close)
        return store

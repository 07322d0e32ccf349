"""Many delayed messages that are due at once."""

from __future__ import annotations

from alaska.broker import due_pace, message_timeouts
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER
from tests.broker.test_delays import SERVICE, DelayCase, later

MANY = 60
TURN = 5
ENOUGH = 10


class PaceTests(DelayCase):
    """How fast they begin to wait, with a worker that has little credit."""

    def setUp(self) -> None:
        self.patch(message_timeouts, "OVERDUE_PER_TURN", TURN)
        self.patch(due_pace, "ENOUGH_WAITING", ENOUGH)
        self.patch(due_pace, "FLOWING", 3)
        super().setUp()
        self.do("w", mlm.ConnectionClose())
        self.open_second("slow", OFFER, credit=1)

    def send_many(self) -> None:
        """Send many that are due at the same time."""
        self.do("p", *(later(b"%d" % number, 1) for number in range(MANY)))

    def confirm(self) -> list[bytes]:
        """Let the worker confirm what it has got, and give credit for as many; return the subjects."""
        deliveries = [each for each in self.take("slow") if isinstance(each, mlm.ServiceDeliver)]
        for each in deliveries:
            self.do("slow", mlm.Confirm(b"", 200, b"", {"lease": each.properties["lease"]}), mlm.Credit(1))
        return [each.subject for each in deliveries]

    def test_held(self) -> None:
        """As long as the worker takes them fast, the others stay where they are."""
        self.send_many()
        self.pass_time(1.05)
        done: list[bytes] = []
        while len(done) < MANY - ENOUGH - TURN:
            done += self.confirm()
            self.pass_time(0.05)
            queue = self.broker.queues.table[SERVICE]
            self.assertLessEqual(queue.waiting, ENOUGH + TURN)
            self.assertEqual(queue.waiting + queue.delayed + len(done) + queue.running, MANY)
        for _ in range(40):
            done += self.confirm()
            self.pass_time(0.05)
        self.assertEqual(done, [b"%d" % number for number in range(MANY)])

    def test_nobody_takes_them(self) -> None:
        """If the worker takes none, all begin to wait in the order of their arrival."""
        self.send_many()
        self.pass_time(3)
        self.assertEqual((self.delayed(), self.broker.queues.table[SERVICE].waiting), (0, MANY - 1))

    def test_later_ones(self) -> None:
        """Messages of other queues that are due, or expire, after them are not held up by them."""
        self.send_many()
        self.do("p", mlm.ServiceSend(b"other", b"lost", b"t", 1100, (b"x",)))
        self.open_second("other", mlm.ServiceOffer(b"also", b""), credit=1)
        self.do("p", mlm.ServiceSend(b"also", b"job", b"", 0, (b"x",), {"delay": 1100}))
        self.take("p")
        self.pass_time(1.06)
        self.assertGreater(self.delayed(), 0)
        self.pass_time(0.1)
        self.assertEqual((self.statuses(), self.taken("other")), ([(b"t", 302)], [b"job"]))
        self.assertGreater(self.delayed(), 0)

    def test_store_is_behind(self) -> None:
        """While the store cannot write as fast, no more begin to wait."""
        self.send_many()
        self.patch(self.store, "is_behind", True)
        self.pass_time(2)
        self.assertEqual(self.delayed(), MANY)
        self.patch(self.store, "is_behind", False)
        self.pass_time(3)
        self.assertEqual(self.delayed(), 0)

    def test_priority(self) -> None:
        """One with a high priority that is due meanwhile comes before all that wait."""
        self.send_many()
        self.do("p", mlm.ServiceSend(b"svc", b"urgent", b"", 0, (b"x",), {"delay": 1100, "priority": 9}))
        self.pass_time(1.2)
        self.assertEqual([self.confirm(), self.confirm()], [[b"0"], [b"urgent"]])

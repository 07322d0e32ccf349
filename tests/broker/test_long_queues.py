"""Queues that are longer than the window in memory."""

from __future__ import annotations

from alaska.broker import lanes
from alaska.broker.limits import Limits
from alaska.message import Message, Page, PartName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, BrokerTestCase, confirm, mail, request
from tests.broker.test_broker_model import take_small_steps


class LongQueueTests(BrokerTestCase):
    """Queues longer than the window in memory."""

    def test_put_back_beyond_the_window(self) -> None:
        """More mail than fits into the window, requeued when its owner leaves, stays in order with later mail."""
        self.patch(lanes, "WINDOW_MESSAGES", 4)
        self.open("late", credit=6)
        self.open("p", *(mail(b"%d" % number) for number in range(6)))
        self.do("late", mlm.ConnectionClose())
        self.do("p", *(mail(b"%d" % number) for number in range(6, 9)))
        for count in (3, 2, 1):
            self.do("late", mlm.ConnectionOpen(b"late"), mlm.Credit(count))
            self.assertEqual(self.taken("late")[-count:], [b"0", b"1", b"2"][:count])
            self.do("late", mlm.ConnectionClose())
        self.do("late", mlm.ConnectionOpen(b"late"), mlm.Credit(20))
        self.pass_time(0.5, "p", "late")
        self.assertEqual(self.taken("late")[-9:], [b"%d" % number for number in range(9)])

    def test_behind_many_others(self) -> None:
        """A request behind many that nobody takes is found soon: of most of these, only the subjects are read."""
        self.open("p", *(request(b"held") for _ in range(5000)), request(b"free"), request(b"held"))
        read: list[bytes] = []
        waiting = self.store.waiting

        def count(part: PartName, after: int, limit: int) -> Page[Message, int]:
            page = waiting(part, after, limit)
            read.extend(message.subject for message in page)
            return page

        self.patch(self.store, "waiting", count)
        self.open("w", mlm.ServiceOffer(b"svc", b"^free$"), credit=10)
        self.pass_time(0.05, "p")
        self.assertEqual(self.taken("w"), [b"free"])
        self.assertLess(len(read), 1500)
        self.open("v", mlm.ServiceOffer(b"svc", b"^held$"), credit=6000)
        self.pass_time(0.5, "p", "w")
        self.assertEqual(len(self.taken("v")), 5001)

    def test_in_order(self) -> None:
        """Five thousand requests are delivered once and in order, as credit is given."""
        self.open("p", *(request(b"%d" % number) for number in range(5000)))
        self.open("a", OFFER, credit=7)
        seen: list[bytes] = []
        while len(seen) < 5000:
            deliveries = self.take("a")
            self.assertTrue(deliveries)
            for each in deliveries:
                assert isinstance(each, mlm.ServiceDeliver)
                seen.append(each.subject)
                self.do("a", confirm(each.tracker))
            self.do("a", mlm.Credit(len(deliveries)))
            self.pass_time(0.05, "p", "a") if len(seen) % 500 == 0 else None
        self.assertEqual(seen, [b"%d" % number for number in range(5000)])

    def test_offers_that_come_and_go(self) -> None:
        """While offers are added and withdrawn, each request is delivered once, and in order within its subject."""
        count = 4000
        self.open("p", *(request(b"%s%d" % (b"ab"[number % 2 : number % 2 + 1], number)) for number in range(count)))
        seen: list[bytes] = []
        for turn in range(200):
            name, pattern = f"w{turn}", (b"^a", b"^b", b"", b"1$")[turn % 4]
            self.open(name, mlm.ServiceOffer(b"svc", pattern), credit=40)
            self.pass_time(0.05, "p")
            for each in self.take(name):
                assert isinstance(each, mlm.ServiceDeliver)
                seen.append(each.subject)
                self.do(name, confirm(each.tracker))
            self.do(name, mlm.ConnectionClose())
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(set(seen), {b"%s%d" % (b"ab"[n % 2 : n % 2 + 1], n) for n in range(count)})
        for letter in (b"a", b"b"):
            everything_else = [subject for subject in seen if subject[:1] == letter and not subject.endswith(b"1")]
            self.assertEqual(everything_else, sorted(everything_else, key=lambda subject: int(subject[1:])))

    def test_requests_without_offer(self) -> None:
        """Thousands of requests without an offer do not block others, and are delivered when there is one."""
        self.open("p", *(request(b"no%d" % number) for number in range(3000)), request(b"yes"))
        self.open("a", mlm.ServiceOffer(b"svc", b"^yes"), credit=5)
        self.pass_time(0.5, "p", "a")
        self.assertEqual(self.taken("a"), [b"yes"])
        self.open("b", mlm.ServiceOffer(b"svc", b"^no"), credit=5000)
        self.pass_time(0.5, "p", "a", "b")
        self.assertEqual(self.taken("b"), [b"no%d" % number for number in range(3000)])


class DrainedQueueTests(BrokerTestCase):
    """A long queue of which all messages were delivered, where only one queue is allowed."""

    limits = Limits(queues=1)

    def test_none_is_left(self) -> None:
        """When all requests of several subjects are delivered, none counts as waiting: the queue is gone."""
        take_small_steps(self.patch)
        workers = ("a", "b", "c")
        self.open("p")
        for name in workers:
            self.open(name, mlm.ServiceOffer(b"svc", b"^" + name.encode()), credit=0)
        self.do("p", *(request(subject.encode()) for subject in "bbcbbbbaaacc"))
        for name, credit in (("b", 3), ("a", 1), ("c", 2), ("c", 3), ("a", 100), ("b", 100)):
            self.do(name, mlm.Credit(credit))
        self.pass_time(1, "p", *workers)
        for name, count in zip(workers, (3, 6, 3), strict=True):
            trackers = self.trackers(name)
            self.assertEqual(len(trackers), count)
            self.do(name, *(confirm(tracker) for tracker in trackers), CLOSE)
        self.do("p", mail())
        self.open("late", credit=1)
        self.assertEqual(self.taken("late"), [b"hi"])

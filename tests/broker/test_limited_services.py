"""Limits of services: the rate of their requests, and how many of them run at once."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs, formatEvent

from alaska.broker import lanes
from alaska.broker.backlog import Backlog
from alaska.broker.limits import Limits
from alaska.config.service_limits import LIMIT
from alaska.interfaces import IStore
from alaska.message import Message, Page, QueueKind
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, BrokerTestCase, confirm, expired, request
from tests.broker.test_administration import AdministrationCase
from tests.store.kinds import SpillingKind


def limits(*texts: str) -> Limits:
    """Return the limits of a broker with these limits of services."""
    return Limits(client_timeout=3600.0, of_services=tuple(map(LIMIT.read, texts)))


def requests(number: int, subject: bytes = b"job") -> list[mlm.ServiceSend]:
    """Return requests for the service svc, each with a tracker of its own."""
    return [request(subject, tracker=b"%s%d" % (subject, each)) for each in range(number)]


def urgent(subject: bytes, priority: int, service: bytes = b"svc") -> mlm.ServiceSend:
    """Return a request with a priority."""
    return mlm.ServiceSend(service, subject, b"", 0, (), {"priority": priority})


class RateTests(BrokerTestCase):
    """A service with a rate."""

    limits = limits("svc rate=10/s burst=3")

    def test_burst(self) -> None:
        """As many requests as the burst are delivered at once, the others at the rate and in order."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *[request(b"%d" % number) for number in range(30)])
        self.assertEqual(self.taken("worker"), [b"0", b"1", b"2"])
        self.pass_time(1)
        self.assertEqual(self.taken("worker"), [b"%d" % number for number in range(3, 13)])
        self.pass_time(1.7)
        self.assertEqual(self.taken("worker"), [b"%d" % number for number in range(13, 30)])
        self.pass_time(10)
        self.do("sender", *requests(10))
        self.assertEqual(len(self.taken("worker")), 3)

    def test_new_request(self) -> None:
        """A request is delivered when it arrives if there is a token, and waits if there is none."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender")
        for number in range(10):
            self.do("sender", request(b"%d" % number))
            self.assertEqual(self.taken("worker"), [b"%d" % number])
            self.pass_time(0.1)
        self.do("sender", *requests(4))
        self.assertEqual(len(self.taken("worker")), 3)

    def test_plain_worker(self) -> None:
        """The rate is kept for a worker that does not confirm."""
        self.open("worker", OFFER)
        self.open("sender", *requests(30))
        self.assertEqual(len(self.taken("worker")), 3)
        self.pass_time(1)
        self.assertEqual(len(self.taken("worker")), 10)

    def test_other_service(self) -> None:
        """Other services are not limited."""
        self.open("worker", mlm.ServiceOffer(b"other", b""), credit=1000)
        self.open("sender", *[mlm.ServiceSend(b"other", b"job", b"", 0, ()) for _ in range(30)])
        self.assertEqual(len(self.taken("worker")), 30)

    def test_redelivery(self) -> None:
        """A request that is delivered again takes another token."""
        self.open("first", OFFER, credit=3)
        self.open("sender", *requests(3))
        self.open("second", OFFER, credit=1000)
        self.do("first", CLOSE)
        self.assertEqual(self.taken("second"), [])
        self.pass_time(0.1)
        self.assertEqual(self.trackers("second"), [b"job0"])
        self.pass_time(0.2)
        self.assertEqual(self.trackers("second"), [b"job1", b"job2"])

    def test_not_delivered(self) -> None:
        """A request that could not be sent to its worker takes no token."""
        self.open("worker", OFFER)
        self.gone.add(b"worker")
        self.open("sender", *requests(1))
        self.open("second", OFFER, credit=1000)
        self.do("sender", *requests(3))
        self.pass_time(0.05)
        self.assertEqual(len(self.taken("second")), 3)

    def test_worker_is_busy(self) -> None:
        """While no worker is ready, tokens beyond the burst are lost."""
        self.open("worker", OFFER, credit=3)
        self.open("sender", *requests(30))
        self.assertEqual(len(self.taken("worker")), 3)
        self.pass_time(5)
        self.do("worker", mlm.Credit(1000))
        self.assertEqual(len(self.taken("worker")), 3)

    def test_expired(self) -> None:
        """A request that is held back until its timeout is not delivered."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(3), request(b"late", timeout=50), request(b"next"))
        self.pass_time(1)
        self.assertNotIn(b"late", taken := self.taken("worker"))
        self.assertEqual(taken[-1], b"next")

    def test_measured(self) -> None:
        """Requests that were held back are counted when they are delivered, and no others."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(5))
        measures = self.broker.queues.measures.services[b"svc"]
        self.assertEqual(measures.held, 0)
        self.pass_time(1)
        self.assertEqual(measures.held, 2)
        self.do("sender", *requests(1))
        self.assertEqual(measures.held, 2)


class SmoothRateTests(BrokerTestCase):
    """A service with a rate that is higher than that of the ticks."""

    limits = limits("svc rate=200/s")

    def test_rate(self) -> None:
        """The rate is met."""
        self.open("worker", OFFER, credit=10_000)
        self.open("sender", *requests(1000))
        self.pass_time(4)
        self.assertEqual(len(self.taken("worker")), 1 + 800)


class RunningTests(BrokerTestCase):
    """A service with a limit for running requests."""

    limits = limits("svc running=2")

    def test_all_workers(self) -> None:
        """The limit is for all workers together, and a confirmation lets the next request follow at once."""
        self.open("a", OFFER, credit=1000)
        self.open("b", OFFER, credit=1000)
        self.open("sender", *requests(5))
        self.assertEqual((self.trackers("a"), self.trackers("b")), ([b"job0"], [b"job1"]))
        self.do("b", confirm(b"job1"))
        self.assertEqual((self.trackers("a"), self.trackers("b")), ([b"job2"], []))
        self.do("a", confirm(b"job0"), confirm(b"job2"))
        self.assertEqual(sorted([*self.trackers("a"), *self.trackers("b")]), [b"job3", b"job4"])

    def test_refused(self) -> None:
        """A request that becomes a dead letter does not run any more."""
        self.open("a", OFFER, credit=1000)
        self.open("sender", *requests(4))
        self.take("a")
        self.do("a", confirm(b"job0", 400), confirm(b"job1", 404))
        self.assertEqual(self.trackers("a"), [b"job2", b"job3"])

    def test_returned(self) -> None:
        """A request that is returned does not run any more, and is delivered again in its order."""
        self.open("a", OFFER, credit=1000)
        self.open("sender", *requests(3))
        self.take("a")
        self.do("a", confirm(b"job0", 300))
        self.assertEqual(self.trackers("a"), [b"job0"])

    def test_lost_worker(self) -> None:
        """The requests of a worker that is lost do not run any more."""
        self.open("a", OFFER, credit=1000)
        self.open("sender", *requests(3))
        self.open("b", OFFER, credit=1000)
        self.do("a", CLOSE)
        self.assertEqual(self.trackers("b"), [b"job0", b"job1"])
        self.do("b", confirm(b"job0"))
        self.assertEqual(self.trackers("b"), [b"job2"])

    def test_purged(self) -> None:
        """A request that waits, and is purged, was not running."""
        self.open("a", OFFER, credit=1000)
        self.open("sender", *requests(4))
        queue = self.broker.queues.table[QueueKind.SERVICE, b"svc"]
        waiting = [message for lane in queue._lanes.values() for message in lane.messages]
        self.assertTrue(self.broker.queues.end_purged(waiting[0], self.now))
        self.pass_time(0.1)
        self.assertEqual(self.trackers("a"), [b"job0", b"job1"])

    def test_plain_worker(self) -> None:
        """For a worker that does not confirm, the limit is not kept; this is logged once."""
        self.open("a", OFFER)
        with capturedLogs() as events:
            self.open("sender", *requests(4))
        self.assertEqual(len(self.trackers("a")), 4)
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "the service svc has a limit for running requests, which is not kept for a: it does not confirm "
                "requests, so that only their rate can be limited"
            ],
        )
        self.assertEqual([limit.running for limit in self.broker.queues.table.limits[b"svc"]], [0])


class SubjectTests(BrokerTestCase):
    """A service with limits for subjects."""

    limits = limits("svc subject=^thumb rate=2/s", "svc subject=large running=1")

    def test_others_are_not_blocked(self) -> None:
        """Requests of a limited subject wait, and those behind them with other subjects are delivered."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(5, b"thumb"), *requests(3, b"page"))
        self.assertEqual(self.trackers("worker"), [b"thumb0", b"page0", b"page1", b"page2"])
        self.do("sender", *requests(1, b"pdf"))
        self.assertEqual(self.trackers("worker"), [b"pdf0"])
        self.pass_time(1)
        self.assertEqual(self.trackers("worker"), [b"thumb1", b"thumb2"])

    def test_expired_while_held(self) -> None:
        """A request that expires while it is held back ends once, also if another one is due at the same time."""
        self.open("worker", OFFER, credit=1000)
        self.open_second("sender", *requests(1, b"large"), request(b"large", b"late", 1000), *requests(1, b"large"))
        self.do("sender", mlm.ServiceSend(b"svc", b"page", b"", 0, (), {"delay": 1000}))
        self.now += 1.1
        self.broker.tick(self.now)
        queue = self.broker.queues.table[QueueKind.SERVICE, b"svc"]
        self.assertEqual((self.taken("worker"), expired(self.broker), queue.waiting), ([b"large", b"page"], 1, 1))

    def test_one_for_all_subjects(self) -> None:
        """A limit is for all matching subjects together, in the order of arrival."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", request(b"thumb.b"), request(b"thumb.a"), request(b"thumb.c"))
        self.pass_time(1)
        self.assertEqual(self.taken("worker"), [b"thumb.b", b"thumb.a", b"thumb.c"])

    def test_several_limits(self) -> None:
        """A request with several limits is delivered when all of them admit it, and takes tokens of none before."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", request(b"large", tracker=b"1"), request(b"thumb.large", tracker=b"2"))
        self.assertEqual(self.trackers("worker"), [b"1"])
        self.do("sender", request(b"thumb", tracker=b"3"))
        self.assertEqual(self.trackers("worker"), [b"3"])
        self.pass_time(2)
        self.do("worker", confirm(b"1"))
        self.assertEqual(self.trackers("worker"), [b"2"])

    def test_other_patterns(self) -> None:
        """Offers and limits have patterns of their own."""
        self.open("worker", mlm.ServiceOffer(b"svc", b"^page"), credit=1000)
        self.open("sender", *requests(2, b"thumb"), *requests(2, b"page"))
        self.assertEqual(self.trackers("worker"), [b"page0", b"page1"])
        self.open("other", mlm.ServiceOffer(b"svc", b"^thumb"), credit=1000)
        self.assertEqual(self.trackers("other"), [b"thumb0"])


class PriorityTests(BrokerTestCase):
    """Limits, and requests with priorities."""

    limits = limits("svc subject=^thumb rate=1/s burst=2", "other rate=10/s")

    def test_higher_first(self) -> None:
        """Of the requests that a limit holds back, those with the highest priority come first."""
        self.open_second("worker", OFFER, credit=1000)
        self.open_second("sender", *[urgent(b"thumb%d" % number, number) for number in range(5)])
        self.assertEqual(self.taken("worker"), [b"thumb0", b"thumb1"])
        for expected in (b"thumb4", b"thumb3", b"thumb2"):
            self.pass_time(1)
            self.assertEqual(self.taken("worker"), [expected])

    def test_lower_is_not_blocked(self) -> None:
        """Requests with a high priority that are held back do not block others with a lower one."""
        self.open_second("worker", OFFER, credit=1000)
        self.open_second("sender", *[urgent(b"thumb%d" % number, 9) for number in range(5)], urgent(b"page", 0))
        self.assertEqual(self.taken("worker"), [b"thumb0", b"thumb1", b"page"])

    def test_new_one_does_not_overtake(self) -> None:
        """A new request does not take the token that has just become due for one with a higher priority."""
        self.open_second("worker", mlm.ServiceOffer(b"other", b"a"), mlm.ServiceOffer(b"other", b"b"), credit=1000)
        self.open_second("sender", urgent(b"a1", 4, b"other"), urgent(b"a2", 9, b"other"))
        self.assertEqual(self.taken("worker"), [b"a1"])
        self.now += 0.12
        self.do("sender", urgent(b"b", 4, b"other"))
        self.assertEqual(self.taken("worker"), [])
        self.pass_time(0.05)
        self.assertEqual(self.taken("worker"), [b"a2"])
        self.pass_time(0.1)
        self.assertEqual(self.taken("worker"), [b"b"])

    def test_delayed(self) -> None:
        """A delayed request counts for the limit when it is due and delivered, not before."""
        self.open_second("worker", OFFER, credit=1000)
        self.broker.tick(self.now, self.now)
        self.open_second("sender", *[mlm.ServiceSend(b"svc", b"thumb", b"", 0, (), {"at": 1000}) for _ in range(4)])
        for _ in range(21):
            self.now += 0.05
            self.broker.tick(self.now, self.now)
            self.router.end_turn(self.broker)
        self.assertEqual(self.taken("worker").count(b"thumb"), 2)


class ShownTests(AdministrationCase):
    """What is shown of limits."""

    limits = limits("svc rate=2/s burst=2 running=4", "svc subject=^thumb running=1")

    def service(self) -> dict[str, Any]:
        """Return what is shown of the service."""
        (found,) = self.ask("services")["items"]
        return dict(found)

    def test_limits(self) -> None:
        """A service is shown with its limits, what they have let through, and whether they hold requests back."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(3, b"thumb"), *requests(1, b"page"))
        whole = {"subject": None, "rate": "2/s", "burst": 2, "running": 4, "used": 2, "holds": False}
        thumb = {"subject": "^thumb", "rate": None, "burst": None, "running": 1, "used": 1, "holds": True}
        self.assertEqual(self.service()["limits"], [whole, thumb])
        self.assertEqual(self.service()["held"], 2)
        self.do("sender", *requests(3, b"page"))
        self.assertTrue(self.service()["limits"][0]["holds"])
        self.assertEqual(self.service()["held"], 5)

    def test_none(self) -> None:
        """A service without limits is shown without any."""
        self.broker.configure(limits())
        self.open("worker", OFFER, credit=0)
        self.open("sender", *requests(3, b"thumb"))
        self.assertEqual((self.service()["limits"], self.service()["held"]), ([], 0))


class ChangeTests(BrokerTestCase):
    """Limits that change while the broker runs."""

    limits = limits()

    def configure(self, *texts: str) -> None:
        """Let other limits apply."""
        self.broker.configure(limits(*texts))

    def test_added_and_removed(self) -> None:
        """A new limit counts the requests that run already; without it, what was held back is delivered at once."""
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(2))
        self.take("worker")
        self.configure("svc running=3")
        self.do("sender", *requests(4, b"new"))
        self.assertEqual(self.trackers("worker"), [b"new0"])
        self.do("worker", confirm(b"job0"))
        self.assertEqual(self.trackers("worker"), [b"new1"])
        self.configure()
        self.assertEqual(self.trackers("worker"), [b"new2", b"new3"])

    def test_other_values(self) -> None:
        """Other values apply at once; a limit for the same requests does not begin anew."""
        self.configure("svc subject=a rate=1/s burst=2")
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(9, b"a"))
        self.assertEqual(len(self.taken("worker")), 2)
        self.configure("svc subject=a rate=100/s burst=2")
        self.assertEqual(self.taken("worker"), [])
        self.pass_time(0.05)
        self.assertEqual(len(self.taken("worker")), 5)

    def test_subject_added(self) -> None:
        """A new limit for a subject applies to what waits already, which stays in order."""
        self.open("worker", OFFER, credit=0)
        self.open("sender", *requests(3, b"a"), *requests(3, b"b"))
        self.configure("svc subject=a rate=1/s")
        self.do("worker", mlm.Credit(1000))
        self.assertEqual(self.trackers("worker"), [b"a0", b"b0", b"b1", b"b2"])
        self.configure("svc subject=b rate=1/s")
        self.assertEqual(self.trackers("worker"), [b"a1", b"a2"])

    def test_queue_returns(self) -> None:
        """A limit stays in force while nobody uses its service."""
        self.configure("svc rate=1/m burst=2")
        self.open("worker", OFFER, credit=1000)
        self.open("sender", *requests(1))
        self.take("worker")
        self.do("worker", confirm(b"job0"), CLOSE)
        self.assertNotIn((QueueKind.SERVICE, b"svc"), self.broker.queues.table)
        self.open("worker", OFFER, credit=1000)
        self.do("sender", *requests(3))
        self.assertEqual(len(self.taken("worker")), 1)


class ManyHeldTests(BrokerTestCase):
    """Many requests that are held back, most of them in the store only."""

    limits = limits("svc subject=^thumb rate=10/s")

    def make_store(self) -> IStore:
        """Return a store that spills to a temporary file, and small windows."""
        self.patch(lanes, "WINDOW_MESSAGES", 20)
        kind = SpillingKind()
        self.addCleanup(kind.clean_up)
        return kind.make()

    def test_in_front(self) -> None:
        """Requests behind many that are held back are delivered; what is held back is not read again and again."""
        self.open("worker", OFFER, credit=10_000)
        self.open("sender", *requests(3000, b"thumb"), *requests(3000, b"page"))
        pages = [b"page%d" % number for number in range(3000)]
        self.assertEqual(self.trackers("worker"), [b"thumb0", *pages])
        reads = 0
        read = Backlog._page

        def count(backlog: Backlog, after: int) -> Page[Message, int]:
            nonlocal reads
            reads += 1
            return read(backlog, after)

        self.patch(Backlog, "_page", count)
        self.pass_time(10)
        self.assertEqual(self.trackers("worker"), [b"thumb%d" % number for number in range(1, 101)])
        self.assertLess(reads, 20)
        self.assertEqual(self.held(), 2899)

    def held(self) -> int:
        """Return how many requests are held back."""
        return sum(part.held() for part in self.broker.queues.table[QueueKind.SERVICE, b"svc"].parts)

    def test_sorted_later(self) -> None:
        """The same holds if the requests were there before the worker."""
        self.open("sender", *requests(3000, b"thumb"), *requests(100, b"page"))
        self.open("worker", OFFER, credit=10_000)
        self.pass_time(0.3)
        pages = [b"page%d" % number for number in range(100)]
        self.assertEqual([each for each in self.trackers("worker") if each.startswith(b"page")], pages)
        self.pass_time(10)
        self.assertEqual(len(self.trackers("worker")), 100)


class RetriedTests(BrokerTestCase):
    """Requests that their worker gives back, to have them again later."""

    limits = limits("svc running=1")

    def test_delayed(self) -> None:
        """A request that waits to be tried again does not run, and counts again when it does."""
        self.open_second("worker", OFFER, credit=1000)
        self.open("sender", *requests(3))
        self.do("worker", mlm.Confirm(b"", 300, b"later", {"lease": 1, "delay": 1000}))
        self.assertEqual(self.trackers("worker"), [b"job0", b"job1"])
        self.pass_time(2)
        self.assertEqual(self.trackers("worker"), [])
        self.do("worker", mlm.Confirm(b"", 200, b"", {"lease": 2}))
        self.assertEqual(len(running := self.trackers("worker")), 1)
        self.do("worker", mlm.Confirm(b"", 200, b"", {"lease": 3}))
        self.assertEqual(sorted([*running, *self.trackers("worker")]), [b"job0", b"job2"])

"""The limit for the memory of all windows together."""

from __future__ import annotations

from collections.abc import Hashable

from alaska.broker import backlog, lanes, queues, served_backlog, subject_index
from alaska.broker.clients import Client
from alaska.broker.offers import Offers
from alaska.interfaces import IStore
from alaska.message import QueueKind
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase
from tests.store.kinds import SpillingKind

LARGE = (b"x" * 1000,)
MOST = 20_000
BOXES = 200


class WindowsTests(BrokerTestCase):
    """A broker with little memory for windows, and a store with a temporary file."""

    def make_store(self) -> IStore:
        """Return a store that spills to a temporary file."""
        self.patch(lanes, "TOTAL_WINDOW_OCTETS", MOST)
        kind = SpillingKind()
        self.addCleanup(kind.clean_up)
        return kind.make()

    def fill(self) -> None:
        """Send one large message to each of many mailboxes without owners."""
        self.open("sender")
        for number in range(BOXES):
            self.do("sender", mlm.MailboxSend(b"box%d" % number, b"%d" % number, b"", 0, LARGE))

    def test_many_mailboxes(self) -> None:
        """The memory for many mailboxes is limited, and what is only in the store is delivered all the same."""
        self.fill()
        self.assertLess(self.broker.queues.table.window_memory.octets, MOST + 2000)
        for number in range(BOXES):
            name = f"box{number}"
            self.open(name)
            self.pass_time(0.2)
            self.assertEqual(self.taken(name), [b"%d" % number])
            self.do(name, mlm.ConnectionClose())
        self.assertEqual(self.broker.queues.table.window_memory.octets, 0)

    def test_full_memory_does_not_block(self) -> None:
        """While memory is full of undeliverable mail, a worker gets its requests in order, and a new one at once."""
        self.fill()
        for number in range(300):
            self.do("sender", mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, LARGE))
        self.open("worker", OFFER, credit=300)
        self.pass_time(3, "worker")
        self.assertEqual(self.taken("worker"), [b"%d" % number for number in range(300)])
        self.assertLess(self.broker.queues.table.window_memory.octets, MOST + 2000)
        self.do("worker", mlm.Credit(1))
        self.do("sender", mlm.ServiceSend(b"svc", b"last", b"", 0, LARGE))
        self.assertEqual(self.taken("worker"), [b"last"])

    def test_many_lanes(self) -> None:
        """Requests of a service with many lanes stay in order when its workers change and memory is full."""
        self.open("first", *[mlm.ServiceOffer(b"svc", b"^%d$" % number) for number in range(50)], credit=0)
        self.fill()
        for number in range(50):
            for _ in range(3):
                self.do("sender", mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, LARGE))
        self.do("first", mlm.ConnectionClose())
        self.open("second", OFFER, credit=1000)
        self.pass_time(3, "second")
        self.assertEqual(self.taken("second"), [b"%d" % (number // 3) for number in range(150)])

    def test_unconfirmed_mail(self) -> None:
        """Unconfirmed mail of clients that have left does not stay in memory; the next clients get it in order."""
        self.open("sender")
        for number in range(10):
            self.open(f"box{number}", credit=10)
            mails = [mlm.MailboxSend(b"box%d" % number, b"%d" % each, b"", 0, LARGE) for each in range(10)]
            self.do("sender", *mails)
            self.assertEqual(len(self.taken(f"box{number}")), 10)
            self.do(f"box{number}", mlm.ConnectionClose())
        self.assertLess(self.broker.queues.table.window_memory.octets, MOST + 2000)
        for number in range(10):
            self.open(f"box{number}", credit=10)
            self.pass_time(0.5, "sender")
            self.assertEqual(self.taken(f"box{number}"), [b"%d" % each for each in range(10)])

    def test_lanes_without_ready_workers(self) -> None:
        """A ready worker makes the broker read requests that it may take, and none of the others."""
        self.patch(lanes, "NARROW_WINDOW_OCTETS", 1)
        self.open("worker", *[mlm.ServiceOffer(b"svc", b"^%d$" % number) for number in range(100)], credit=0)
        self.open("sender", *[mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, LARGE) for number in range(100)])
        self.open("other", mlm.ServiceOffer(b"svc", b"^none$"), credit=1)
        self.pass_time(2, "sender", "worker", "other")
        self.assertLess(self.broker.queues.table.window_memory.octets, MOST + 2000)

    def test_little_credit_for_many_lanes(self) -> None:
        """What was read for several lanes, and cannot be delivered for lack of credit, does not stay in memory."""
        self.patch(lanes, "MAX_REFILLED_OCTETS", MOST)
        self.patch(lanes, "NARROW_WINDOW_OCTETS", 4000)
        self.open("worker", *[mlm.ServiceOffer(b"svc", b"^%d$" % number) for number in range(100)], credit=0)
        subjects = [b"%d" % (number % 100) for number in range(300)]
        self.open("sender", *[mlm.ServiceSend(b"svc", each, b"", 0, LARGE) for each in subjects])
        for _ in range(100):
            self.do("worker", mlm.Credit(1))
            self.assertLess(self.broker.queues.table.window_memory.octets, MOST + 4000)
        self.do("worker", mlm.Credit(1000))
        self.pass_time(5, "sender", "worker")
        self.assertCountEqual(self.taken("worker"), subjects)

    def test_number_of_lanes(self) -> None:
        """Lanes have a limit; a request that needs another one waits behind earlier ones, and keeps its position."""
        self.patch(lanes, "FREE_LANES", 3)
        self.patch(lanes, "MAX_LANE_OCTETS", 5 * lanes.LANE_OCTETS)
        letters = b"abcdefgh"
        self.open("worker", *[mlm.ServiceOffer(b"svc", bytes([letter])) for letter in letters], credit=0)
        self.open("sender")
        subjects = [bytes(each for at, each in enumerate(letters) if number >> at & 1) for number in range(256)] * 2
        for subject in subjects:
            self.do("sender", mlm.ServiceSend(b"svc", subject, b"", 0, ()))
        (waiting,) = self.broker.queues.table.values()
        self.assertLess(len(waiting._lanes), 10)
        for _ in range(50):
            self.do("worker", mlm.Credit(20))
            self.pass_time(0.2, "sender")
        self.assertEqual(self.taken("worker"), [subject for subject in subjects if subject])
        self.assertEqual(self.broker.queues.table.window_memory.lane_octets, 0)


class PatternTests(BrokerTestCase):
    """Requests with different subjects wait in a service with many patterns."""

    PATTERNS = 20
    REQUESTS = 200

    def make_store(self) -> IStore:
        """Return a store that spills to a temporary file."""
        kind = SpillingKind()
        self.addCleanup(kind.clean_up)
        return kind.make()

    def matched(self, name: str, *commands: mlm.Command) -> int:
        """Let a peer send commands; return how many patterns are matched meanwhile."""
        consumers = self.broker.queues.table[QueueKind.SERVICE, b"svc"].consumers
        before = consumers.matched
        self.do(name, *commands)
        return consumers.matched - before

    def test_matches_per_command(self) -> None:
        """No command matches all waiting requests against all patterns; all are delivered in order."""
        self.patch(backlog, "MAX_MATCHES", 100)
        self.patch(subject_index, "MAX_CACHE_OCTETS", 0)
        self.patch(subject_index, "MAX_CACHED_SUBJECTS", 1)
        self.open("worker", *[mlm.ServiceOffer(b"svc", b"(%d)?" % each) for each in range(self.PATTERNS)], credit=0)
        self.open("sender")
        for number in range(self.REQUESTS):
            self.do("sender", mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, ()))
        most = 700
        offer = mlm.ServiceOffer(b"svc", b"^none$")
        self.open("other", credit=1)
        self.assertLess(self.matched("other", offer), most)
        self.assertLess(self.matched("other", mlm.ConnectionClose()), most)
        self.assertLess(self.matched("worker", mlm.Credit(self.REQUESTS // 2)), most)
        self.pass_time(2, "worker", "sender")
        self.open("other", OFFER, credit=0)
        self.assertLess(self.matched("worker", mlm.ConnectionClose()), most)
        first = self.taken("worker")
        self.assertEqual(first, [b"%d" % number for number in range(self.REQUESTS // 2)])
        self.assertLess(self.matched("other", mlm.Credit(self.REQUESTS)), most)
        self.pass_time(2, "other", "sender")
        self.assertEqual(self.taken("other"), [b"%d" % number for number in range(self.REQUESTS)])


class BurstTests(BrokerTestCase):
    """Many waiting messages, for a worker that becomes ready."""

    def test_many_lanes(self) -> None:
        """Between two ticks, the broker looks through many lanes only a few times; the next tick delivers the rest."""
        self.patch(served_backlog, "MANY_LANES", 10)
        self.patch(queues, "WORK_PER_TICK", 40)
        self.open("worker", *[mlm.ServiceOffer(b"svc", b"^%d$" % number) for number in range(100)], credit=0)
        self.open("sender", *[mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, ()) for number in range(100)])
        self.open("other", mlm.ServiceOffer(b"svc", b"^none$"), credit=1)
        self.pass_time(0.05, "sender")
        asked = 0
        next_of = Offers.next_of

        def count(offers: Offers, lane: Hashable, tracker: bytes) -> Client | None:
            nonlocal asked
            asked += 1
            return next_of(offers, lane, tracker)

        self.patch(Offers, "next_of", count)
        for _ in range(20):
            self.do("other", mlm.Credit(1))
        self.assertLessEqual(asked, 200)
        self.do("worker", mlm.Credit(1000))
        self.pass_time(2, "sender", "worker", "other")
        self.assertEqual(self.taken("worker"), [b"%d" % number for number in range(100)])

    def test_in_pieces(self) -> None:
        """The number of messages that one command delivers is limited; ticks deliver the others, in order."""
        self.patch(queues, "WORK_PER_TICK", 100)
        self.open("worker", *[mlm.ServiceOffer(b"svc", b"^%d$" % number) for number in range(20)], credit=0)
        self.open("sender")
        subjects = [b"%d" % (number % 20) for number in range(600)]
        for subject in subjects:
            self.do("sender", mlm.ServiceSend(b"svc", subject, b"", 0, ()))
        self.pass_time(0.1, "worker", "sender")
        self.do("worker", mlm.Credit(1000))
        first = self.taken("worker")
        self.assertLessEqual(len(first), 100)
        self.do("sender", mlm.ServiceSend(b"svc", b"0", b"", 0, ()))
        self.pass_time(1, "sender")
        self.assertEqual([*first, *self.taken("worker")], [*subjects, b"0"])

"""Brokers that share a store: each counts what waits, although others deliver it."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import Limits, QueueLimits
from alaska.mlm import commands as mlm
from tests.broker.test_broker_model import take_small_steps
from tests.broker.test_shared_store import Side, pass_time, settle
from tests.store.later import Shared

OFFER = mlm.ServiceOffer(b"jobs", b"")
LIMITS = Limits(queues=5, service=QueueLimits(100))


class CountTests(SynchronousTestCase):
    """Two brokers with low limits."""

    def setUp(self) -> None:
        self.shared = Shared()
        self.one = Side(self.shared, Random(1), LIMITS, short=0.0)
        self.two = Side(self.shared, Random(2), LIMITS, short=0.0)

    def statuses(self) -> list[int]:
        """Return the status codes that the client "asks" of the first broker was sent, and forget them."""
        return [each.status_code for each in self.one.sent.pop(b"asks", ()) if isinstance(each, mlm.Confirm)]

    def test_requests_for_workers_of_the_other(self) -> None:
        """A broker without workers accepts more requests than may wait, as workers of the other broker take them."""
        self.one.open(b"asks", credit=0)
        self.two.open(b"works", OFFER, credit=1000)
        for _ in range(5):
            for number in range(5):
                self.one.do(b"asks", mlm.ServiceSend(b"jobs", b"s", b"t%d" % number, 0, (b"x" * 10,)))
            pass_time(6, self.one, self.two)
            self.assertEqual(self.statuses(), [201] * 5)
            self.assertEqual(len(self.two.delivered(b"works")), 5)
            self.two.confirm_all(b"works", 200)
        pass_time(6, self.one, self.two)
        self.assertEqual([side.broker.queues._room.octets for side in (self.one, self.two)], [0, 0])

    def test_mail_of_the_other(self) -> None:
        """Mail between clients of one broker does not fill the other broker's table of queues."""
        self.one.open(b"asks", credit=0)
        for number in range(10):
            name = b"m%d" % number
            self.two.open(name, mlm.ConnectionPing())
            self.two.do(name, mlm.MailboxSend(name, b"s", b"", 0, (b"hello",)))
            settle(self.one, self.two)
            self.assertEqual(self.two.delivered(name), [b"hello"])
            self.two.do(name, mlm.ConnectionClose())
        self.two.open(b"asks", credit=0)
        for side in (self.one, self.two):
            side.do(b"asks", mlm.MailboxSend(b"late", b"s", b"t", 0, (b"x",)))
            settle(self.one, self.two)
        confirms = [each for each in self.two.sent[b"asks"] if isinstance(each, mlm.Confirm)]
        self.assertEqual((self.statuses(), [each.status_code for each in confirms]), ([201], [201]))

    def test_end_of_a_miscounted_queue(self) -> None:
        """A queue that ends before its count was corrected takes up no room."""
        take_small_steps(self.patch)
        self.one.open(b"asks", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"x" * 10,)))
        self.two.open(b"reads", credit=1)
        settle(self.one, self.two)
        self.two.confirm_all(b"reads", 200)
        self.two.do(b"reads", mlm.ConnectionClose())
        self.two.open(b"asks", *(mlm.MailboxSend(b"reads", b"s", b"", 0, (b"y",)) for _ in range(4)))
        settle(self.one, self.two)
        self.one.open(b"reads", credit=3)
        settle(self.one, self.two)
        self.one.confirm_all(b"reads", 200)
        self.one.do(b"reads", mlm.ConnectionClose())
        self.assertEqual(self.one.broker.queues._room.octets, 0)

    def test_limit_by_what_others_added(self) -> None:
        """What other brokers' clients have sent counts too: the limit holds when their requests wait."""
        self.one.open(b"asks", credit=0)
        self.two.open(b"asks", *(mlm.ServiceSend(b"jobs", b"s", b"", 0, (b"x" * 10,)) for _ in range(10)))
        self.one.do(b"asks", mlm.ServiceSend(b"jobs", b"s", b"t", 0, (b"x" * 10,)))
        pass_time(6, self.one, self.two)
        self.one.do(b"asks", mlm.ServiceSend(b"jobs", b"s", b"t", 0, (b"x" * 10,)))
        self.assertEqual(self.statuses(), [201, 301])

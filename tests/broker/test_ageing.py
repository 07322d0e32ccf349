"""Messages that have waited count as those with higher priorities."""

from __future__ import annotations

from alaska.broker import lanes
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase
from tests.store.kinds import SpillingKind


def sent(subject: bytes, priority: int) -> mlm.ServiceSend:
    """Return a request with a priority."""
    return mlm.ServiceSend(b"svc", subject, b"", 0, (), {"priority": priority})


class AgeingTests(BrokerTestCase):
    """A broker with ageing."""

    limits = Limits(client_timeout=1e9, ageing=60.0)

    def setUp(self) -> None:
        super().setUp()
        # A message that arrived at the time 0 would have no time of arrival.
        self.wait(1000)
        self.open_second("worker", OFFER)
        self.open_second("sender")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.broker.tick(self.now)

    def served(self, number: int) -> list[bytes]:
        """Let the worker take requests, one by one; return their subjects."""
        for _ in range(number):
            self.do("worker", mlm.Credit(1))
        return self.taken("worker")

    def test_young(self) -> None:
        """What has not waited long enough keeps its place."""
        self.do("sender", sent(b"low", 4))
        self.wait(59)
        self.do("sender", sent(b"high", 5))
        self.assertEqual(self.served(2), [b"high", b"low"])

    def test_aged(self) -> None:
        """What has waited that long comes before messages of the next higher priority, but not of a still higher."""
        self.do("sender", sent(b"low", 4))
        self.wait(60)
        self.do("sender", sent(b"high", 5), sent(b"highest", 6))
        self.assertEqual(self.served(3), [b"highest", b"low", b"high"])

    def test_up_to_nine(self) -> None:
        """What has waited long enough counts as the highest priority, however low its own is."""
        self.do("sender", sent(b"low", 0))
        self.wait(9 * 60)
        self.do("sender", *[sent(b"high", 9)] * 3)
        self.assertEqual(self.served(2), [b"low", b"high"])

    def test_order(self) -> None:
        """Only those that have waited long enough are lifted, in their order."""
        self.do("sender", sent(b"1", 4), sent(b"2", 4))
        self.wait(30)
        self.do("sender", sent(b"3", 4))
        self.wait(30)
        self.do("sender", sent(b"high", 5))
        self.assertEqual(self.served(4), [b"1", b"2", b"high", b"3"])

    def test_between_priorities(self) -> None:
        """Messages are compared by what they count as, also if no message has that priority."""
        self.do("sender", sent(b"one", 1))
        self.wait(7 * 60)
        self.do("sender", sent(b"zero", 0))
        self.wait(90)
        self.do("sender", sent(b"high", 9))
        self.assertEqual(self.served(3), [b"one", b"high", b"zero"])

    def test_off(self) -> None:
        """Without ageing, priorities are strict."""
        self.broker.configure(Limits(client_timeout=1e9))
        self.do("sender", sent(b"low", 0))
        self.wait(1e6)
        self.do("sender", sent(b"high", 1))
        self.assertEqual(self.served(2), [b"high", b"low"])


class StoredTests(AgeingTests):
    """The same, with most of the messages in the store only."""

    def make_store(self) -> IStore:
        """Return a store that spills to a temporary file, and small windows."""
        self.patch(lanes, "WINDOW_MESSAGES", 3)
        kind = SpillingKind()
        self.addCleanup(kind.clean_up)
        return kind.make()

    def test_many_higher(self) -> None:
        """Messages that have waited are delivered while there are always some with the highest priority."""
        self.do("sender", *[sent(b"low", 4)] * 20)
        self.wait(5 * 60)
        self.do("sender", *[sent(b"high", 9)] * 20)
        self.assertEqual(self.served(25), [b"low"] * 20 + [b"high"] * 5)

"""Limits for patterns."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.broker.limits import Limits
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OK, BrokerTestCase, request
from tests.network_case import LogCase

CANCEL = mlm.StreamCancel(b"s")


class PatternLimitTests(BrokerTestCase, LogCase):
    """Limits for patterns per client, of all clients, and per name."""

    limits = Limits(patterns_of_one=3, patterns=5, patterns_of_name=4)

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)

    def offer(self, name: str, *patterns: bytes) -> list[mlm.Command]:
        """Let a client offer with these patterns; return the replies."""
        return self.say(name, *(mlm.ServiceOffer(b"svc", pattern) for pattern in patterns))

    def test_of_one(self) -> None:
        """The limit per client includes offers and readers, without duplicates and cancelled streams."""
        self.open("a", credit=9)
        self.assertEqual(self.offer("a", b"1", b"2", b"2"), [OK] * 3)
        self.assertEqual(self.say("a", mlm.StreamRead(b"s", b"3"), mlm.StreamReplay(b"s", b"3", 0))[0], OK)
        (refused,) = self.offer("a", b"4")
        reason = b"this client has 3 of 3 patterns (every 16 octets of a pattern count as one more)"
        self.assertEqual(refused, mlm.Error(300, reason))
        self.do("a", CANCEL)
        self.take("a")
        self.assertEqual(self.offer("a", b"4"), [OK])

    def test_of_all(self) -> None:
        """The limit for all clients together does not count clients that have left."""
        for name in "ab":
            self.open(name, credit=9)
        self.offer("a", b"1", b"2", b"3")
        first, second, third = self.offer("b", b"1", b"2", b"4")
        self.assertEqual((first, second), (OK, OK))
        self.assertIsInstance(third, mlm.Error)
        self.do("a", mlm.ConnectionClose())
        self.assertEqual(self.offer("b", b"3"), [OK])

    def test_different(self) -> None:
        """The limit per stream or service counts different patterns of all clients."""
        for name in "ab":
            self.open(name, credit=9)
        self.offer("a", b"1", b"2", b"3")
        first, second = self.offer("b", b"4", b"5")
        self.assertEqual(first, OK)
        self.assertIsInstance(second, mlm.Error)
        self.assertEqual(self.say("b", mlm.StreamRead(b"s", b"5")), [OK])
        self.do("a", mlm.ConnectionClose())
        self.assertEqual(self.offer("b", b"5"), [OK])

    def test_long(self) -> None:
        """Every 16 octets of a pattern count as one more."""
        self.open("a", credit=9)
        self.assertEqual(self.offer("a", b"x" * 32), [OK])
        self.assertIsInstance(self.offer("a", b"y")[0], mlm.Error)

    def test_plain(self) -> None:
        """A plain client gets OK for a refused pattern, which has no effect; only some refusals are logged."""
        self.open("a")
        self.assertEqual(self.offer("a", b"1", b"2", b"3", *(b"x%d" % number for number in range(30))), [OK] * 33)
        self.open("p", request(b"x5"), request(b"2"))
        self.assertEqual(self.taken("a"), [b"2"])
        self.assertEqual(len([line for line in self.logged(LogLevel.warn) if "refused" in line]), 2)
        self.assertEqual(self.broker.counters.refused, 30)

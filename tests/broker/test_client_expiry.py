"""Clients that disconnect or send nothing for the client timeout."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, PING, PONG, BrokerTestCase, request


class ExpiryTests(BrokerTestCase):
    """Clients that fall silent."""

    def test_expires(self) -> None:
        """A client that is silent for the timeout is gone, and not a moment before."""
        self.open("a")
        self.pass_time(5.0)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(0.1)
        self.assertEqual(len(self.broker.clients), 0)
        self.assertEqual(self.take("a"), [])

    def test_any_command_is_a_sign_of_life(self) -> None:
        """A client that sends anything does not expire."""
        self.open("a")
        self.pass_time(4)
        self.do("a", request())
        self.pass_time(4)
        self.assertEqual(self.say("a", PING), [PONG])

    def test_anonymous_clients_expire(self) -> None:
        """Clients with the empty address expire like any other, each once."""
        for name in "abc":
            self.do(name, mlm.ConnectionOpen(b""))
        self.pass_time(6)
        self.assertEqual(self.broker.counters.expired_clients, 3)

    def test_requests_of_a_dead_worker(self) -> None:
        """What a killed credit client had taken goes to the live one, in order and before what came later."""
        self.open("dead", OFFER, credit=2)
        self.open("p", request(b"1"), request(b"2"), request(b"3"))
        self.assertEqual(self.taken("dead"), [b"1", b"2"])
        self.pass_time(4, "p")
        self.open("live", OFFER, credit=1)
        self.assertEqual(self.taken("live"), [b"3"])
        self.pass_time(2, "p", "live")
        self.do("live", mlm.Credit(5))
        self.assertEqual(self.taken("live"), [b"1", b"2"])

    def test_connection_that_is_gone(self) -> None:
        """A worker whose connection is gone costs nothing, plain or not: what was meant for it goes to another."""
        for credit in (None, 5):
            self.setUp()
            self.open("dead", OFFER, credit=credit)
            self.open("p", request(b"1"))
            self.open("live", OFFER, credit=5)
            self.gone.add(b"dead")
            self.do("p", request(b"2"), request(b"3"), request(b"4"))
            self.pass_time(2, "p", "live")
            lost = [b"1"] if credit is None else []
            self.assertEqual(sorted(lost + self.taken("live")), [b"1", b"2", b"3", b"4"])
            self.assertEqual(len(self.broker.clients), 2)

    def test_stopped_broker_blames_nobody(self) -> None:
        """A broker that was itself stopped for a minute gives every client its full timeout again."""
        self.open("a")
        self.now += 60
        self.broker.tick(self.now)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(4.9)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(0.3)
        self.assertEqual(len(self.broker.clients), 0)

    def test_clock_set_back(self) -> None:
        """A clock that is set back neither expires anybody nor keeps the dead for ever."""
        self.now = 1000.0
        self.broker.tick(self.now)
        self.open("a")
        self.now = 10.0
        self.broker.tick(self.now)
        self.pass_time(5.2)
        self.assertEqual(len(self.broker.clients), 0)

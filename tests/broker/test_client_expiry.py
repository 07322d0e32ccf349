"""Clients that disconnect, or send nothing for the client timeout."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, PING, PONG, BrokerTestCase, request


class ExpiryTests(BrokerTestCase):
    """Expiry of clients."""

    def test_expires(self) -> None:
        """A client expires when it has sent nothing for the client timeout, not earlier."""
        self.open("a")
        self.pass_time(5.0)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(0.1)
        self.assertEqual(len(self.broker.clients), 0)
        self.assertEqual(self.take("a"), [])

    def test_any_command_is_a_sign_of_life(self) -> None:
        """Any command prevents expiry."""
        self.open("a")
        self.pass_time(4)
        self.do("a", request())
        self.pass_time(4)
        self.assertEqual(self.say("a", PING), [PONG])

    def test_anonymous_clients_expire(self) -> None:
        """Each of several clients without address expires."""
        for name in "abc":
            self.do(name, mlm.ConnectionOpen(b""))
        self.pass_time(6)
        self.assertEqual(self.broker.counters.ended, {"expired": 3})

    def test_requests_of_a_dead_worker(self) -> None:
        """The unconfirmed requests of an expired worker go to another, in order and before later ones."""
        self.open("dead", OFFER, credit=2)
        self.open("p", request(b"1"), request(b"2"), request(b"3"))
        self.assertEqual(self.taken("dead"), [b"1", b"2"])
        self.pass_time(4, "p")
        self.open("live", OFFER, credit=1)
        self.assertEqual(self.taken("live"), [b"3"])
        self.pass_time(2, "p", "live")
        self.do("live", mlm.Credit(5))
        self.assertEqual(self.taken("live"), [b"1", b"2"])

    def test_disconnected_worker(self) -> None:
        """Requests that cannot be sent to a disconnected worker, plain or not, go to another worker."""
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

    def test_stopped_broker(self) -> None:
        """After the broker's own process was stopped, each client has its full timeout again."""
        self.open("a")
        self.now += 60
        self.broker.tick(self.now)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(4.9)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(0.3)
        self.assertEqual(len(self.broker.clients), 0)

    def test_clock_set_back(self) -> None:
        """After the clock was set back, no client expires early, and a dead client still expires."""
        self.now = 1000.0
        self.broker.tick(self.now)
        self.open("a")
        self.now = 10.0
        self.broker.tick(self.now)
        self.pass_time(5.2)
        self.assertEqual(len(self.broker.clients), 0)

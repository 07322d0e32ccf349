"""Service offers, and the distribution of requests to workers."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, DELIVERIES, OFFER, OK, PING, PONG, BrokerTestCase, mail, request


class ServiceTests(BrokerTestCase):
    """Service offers."""

    def test_turns(self) -> None:
        """Requests are distributed round-robin, in the order of the offers."""
        for name in "abc":
            self.open(name, OFFER)
        self.open("p", *(request(b"%d" % number) for number in range(6)))
        self.assertEqual([self.taken(name) for name in "abc"], [[b"0", b"3"], [b"1", b"4"], [b"2", b"5"]])

    def test_turns_across_patterns(self) -> None:
        """Round-robin includes offers with different patterns that match."""
        self.open("a", mlm.ServiceOffer(b"svc", b"j"))
        self.open("b", mlm.ServiceOffer(b"svc", b"o"))
        self.open("p", *(request() for _ in range(4)))
        self.assertEqual([len(self.taken(name)) for name in "ab"], [2, 2])

    def test_no_match_does_not_block(self) -> None:
        """A request without a matching offer waits until there is one, and does not block later requests."""
        self.open("a", mlm.ServiceOffer(b"svc", b"^x"))
        self.open("p", request(b"y"), request(b"x1"), request(b"x2"))
        self.assertEqual(self.taken("a"), [b"x1", b"x2"])
        self.open("b", mlm.ServiceOffer(b"svc", b"y"))
        self.assertEqual(self.taken("b"), [b"y"])

    def test_queue_waits_for_the_first_offer(self) -> None:
        """Waiting requests are delivered in order to the first worker that offers, after its OK."""
        self.open("p", *(request(b"%d" % number) for number in range(3)))
        self.open("a")
        answer, *deliveries = self.say("a", OFFER)
        self.assertEqual(answer, OK)
        self.assertEqual([each.subject for each in deliveries if isinstance(each, DELIVERIES)], [b"0", b"1", b"2"])

    def test_worker_that_left(self) -> None:
        """A worker that has closed gets no request, and takes no turn."""
        self.open("gone", OFFER, CLOSE)
        self.open("a", OFFER)
        self.open("p", request(b"1"), request(b"2"))
        self.assertEqual(self.taken("a"), [b"1", b"2"])

    def test_to_itself(self) -> None:
        """A client can send a request to a service that it offers itself."""
        self.open("a", OFFER)
        delivery = mlm.ServiceDeliver(b"a", b"svc", b"job", b"t", (b"x",))
        self.assertEqual(self.say("a", request(tracker=b"t")), [delivery])

    def test_tracker_of_a_request_that_waited(self) -> None:
        """A request that had to wait is delivered with its own tracker, whatever was sent meanwhile."""
        self.open("p", request(tracker=b"first"), mail(tracker=b"other"), request(tracker=b"second"))
        self.open("a", OFFER)
        self.assertEqual(self.trackers("a"), [b"first", b"second"])

    def test_bad_pattern(self) -> None:
        """An invalid pattern is counted and has no effect; a plain client gets OK, a credit client ERROR 300."""
        self.open("a")
        self.assertEqual(self.say("a", mlm.ServiceOffer(b"svc", b"(")), [OK])
        self.open("p", request())
        self.assertEqual(self.taken("a"), [])
        self.assertEqual(self.broker.counters.refused, 1)
        self.open("c", credit=1)
        (error,) = self.say("c", mlm.ServiceOffer(b"svc", b"("))
        assert isinstance(error, mlm.Error)
        self.assertEqual(error.status_code, 300)
        self.assertEqual(self.say("c", PING), [PONG])

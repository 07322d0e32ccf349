"""A broker that drains: it accepts only requests of scripts that run."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request

OTHER = mlm.ServiceSend(b"other", b"job", b"", 0, (b"x",))


class DrainingTests(BrokerTestCase):
    """Requests from producers, workers, and the connections of their scripts."""

    def setUp(self) -> None:
        super().setUp()
        self.open("worker", OFFER, credit=10)
        self.open("other", mlm.ServiceOffer(b"other", b""), credit=10)
        self.say("script", mlm.ConnectionOpen(b"LU::x", {"can": b"properties", "for": b"worker"}), mlm.Credit(0))
        self.open("producer", credit=10)

    def drain(self) -> None:
        """Let the broker drain."""
        self.broker.queues.is_draining = True

    def reaches(self, name: str, command: mlm.Command) -> bool:
        """Return whether what a client sends reaches the other service."""
        self.take("other")
        self.do(name, command)
        return bool(self.take("other"))

    def test_producer(self) -> None:
        """A producer is refused and told so; its mail is accepted."""
        self.drain()
        (answer,) = self.say("producer", request(tracker=b"t"))
        self.assertEqual((answer.tracker, answer.status_code), (b"t", 301))  # type: ignore[union-attr]
        self.assertFalse(self.take("worker"))
        self.do("producer", mail(to=b"other"))
        self.assertTrue(self.take("other"))

    def test_running_script(self) -> None:
        """What a running script sends is accepted, on each connection of its worker, until its request is confirmed."""
        self.do("producer", request(tracker=b"t"))
        self.take("worker")
        self.drain()
        self.assertTrue(self.reaches("script", OTHER))
        self.assertTrue(self.reaches("worker", OTHER))
        self.assertFalse(self.reaches("producer", OTHER))
        self.do("worker", confirm(b"t"))
        self.assertFalse(self.reaches("script", OTHER))
        self.assertFalse(self.reaches("worker", OTHER))

    def test_mail_is_no_request(self) -> None:
        """Mail that a client has not confirmed does not let it send requests."""
        self.do("script", mail(to=b"producer", tracker=b"m"))
        self.assertTrue(self.take("producer"))
        self.drain()
        self.assertFalse(self.reaches("producer", OTHER))

    def test_unknown_worker(self) -> None:
        """A connection for a worker that is not there, or of another kind, is as any other."""
        self.say("liar", mlm.ConnectionOpen(b"liar", {"can": b"properties", "for": b"nobody"}))
        self.say("long", mlm.ConnectionOpen(b"long", {"can": b"properties", "for": b"x" * 1000}))
        self.drain()
        self.assertFalse(self.reaches("liar", OTHER))
        self.assertFalse(self.reaches("long", OTHER))

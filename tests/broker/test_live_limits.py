"""Limits that are changed while the broker runs."""

from __future__ import annotations

from dataclasses import replace

from alaska.broker.limits import DeadLetterLimits, Limits, QueueLimits
from alaska.errors import TOO_LARGE
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request


class LiveLimitTests(BrokerTestCase):
    """Each limit, before and after a change."""

    limits = Limits(client_timeout=100.0)

    def configure(self, **changes: object) -> None:
        """Change some of the limits."""
        self.broker.configure(replace(self.limits, **changes))  # type: ignore[arg-type]

    def statuses(self, *commands: mlm.Command) -> list[int]:
        """Return the statuses of the confirmations that a sender gets for commands."""
        answers = self.say("p", *commands)
        return [answer.status_code for answer in answers if isinstance(answer, mlm.Confirm)]

    def test_queues(self) -> None:
        """A new limit of queues applies to messages that arrive later; those that wait stay."""
        self.open("p", request(content=b"x" * 100), credit=0)
        self.configure(service=QueueLimits(100), mailbox=QueueLimits(10))
        self.assertEqual(self.statuses(request(tracker=b"1"), mail(tracker=b"2", to=b"nobody")), [TOO_LARGE, 201])
        self.configure()
        self.assertEqual(self.statuses(request(tracker=b"3")), [201])
        self.open("a", OFFER)
        self.assertEqual(len(self.taken("a")), 2)

    def test_content(self) -> None:
        """A new limit of content applies at once."""
        self.open("p", credit=0)
        self.configure(content_octets=5)
        self.assertEqual(self.statuses(request(tracker=b"1", content=b"123456")), [TOO_LARGE])

    def test_clients(self) -> None:
        """A new limit of clients refuses new ones, and keeps those that are connected."""
        self.open("p")
        self.configure(clients=1)
        (answer,) = self.say("other", mlm.ConnectionOpen(b"other"))
        self.assertIsInstance(answer, mlm.Error)
        self.assertEqual(len(self.broker.clients), 1)

    def test_client_timeout(self) -> None:
        """A new client timeout applies to connected clients."""
        self.open("p")
        self.configure(client_timeout=1.0)
        self.pass_time(2)
        self.assertEqual(len(self.broker.clients), 0)

    def test_patterns(self) -> None:
        """A new limit of patterns applies to further ones."""
        self.open("p", mlm.StreamRead(b"s", b"a"), credit=0)
        self.configure(patterns_of_one=1)
        (answer,) = self.say("p", mlm.StreamRead(b"s", b"b"))
        self.assertIsInstance(answer, mlm.Error)

    def test_dead_letters(self) -> None:
        """A new limit of dead letters applies with the next one."""
        self.open("a", OFFER, credit=2)
        self.open("p", request(tracker=b"1"), request(tracker=b"2"))
        self.configure(dead_letters=DeadLetterLimits(most=1))
        self.do("a", confirm(b"1", 404), confirm(b"2", 404))
        self.assertEqual(len(list(self.broker.queues.dead_letters.summaries(0, 10))), 1)

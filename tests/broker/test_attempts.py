"""Attempts, and messages that their receivers put off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alaska.broker.attempts import return_of
from alaska.broker.limits import Limits
from alaska.mlm import commands as mlm
from alaska.mlm.commands import Properties
from alaska.system.retry_plan import MOST_MILLISECONDS
from tests.broker.broker_case import OFFER, BrokerTestCase, request
from tests.broker.test_durability import DurableTestCase

VALUES = st.binary(max_size=20) | st.integers(0, 2**64 - 1) | st.text(max_size=20)


def with_terms(subject: bytes = b"job", tracker: bytes = b"", **properties: int | str) -> mlm.ServiceSend:
    """Return a request with these properties."""
    return mlm.ServiceSend(b"svc", subject, tracker, 0, (b"x",), dict(properties))


class AttemptsCase(BrokerTestCase):
    """A broker that gives up a request after three lost workers in a row."""

    limits = Limits(client_timeout=60.0, attempts=3)

    def seen(self, name: str) -> list[tuple[int, int]]:
        """Return the attempt, and how often it was put off, of each request in an inbox; it stays there."""
        found = [each for each in self.inboxes.get(name.encode(), []) if isinstance(each, mlm.ServiceDeliver)]
        return [(number(each, "attempt"), number(each, "snoozes")) for each in found]

    def put_off(self, name: str, delay: int, spent: int, status: int = 300) -> None:
        """Let a worker put off the requests in its inbox, and be ready for as many."""
        for each in self.take(name):
            if isinstance(each, mlm.ServiceDeliver):
                properties: Properties = {"lease": number(each, "lease"), "delay": delay, "spent": spent}
                self.do(name, mlm.Confirm(b"", status, b"why", properties), mlm.Credit(1))

    def lose(self, name: str) -> None:
        """Let a worker be lost, and be there again, with credit for one request."""
        self.do(name, mlm.ConnectionClose())
        self.take(name)
        self.open_second(name, OFFER, credit=1)

    def letters(self) -> list[tuple[int, bytes]]:
        """Return the statuses and reasons of the dead letters."""
        return [(letter.status, letter.reason) for letter in self.broker.queues.dead_letters.summaries(0, 10)]


def number(command: mlm.ServiceDeliver, name: str) -> int:
    """Return a property of a delivery, 0 if it is not there."""
    value = command.properties.get(name, 0)
    return int(value)


class PutOffTests(AttemptsCase):
    """Requests that a worker puts off."""

    def setUp(self) -> None:
        super().setUp()
        self.open_second("w", OFFER, credit=1)

    def test_delay(self) -> None:
        """A request that is put off is delivered when it is due, not before."""
        self.open("p", request())
        self.put_off("w", 1000, 1)
        self.pass_time(0.9)
        self.assertEqual(self.seen("w"), [])
        self.pass_time(0.2)
        self.assertEqual(self.seen("w"), [(2, 0)])

    def test_others_come_first(self) -> None:
        """Requests behind one that is put off are delivered meanwhile."""
        self.open("p", request(b"1"), request(b"2"))
        self.put_off("w", 1000, 1)
        self.assertEqual(self.taken("w"), [b"2"])

    def test_no_attempt(self) -> None:
        """A request that is put off without spending an attempt comes as the same attempt, and that is counted."""
        self.open("p", request())
        for snoozes in range(5):
            self.assertEqual(self.seen("w"), [(1, snoozes)])
            self.put_off("w", 100, 0)
            self.pass_time(0.2)
        self.assertEqual(self.letters(), [])

    def test_more_often_than_workers_may_be_lost(self) -> None:
        """Attempts that workers have spent do not count for the limit of workers that are lost in a row."""
        self.open("p", request())
        for attempt in range(1, 10):
            self.assertEqual(self.seen("w"), [(attempt, 0)])
            self.put_off("w", 100, 1)
            self.pass_time(0.2)
        for attempt in (10, 11, 12):
            self.assertEqual(self.seen("w"), [(attempt, 0)])
            self.lose("w")
        self.assertEqual(self.letters(), [(502, b"delivered 3 times without confirmation")])

    def test_sender_is_told_nothing(self) -> None:
        """The sender gets no status while its request waits, and the final one in the end."""
        self.open("p", credit=0)
        self.do("p", request(tracker=b"t"))
        self.put_off("w", 100, 1)
        self.pass_time(0.2)
        self.put_off("w", 0, 0, 406)
        statuses = [each.status_code for each in self.take("p") if isinstance(each, mlm.Confirm)]
        self.assertEqual(statuses, [201, 406])

    def test_timeout(self) -> None:
        """A request that was delivered in time does not expire when it is put off."""
        self.open("p", request(timeout=100))
        self.put_off("w", 500, 1)
        self.pass_time(0.6)
        self.assertEqual(self.taken("w"), [b"job"])

    def test_without_delay(self) -> None:
        """A request that is returned without a delay is delivered again at once."""
        self.open("p", request())
        (delivery,) = self.take("w")
        assert isinstance(delivery, mlm.ServiceDeliver)
        self.do("w", mlm.Confirm(b"", 300, b"", {"lease": number(delivery, "lease")}), mlm.Credit(1))
        self.assertEqual(self.seen("w"), [(1, 0)])

    def test_spent_without_delay(self) -> None:
        """An attempt that a worker has spent does not count for the workers that are lost, without a delay either."""
        self.open("p", request())
        for attempt in range(1, 6):
            self.assertEqual(self.seen("w"), [(attempt, 0)])
            (delivery,) = self.take("w")
            assert isinstance(delivery, mlm.ServiceDeliver)
            self.do("w", mlm.Confirm(b"", 300, b"", {"lease": number(delivery, "lease"), "spent": 1}), mlm.Credit(1))
        self.assertEqual(self.letters(), [])

    def test_peers_without_properties(self) -> None:
        """Workers of version 1.0 cannot put off requests: they return them."""
        self.open("old", OFFER, credit=1)
        self.do("w", mlm.ConnectionClose())
        self.open("p", request(tracker=b"t"))
        self.assertEqual(self.taken("old"), [b"job"])
        self.do("old", mlm.Confirm(b"t", 300, b""), mlm.Credit(1))
        self.assertEqual(self.taken("old"), [b"job"])

    def test_size(self) -> None:
        """A request that is put off counts for the sizes of its queue, until it has ended."""
        self.open("p", request(content=b"x" * 100))
        self.put_off("w", 100, 1)
        self.assertEqual(self.broker.queues.octets, 100)
        self.pass_time(0.2)
        self.assertEqual(self.broker.queues.octets, 0)

    def test_measured(self) -> None:
        """What is put off is counted by service."""
        self.open("p", request(), request())
        self.put_off("w", 100, 1)
        self.put_off("w", 100, 0)
        measures = self.broker.queues.measures.services[b"svc"]
        self.assertEqual((measures.retried, measures.snoozed, measures.redelivered), (1, 1, 0))

    @given(st.dictionaries(st.sampled_from(["delay", "spent", "lease"]), VALUES))
    def test_any_properties(self, properties: Properties) -> None:
        """Whatever a confirmation says, the delay is limited."""
        delay = return_of(properties).delay
        self.assertTrue(delay is None or 0 < delay <= MOST_MILLISECONDS / 1000)


class LimitTests(AttemptsCase):
    """Requests whose senders limit their attempts."""

    def setUp(self) -> None:
        super().setUp()
        self.open_second("w", OFFER, credit=1)
        self.open_second("p", credit=0)

    def statuses(self) -> list[int]:
        """Return the statuses that the sender has got."""
        return [each.status_code for each in self.take("p") if isinstance(each, mlm.Confirm)]

    def test_put_off(self) -> None:
        """A request that a worker puts off after the last attempt becomes a dead letter with the worker's reason."""
        self.do("p", with_terms(tracker=b"t", attempts=2))
        self.put_off("w", 100, 1)
        self.pass_time(0.2)
        self.assertEqual(self.seen("w"), [(2, 0)])
        self.put_off("w", 100, 1)
        self.assertEqual((self.letters(), self.statuses()), ([(502, b"why")], [201, 502]))

    def test_lost(self) -> None:
        """Lost workers count as attempts."""
        self.do("p", with_terms(attempts=2))
        self.lose("w")
        self.assertEqual(self.seen("w"), [(2, 0)])
        self.lose("w")
        self.assertEqual((self.taken("w"), self.letters()), ([], [(502, b"delivered 2 times without confirmation")]))

    def test_no_more_than_the_broker_allows(self) -> None:
        """A sender cannot allow more lost workers in a row than the broker."""
        self.do("p", with_terms(attempts=1000))
        for _ in range(3):
            self.lose("w")
        self.assertEqual(len(self.letters()), 1)

    def test_not_valid(self) -> None:
        """A request with a plan that is not valid is refused with a reason."""
        for name, value, reason in (
            ("attempts", 0, b"property attempts is not a number from 1 to 1001"),
            ("attempts", "many", b"property attempts is not a number from 0 to 1001"),
            ("attempts", 1002, b"property attempts is not a number from 0 to 1001"),
            ("backoff", "1s 5m", b"property backoff is not valid: a backoff is two numbers of milliseconds"),
            ("backoff", "5 1", b"property backoff is not valid: the first wait must be"),
        ):
            self.do("p", with_terms(b"job", b"t", **{name: value}))
            (told,) = (each for each in self.take("p") if isinstance(each, mlm.Confirm))
            self.assertTrue(told.status_reason.startswith(reason), told)
            self.assertGreaterEqual(told.status_code, 300)
        self.assertEqual(self.taken("w"), [])


class RestartTests(DurableTestCase, AttemptsCase):
    """A broker with a store in a file."""

    limits = AttemptsCase.limits

    def write(self) -> None:
        """Write all pending changes, and send what waits for that."""
        super().write()
        self.router.end_turn(self.broker)

    def test_survives(self) -> None:
        """A request that is put off survives the broker, with its attempts, and is not delivered early."""
        self.open_second("w", OFFER, credit=1)
        self.open("p", request())
        for spent in (1, 0, 0):
            self.write()
            self.put_off("w", 100, spent)
            self.pass_time(0.2)
        self.put_off("w", 2000, 1)
        self.write()
        self.crash()
        self.open_second("w", OFFER, credit=1)
        self.pass_time(1.9)
        self.assertEqual(self.seen("w"), [])
        self.pass_time(0.2)
        self.write()
        self.assertEqual(self.seen("w"), [(3, 2)])

    def test_lost_workers(self) -> None:
        """The workers that are lost in a row are counted over restarts, without those that have put the request off."""
        self.open_second("w", OFFER, credit=1)
        self.open("p", request())
        for _ in range(5):
            self.put_off("w", 100, 1)
            self.pass_time(0.2)
            self.write()
        for _ in range(2):
            self.crash()
            self.open_second("w", OFFER, credit=1)
            self.write()
            self.assertEqual(len(self.taken("w")), 1)
        self.crash()
        self.open_second("w", OFFER, credit=1)
        self.write()
        self.assertEqual((self.taken("w"), self.letters()), ([], [(502, b"delivered 3 times without confirmation")]))

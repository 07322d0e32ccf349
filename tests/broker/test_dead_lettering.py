"""How messages become dead letters, services for dead letters, and dead letters that are sent again."""

from __future__ import annotations

from typing import Any

from alaska.broker.dead_lettering import MOST_DEATH_REASON_OCTETS, Edit
from alaska.broker.limits import DeadLetterLimits, Limits, QueueLimits
from alaska.message import MOST_REASON_OCTETS, Cause, DeadLetter, LastWorker, QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.properties import headers_of, leaves_room
from tests.broker.broker_case import OFFER, BrokerTestCase, request
from tests.broker.test_durability import DurableTestCase

FAILED = mlm.ServiceOffer(b"svc-failed", b"")
ABOUT: mlm.Properties = {"can": b"batch properties", "host": b"box", "pid": 7}


class DeathCase(BrokerTestCase):
    """A broker with a worker that announces where it runs."""

    limits = Limits(client_timeout=1e9, attempts=2)

    def setUp(self) -> None:
        super().setUp()
        self.broker.tick(self.now, 1000.0)
        self.open_worker()
        self.open_second("p", credit=100)

    def open_worker(self, name: str = "w") -> None:
        """Open a worker with credit."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(name.encode(), ABOUT), mlm.Credit(100), OFFER)
        self.take(name)

    def refuse(self, status: int = 502, reason: bytes = b"oh no", **properties: Any) -> None:
        """Let the worker refuse what it has got."""
        for delivery in self.take("w"):
            assert isinstance(delivery, mlm.ServiceDeliver)
            lease = {"lease": delivery.properties["lease"]}
            self.do("w", mlm.Confirm(delivery.tracker, status, reason, {**lease, **properties}))

    def letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        return self.broker.queues.dead_letters.summaries(0, 100)

    def delivery(self, name: str) -> mlm.ServiceDeliver:
        """Return the only request that a client has got."""
        (delivery,) = (each for each in self.take(name) if isinstance(each, mlm.ServiceDeliver))
        return delivery


class DeathTests(DeathCase):
    """What is known of a dead letter."""

    def test_worker(self) -> None:
        """A dead letter has its cause, when it arrived and died, and who had it last: address, host and process."""
        self.do("p", request(b"bad", tracker=b"t"))
        self.now += 10.0
        self.broker.tick(self.now, 1010.0)
        self.refuse()
        (letter,) = self.letters()
        self.assertEqual((letter.cause, letter.status, letter.message.attempts), (Cause.FAILED, 502, 1))
        self.assertEqual((letter.time, letter.message.since), (1010.0, 1_000_000))
        self.assertEqual(letter.worker, LastWorker(b"w", b"box", 7))

    def test_not_found(self) -> None:
        """A request without a script has a cause of its own."""
        self.do("p", request())
        self.refuse(404)
        self.assertEqual([each.cause for each in self.letters()], [Cause.NOT_FOUND])

    def test_used_up(self) -> None:
        """A request that has failed in the last of several attempts has the cause `attempts`, and the error as reason.

        The worker says so by the property `spent`; a rejected one, and one without a script, keep their causes.
        """
        for status, expected in ((502, Cause.ATTEMPTS), (406, Cause.REJECTED), (404, Cause.NOT_FOUND)):
            self.do("p", request())
            self.refuse(status, spent=1)
            letter = self.letters()[-1]
            self.assertEqual((letter.cause, letter.reason, letter.status), (expected, b"oh no", status))

    def test_last_return(self) -> None:
        """So has one that is returned after as many attempts as its sender allows."""
        self.do("p", mlm.ServiceSend(b"svc", b"job", b"", 0, (b"x",), {"attempts": 1}))
        self.refuse(300, delay=1000, spent=1)
        letter = self.letters()[-1]
        self.assertEqual((letter.cause, letter.reason), (Cause.ATTEMPTS, b"oh no"))

    def test_whole_reason(self) -> None:
        """A dead letter has the whole error of the worker, up to a limit; its sender gets all of it."""
        self.do("p", request(tracker=b"t"))
        self.take("p")
        self.refuse(502, b"short", error=b"x" * 10_000)
        (letter,) = self.letters()
        self.assertEqual(letter.reason, b"x" * MOST_REASON_OCTETS)
        (told,) = self.take("p")
        self.assertEqual(told, mlm.Confirm(b"t", 502, b"short", {"error": b"x" * 10_000}))

    def test_attempts(self) -> None:
        """A request whose workers are lost has the last one of them."""
        self.do("p", request())
        for name in ("w", "v"):
            self.broker.received(name.encode(), [b""], self.now)
            self.open_worker("v")
        (letter,) = self.letters()
        self.assertEqual((letter.cause, letter.message.attempts), (Cause.ATTEMPTS, 2))
        self.assertEqual(letter.worker, LastWorker(b"v", b"box", 7))

    def test_hostile_announcement(self) -> None:
        """What a client announces of itself is limited."""
        about = {"can": b"batch properties", "host": b"h" * 1000, "pid": b"99999999999999999999"}
        self.router.second_edition.add(b"evil")
        self.do("evil", mlm.ConnectionOpen(b"evil", about))
        client = self.broker.clients.by_address(b"evil")
        assert client is not None
        self.assertEqual((len(client.host), client.pid), (255, 0))


class ReasonSizeTests(DeathCase):
    """Reasons take memory."""

    limits = Limits(client_timeout=1e9, dead_letters=DeadLetterLimits(most_octets=3 * MOST_REASON_OCTETS + 100))

    def test_counted(self) -> None:
        """A long reason counts to the size of the dead letters."""
        for _ in range(5):
            self.do("p", request())
            self.refuse(502, b"short", error=b"x" * MOST_REASON_OCTETS)
        self.assertEqual(len(self.letters()), 3)


class ServiceTests(DeathCase):
    """A service for the dead letters of another one."""

    limits = Limits(
        client_timeout=1e9, attempts=2, dead_letter_services={b"svc": b"svc-failed", b"svc-failed": b"third"}
    )

    def test_request(self) -> None:
        """A request that dies is a request for the other service, with why it died, and is no dead letter."""
        self.do("p", mlm.ServiceSend(b"svc", b"bad", b"t", 0, (b"one", b"two"), {"h-a": b"1", "at": 1, "id": b"x"}))
        self.refuse(502, b"oh no")
        self.assertEqual(self.letters(), [])
        self.open_second("f", FAILED, credit=1)
        got = self.delivery("f")
        self.assertEqual((got.sender, got.subject, got.content), (b"p", b"bad", (b"one", b"two")))
        headers = dict(headers_of(got.properties))
        self.assertEqual(
            headers,
            {
                b"a": b"1", b"death-reason": b"oh no", b"death-service": b"svc", b"death-cause": b"failed",
                b"death-attempts": b"1", b"death-status": b"502", b"death-time": b"1000000",
                b"death-arrived": b"1000000", b"death-worker": b"w",
            },
        )  # fmt: skip
        self.assertEqual({*got.properties} & {"at", "id"}, set())
        self.assertEqual(self.broker.counters.dead_letters_passed_on, 1)

    def test_sender_is_told(self) -> None:
        """The sender is told that its request has failed, and nothing of the request that is made of it."""
        self.do("p", request(tracker=b"t"))
        self.refuse(502, b"oh no")
        self.open_second("f", FAILED, credit=1)
        self.do("f", mlm.Confirm(b"t", 200, b"", {"lease": self.delivery("f").properties["lease"]}))
        told = [each.status_code for each in self.take("p") if isinstance(each, mlm.Confirm)]
        self.assertEqual(told, [201, 502])

    def test_no_loop(self) -> None:
        """What the other service cannot process stays a dead letter, even if it is to have such a service itself."""
        self.do("p", request())
        self.refuse()
        self.open_second("f", FAILED, credit=1)
        lease = self.delivery("f").properties["lease"]
        self.do("f", mlm.Confirm(b"", 500, b"cannot either", {"lease": lease}))
        (letter,) = self.letters()
        self.assertEqual((letter.reason, letter.message.queue.address), (b"cannot either", b"svc-failed"))
        self.assertEqual(letter.message.properties, {})

    def test_given_up(self) -> None:
        """A request whose workers are lost goes to the other service as well."""
        self.do("p", request())
        for name in ("w", "v"):
            self.broker.received(name.encode(), [b""], self.now)
            self.open_worker("v")
        self.open_second("f", FAILED, credit=1)
        self.assertEqual(self.delivery("f").properties["h-death-cause"], b"attempts")

    def test_mail(self) -> None:
        """Mail that its reader refuses is a dead letter, whatever its address."""
        self.open("svc", credit=1)
        self.do("p", mlm.MailboxSend(b"svc", b"hi", b"t", 0, (b"x",)))
        self.do("svc", mlm.Confirm(b"t", 400, b"no"))
        self.assertEqual(len(self.letters()), 1)

    def test_many_properties(self) -> None:
        """If the message has almost as many properties as there may be, as many are added as there is room for."""
        self.do("p", mlm.ServiceSend(b"svc", b"bad", b"", 0, (), {f"h-{number}": b"" for number in range(27)}))
        self.refuse()
        self.open_second("f", FAILED, credit=1)
        got = self.delivery("f")
        own = {"lease", "attempt", "since"}
        of_message = {key: value for key, value in got.properties.items() if key not in own}
        self.assertTrue(leaves_room(of_message))
        self.assertEqual([key for key in of_message if "death" in key], ["h-death-reason", "h-death-service"])

    def test_forged(self) -> None:
        """A sender cannot forge why its request died."""
        properties = {"h-death-reason": b"forged", "h-death-note": b"forged"}
        self.do("p", mlm.ServiceSend(b"svc", b"bad", b"", 0, (), properties))
        self.refuse(502, b"true", error=b"t" * 10_000)
        self.open_second("f", FAILED, credit=1)
        got = self.delivery("f").properties
        self.assertEqual((got["h-death-reason"], "h-death-note" in got), (b"t" * MOST_DEATH_REASON_OCTETS, False))

    def test_changed(self) -> None:
        """The services can be changed while the broker runs."""
        self.broker.configure(Limits(client_timeout=1e9))
        self.do("p", request())
        self.refuse()
        self.assertEqual(len(self.letters()), 1)


class FullServiceTests(DeathCase):
    """A service for dead letters without room."""

    limits = Limits(client_timeout=1e9, service=QueueLimits(2500), dead_letter_services={b"svc": b"svc-failed"})

    def test_stays_letter(self) -> None:
        """What there is no room for is a dead letter."""
        for _ in range(2):
            self.do("p", request(content=b"x" * 1000))
            self.refuse()
        self.assertEqual(len(self.letters()), 1)


class EditTests(DeathCase):
    """Dead letters that are sent again, changed."""

    def test_changed(self) -> None:
        """Service, subject and content may be others; everything else is as it was."""
        properties = {"h-a": b"1", "delay": 0, "ttl": 1000}
        self.do("p", mlm.ServiceSend(b"svc", b"bad", b"t", 0, (b"x",), properties))
        self.refuse()
        (letter,) = self.letters()
        edit = Edit(b"other", b"good", (b"y", b"z"))
        done = self.broker.queues.replay_dead_letter(letter.message.position, self.now, edit)
        self.assertTrue(self.successResultOf(done))
        self.open_second("o", mlm.ServiceOffer(b"other", b""), credit=1)
        got = self.delivery("o")
        self.assertEqual((got.sender, got.subject, got.tracker, got.content), (b"p", b"good", b"t", (b"y", b"z")))
        self.assertEqual({*got.properties}, {"h-a", "lease", "attempt", "since"})
        self.assertEqual(self.letters(), [])


class MailAgainTests(DeathCase):
    """Mail that is made from dead letters, and how long it may wait."""

    limits = Limits(client_timeout=1e9, mailbox_seconds=20.0)

    def send_again(self, **properties: Any) -> None:
        """Let mail become a dead letter, and send it again after a minute, while nobody reads it."""
        self.open("reader", credit=1)
        self.do("p", mlm.MailboxSend(b"reader", b"hi", b"t", 0, (b"x",), properties))
        self.do("reader", mlm.Confirm(b"t", 400, b"no"), mlm.ConnectionClose())
        self.pass_time(60)
        (letter,) = self.letters()
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(letter.message.position, self.now)))

    def waiting(self) -> int:
        """Return how many messages wait in the mailbox."""
        queue = self.broker.queues.table.get(QueueName(QueueKind.MAILBOX, b"reader"))
        return 0 if queue is None else queue.waiting

    def test_general(self) -> None:
        """It waits as long as other mail, from when it is sent again."""
        self.send_again()
        self.pass_time(19)
        self.assertEqual(self.waiting(), 1)
        self.pass_time(2)
        self.assertEqual(self.waiting(), 0)

    def test_own(self) -> None:
        """The time to live that its sender gave begins again; 0 is without end."""
        self.send_again(ttl=40_000)
        self.pass_time(39)
        self.assertEqual(self.waiting(), 1)
        self.pass_time(2)
        self.assertEqual(self.waiting(), 0)

    def test_endless(self) -> None:
        """If the sender wanted it to wait without end, it does."""
        self.send_again(ttl=0)
        self.pass_time(100)
        self.assertEqual(self.waiting(), 1)

    def test_as_request(self) -> None:
        """Mail that is sent again to a service is a request, which does not expire."""
        self.open("reader", credit=1)
        self.do("p", mlm.MailboxSend(b"reader", b"hi", b"t", 0, (b"x",), {"ttl": 5000}))
        self.do("reader", mlm.Confirm(b"t", 400, b"no"))
        (letter,) = self.letters()
        self.broker.queues.replay_dead_letter(letter.message.position, self.now, Edit(b"late"))
        self.pass_time(100)
        self.open_second("o", mlm.ServiceOffer(b"late", b""), credit=1)
        self.assertNotIn("ttl", self.delivery("o").properties)


class CrashTests(DurableTestCase):
    """What becomes of dead letters that are on their way when the broker is killed."""

    limits = Limits(client_timeout=5.0, attempts=3, dead_letter_services={b"svc": b"svc-failed"})

    def die(self, content: bytes) -> None:
        """Let a request that is stored die."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(b"bad", tracker=b"t", content=content))
        self.write()
        self.do("w", mlm.Confirm(b"t", 502, b"oh no"))

    def where(self) -> tuple[int, int, int]:
        """Return how many requests wait for both services after a crash, and the number of dead letters."""
        self.crash()
        table = self.broker.queues.table
        queues = (table.get((QueueKind.SERVICE, address)) for address in (b"svc", b"svc-failed"))
        one, other = (0 if queue is None else queue.waiting for queue in queues)
        return one, other, len(self.broker.queues.dead_letters)

    def test_killed_before(self) -> None:
        """If nothing was written yet, the request is still the old one."""
        self.die(b"x")
        self.assertEqual(self.where(), (1, 0, 0))

    def test_killed_afterwards(self) -> None:
        """When it is written, there is only the new one."""
        self.die(b"x")
        self.write()
        self.assertEqual(self.where(), (0, 1, 0))

    def test_slow_disk(self) -> None:
        """The change is written as one, also if so much waits for the disk that the broker has to wait."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(b"bad", tracker=b"t", content=b"x" * (3 * 2**20)))
        self.write()
        self.do("p", mlm.ServiceSend(b"else", b"", b"u", 0, (b"y",)))
        self.clock.advance(0.02)
        self.assertIsNotNone(self.writing.begun)
        self.do("w", mlm.Confirm(b"t", 502, b"oh no"))
        self.assertIn(self.where(), [(1, 0, 0), (0, 1, 0)])

    def test_replayed(self) -> None:
        """A dead letter that is sent again is either of the two after a crash."""
        self.broker.configure(Limits(client_timeout=5.0))
        self.die(b"x" * (3 * 2**20))
        self.write()
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.do("p", mlm.ServiceSend(b"else", b"", b"u", 0, (b"y",)))
        self.clock.advance(0.02)
        self.assertIsNotNone(self.writing.begun)
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(letter.message.position, self.now)))
        self.assertIn(self.where(), [(1, 0, 0), (0, 0, 1)])

"""Dead letters: their limits, the service for them, and who may use it (docs/dead-letters.md)."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel

from alaska.broker import dead_letter_service
from alaska.broker.dead_letter_service import ACCESS_REFUSED, ADDRESS
from alaska.broker.limits import DeadLetterLimits, Limits
from alaska.interfaces import IStore
from alaska.message import DeadLetter, Page
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from tests.broker.broker_case import ERROR_500, OFFER, BrokerTestCase, confirm, request
from tests.network_case import LogCase


class CountingStore(MemoryStore):
    """A store that records how many dead letters each call asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`IStore`."""
        self.read.append(limit)
        return super().dead_letters(after, limit)

    def dead_letter(self, position: int) -> Deferred[DeadLetter | None]:
        """See :class:`IStore`."""
        self.read.append(1)
        return super().dead_letter(position)


class DeadLetterTests(BrokerTestCase):
    """Messages that become dead letters."""

    limits = Limits(client_timeout=5.0, attempts=3)

    def refuse_one(self) -> int:
        """Let a worker refuse a request; return the position of the dead letter."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"t"))
        self.take("a")
        self.do("a", confirm(b"t", 502, b"it failed"))
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertEqual((letter.status, letter.reason, letter.message.subject), (502, b"it failed", b"job"))
        return letter.message.position

    def test_kept(self) -> None:
        """A refused request becomes a dead letter, which is not redelivered automatically."""
        self.refuse_one()
        self.do("a", mlm.Credit(5))
        self.assertEqual(self.taken("a"), [])

    def test_replayed(self) -> None:
        """A dead letter that is replayed is delivered as a new request and removed from the dead letters."""
        position = self.refuse_one()
        self.do("a", mlm.Credit(1))
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(position, self.now)))
        self.assertEqual(self.taken("a"), [b"job"])
        self.assertEqual(list(self.broker.queues.dead_letters.summaries(0, 10)), [])
        self.assertFalse(self.successResultOf(self.broker.queues.replay_dead_letter(position, self.now)))

    def test_replay_is_not_confirmed(self) -> None:
        """The sender, which has got a final status, gets no status of a replay."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=2)
        self.do("p", request(tracker=b"t"))
        self.do("a", confirm(b"t", 404))
        self.assertEqual(
            [(each.tracker, each.status_code) for each in self.take("p") if isinstance(each, mlm.Confirm)],
            [(b"t", 201), (b"t", 404)],
        )
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(letter.message.position, self.now)))
        self.do("a", confirm(b"t"))
        self.assertEqual(self.take("p"), [])

    def test_dropped(self) -> None:
        """A dead letter that was dropped cannot be dropped again."""
        position = self.refuse_one()
        self.assertTrue(self.broker.queues.dead_letters.drop(position))
        self.assertFalse(self.broker.queues.dead_letters.drop(position))

    def test_request_that_crashes_workers(self) -> None:
        """A request whose workers disconnect without confirming it becomes a dead letter at the maximum of attempts."""
        self.open("p", request(b"killer"), request(b"good"))
        for number in range(3):
            self.open(f"w{number}", OFFER, credit=1)
            self.assertEqual(self.taken(f"w{number}"), [b"killer"])
            self.broker.received(f"w{number}".encode(), [b""], self.now)
            self.assertEqual(self.take(f"w{number}"), [ERROR_500])
        self.open("w", OFFER, credit=5)
        self.assertEqual(self.taken("w"), [b"good"])
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertEqual(letter.reason, b"delivered 3 times without confirmation")

    def test_returned_request_is_no_attempt(self) -> None:
        """A request that workers return without processing it is redelivered without limit."""
        self.open("p", request(tracker=b"t"))
        self.open("w", OFFER, credit=0)
        for _ in range(10):
            self.do("w", mlm.Credit(1))
            self.assertEqual(self.taken("w"), [b"job"])
            self.do("w", confirm(b"t", 300))
        self.assertEqual(list(self.broker.queues.dead_letters.summaries(0, 10)), [])


class DeadLettersCase(BrokerTestCase, LogCase):
    """A broker with a worker that refuses everything."""

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.open("w", OFFER, credit=10_000)

    def refuse(self, *contents: bytes) -> None:
        """Let the worker refuse requests with these contents."""
        self.open("p", *(request(b"%d" % len(content), content=content) for content in contents))
        self.do("w", *(confirm(tracker, 404) for tracker in self.trackers("w")))
        self.do("p", mlm.ConnectionClose())

    def ask(self, what: bytes, content: bytes = b"", name: str = "asks") -> Any:
        """Return the service's reply to a request of a plain client."""
        self.open(name, mlm.ServiceSend(ADDRESS, what, b"q", 0, (content,)))
        (answer,) = (each for each in self.take(name) if isinstance(each, mlm.MailboxDeliver))
        return json.loads(answer.content[0])

    def listed(self) -> list[int]:
        """Return the sizes, in octets, of the listed dead letters."""
        return [letter["octets"] for letter in self.ask(b"list")["letters"]]


class DeadLetterLimitTests(DeadLettersCase):
    """Limits for dead letters."""

    limits = Limits(client_timeout=1e9, dead_letters=DeadLetterLimits(3, 3000 + 3 * 1024, 100.0))

    def test_most(self) -> None:
        """If there are more than the limit, the oldest are dropped, also from the store, and counted."""
        self.refuse(b"", b"1", b"22", b"333", b"4444")
        self.assertEqual(self.listed(), [2, 3, 4])
        self.assertEqual([each.message.size for each in self.store.dead_letters(0, 10)], [2, 3, 4])
        self.assertEqual(self.broker.counters.dead_letters_dropped, 2)

    def test_most_octets(self) -> None:
        """Beyond the size limit the oldest are dropped; one that exceeds it alone is dropped instead of others."""
        self.refuse(b"x" * 1500, b"x" * 1400)
        self.refuse(b"x" * 200, b"x" * 7000)
        self.assertEqual(self.listed(), [1400, 200])
        self.assertEqual(self.store.queues(), [])

    def test_oldest_by_time(self) -> None:
        """The oldest is the one that became a dead letter first, not the one that was sent first."""
        self.open("p", *(request(b"%d" % number, b"t%d" % number) for number in range(4)))
        for number in (3, 1, 0, 2):
            self.do("w", confirm(b"t%d" % number, 404))
        self.assertEqual(
            [each.message.subject for each in self.broker.queues.dead_letters.summaries(0, 9)], [b"0", b"1", b"2"]
        )

    def test_age(self) -> None:
        """A dead letter that is older than the limit is dropped."""
        self.refuse(b"1")
        self.pass_time(60)
        self.refuse(b"22")
        self.pass_time(41)
        self.assertEqual(self.listed(), [2])

    def test_logged(self) -> None:
        """The log says at most once a minute how many dead letters were dropped."""
        for _ in range(2):
            self.refuse(*[b""] * 10)
            self.pass_time(2)
        self.pass_time(60)
        numbers = [text.split()[0] for text in self.logged(LogLevel.warn) if "dead letters" in text]
        self.assertEqual(numbers, ["7", "10"])


class ListTests(DeadLettersCase):
    """Listing and reading dead letters."""

    limits = Limits(dead_letters=DeadLetterLimits(None, None, None))

    def make_store(self) -> IStore:
        """Return a store that records which dead letters are read."""
        self.counting = CountingStore()
        return self.counting

    def test_list_reads_nothing(self) -> None:
        """A list reads nothing from the store, and reading one dead letter reads no other."""
        self.refuse(*(b"x" * number for number in range(20)))
        self.counting.read.clear()
        letters = self.ask(b"list", b'{"after": 0, "limit": 1000}')["letters"]
        self.assertEqual(([each["octets"] for each in letters], self.counting.read), (list(range(20)), []))
        position = letters[-1]["position"]
        self.ask(b"read", b'{"position": %d}' % position, "another")
        self.assertEqual(self.counting.read, [1])

    def test_large_question(self) -> None:
        """A request with large content is refused without parsing it."""
        error = self.ask(b"list", b"[" * 1_000_000)["error"]
        self.assertEqual(error, "ValueError: the content has 1000000 octets, and 1000 is the limit")

    def test_large_letter(self) -> None:
        """A large dead letter is returned without its content."""
        self.refuse(b"x" * (dead_letter_service.MAX_READ_OCTETS + 1), b"y")
        large, small = self.ask(b"list")["letters"]
        found = self.ask(b"read", b'{"position": %d}' % large["position"], "one")["letter"]
        self.assertEqual((found["octets"], found["content"]), (dead_letter_service.MAX_READ_OCTETS + 1, None))
        self.assertEqual(
            self.ask(b"read", b'{"position": %d}' % small["position"], "two")["letter"]["content"], ["eQ=="]
        )


class AccessTests(DeadLettersCase):
    """Access to the service."""

    def test_remote_client(self) -> None:
        """A client that is not local is refused, whatever the operation, with the reason."""
        self.refuse(b"secret")
        self.router.is_local = False
        for number, what in enumerate((b"list", b"read", b"replay", b"drop")):
            self.assertEqual(self.ask(what, b'{"position": 1}', f"far{number}"), {"error": ACCESS_REFUSED})
        self.open("credit", mlm.ServiceSend(ADDRESS, b"drop", b"q", 0, (b'{"position": 1}',)), credit=9)
        self.assertEqual(
            self.say("credit", mlm.ServiceSend(ADDRESS, b"list", b"q", 0, ())),
            [confirm(b"q", 401, ACCESS_REFUSED.encode())],
        )
        self.router.is_local = True
        self.assertEqual(self.listed(), [6])


class OpenAccessTests(DeadLettersCase):
    """A broker that gives all clients access."""

    limits = Limits(dead_letters=DeadLetterLimits(is_open=True))

    def test_remote_client(self) -> None:
        """A client that is not local is answered."""
        self.refuse(b"open")
        self.router.is_local = False
        self.assertEqual(self.listed(), [4])

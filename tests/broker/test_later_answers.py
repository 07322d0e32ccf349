"""A store whose answers come later, or are errors: trims, pages of sizes, and dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail

from alaska.broker import dead_letters
from alaska.broker.broker import Broker
from alaska.broker.limits import DeadLetterLimits, Limits
from alaska.errors import StoreError
from alaska.interfaces import IStore
from alaska.message import DeadLetter, Message, Page, QueueKind, QueueName, RecordSize, Retention
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, request

LETTERS = b"alaska.letters"


class LaterAnswers(MemoryStore):
    """A store in memory; while ``is_later``, its answers wait for :meth:`answer`. ``error`` is the answer if not None.

    ``trims`` are the positions up to which streams were trimmed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_later = False
        self.error: StoreError | None = None
        self.trims: list[int] = []
        self._waiting: list[Callable[[], object]] = []

    def answer(self) -> None:
        """Answer all that waits."""
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer()

    def _later(self, found: Deferred[Any]) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        if not self.is_later:
            return found
        later: Deferred[Any] = Deferred()
        self._waiting.append(lambda: found.chainDeferred(later))
        return later

    def trim(self, stream: bytes, upto: int) -> Deferred[int]:
        """See :class:`IStore`."""
        self.trims.append(upto)
        return self._later(super().trim(stream, upto))

    def sizes_of_records(self, stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """See :class:`IStore`."""
        return Page(upto=after) if self.is_later else super().sizes_of_records(stream, after, limit)

    def dead_letters(self, after: int, limit: int) -> Page[DeadLetter, int]:
        """See :class:`IStore`."""
        return Page(upto=after) if self.is_later else super().dead_letters(after, limit)

    def dead_letter(self, position: int) -> Deferred[DeadLetter | None]:
        """See :class:`IStore`."""
        return self._later(super().dead_letter(position))


class LaterCase(BrokerTestCase):
    """A broker with such a store."""

    def make_store(self) -> IStore:
        """See :class:`BrokerTestCase`."""
        self.later = LaterAnswers()
        return self.later


class TrimTests(LaterCase):
    """Streams that keep three records, or records of one second."""

    limits = Limits(retention_of={b"three": Retention(3), b"young": Retention(None, most_seconds=1.0)})

    def write(self, stream: bytes, count: int) -> None:
        """Let a client write records."""
        self.do("w", mlm.StreamWrite(stream), *(mlm.StreamSend(b"x", (b"x",)) for _ in range(count)))

    def test_one_at_a_time(self) -> None:
        """A stream is not trimmed again before the store has answered."""
        self.open("w")
        self.later.is_later = True
        self.write(b"three", 10)
        self.pass_time(3.0, "w")
        self.assertEqual(self.later.trims, [7])
        self.later.answer()
        self.write(b"three", 10)
        self.pass_time(3.0, "w")
        self.assertEqual(self.later.trims, [7, 17])

    def test_error(self) -> None:
        """A trim that fails is counted as an error of the store, and tried again."""
        self.open("w")
        self.later.error = StoreError("cannot be read")
        self.write(b"three", 10)
        self.pass_time(3.0, "w")
        self.assertEqual(self.broker.counters.store_errors, len(self.later.trims))
        self.assertGreater(len(self.later.trims), 1)

    def test_sizes(self) -> None:
        """While the store fetches the sizes of records, none is trimmed; afterwards those that are too old are."""
        self.open("w")
        self.later.is_later = True
        self.write(b"young", 10)
        self.pass_time(3.0, "w")
        self.assertEqual(self.later.trims, [])
        self.later.is_later = False
        self.pass_time(3.0, "w")
        self.assertEqual(self.later.trims, [10])


class DeadLetterTests(LaterCase):
    """Dead letters of refused requests; clients are local, and may ask for them."""

    def refuse(self, *subjects: bytes) -> None:
        """Let a worker refuse requests."""
        self.open("p", *(request(subject) for subject in subjects))
        self.open("w", OFFER, credit=len(subjects))
        self.do("w", *(confirm(tracker, 404) for tracker in self.trackers("w")), mlm.ConnectionClose())

    def ask(self, subject: bytes, **options: int) -> None:
        """Let a client ask for dead letters."""
        self.do("asks", mlm.ServiceSend(LETTERS, subject, b"", 0, (json.dumps(options).encode(),)))

    def replies(self) -> list[dict[str, Any]]:
        """Return the replies to the client."""
        return [json.loads(each.content[0]) for each in self.take("asks") if isinstance(each, mlm.MailboxDeliver)]

    def test_error(self) -> None:
        """If a dead letter cannot be read, the reply says so."""
        self.refuse(b"job")
        self.open("asks", credit=9)
        self.later.error = StoreError("the store cannot be read")
        self.ask(b"read", position=1)
        self.ask(b"replay", position=1)
        self.assertEqual(self.replies(), [{"error": "the store cannot be read"}] * 2)

    def test_replayed_once(self) -> None:
        """A dead letter that is to be sent again twice before the store has answered is sent once."""
        self.refuse(b"job")
        self.open("asks", credit=9)
        self.later.is_later = True
        self.ask(b"replay", position=1)
        self.ask(b"replay", position=1)
        self.assertEqual(self.replies(), [])
        self.later.answer()
        self.assertEqual(self.replies(), [{"done": True}, {"done": False}])
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.taken("w"), [b"job"])


class RestoredTests(LaterCase):
    """Dead letters that are fetched after the start, of which three are kept."""

    limits = Limits(dead_letters=DeadLetterLimits(most=3))

    def test_limit(self) -> None:
        """Before the older ones are known none is dropped, and then the oldest ones are."""
        self.patch(dead_letters, "READ_DEAD_LETTERS", 2)
        for position in range(1, 6):
            message = Message(position, QueueName(QueueKind.SERVICE, b"svc"), b"", b"s", b"", (b"x",))
            self.later.add_dead_letter(DeadLetter(message, 404, b"", float(position)))
        self.later.last_position = 5
        self.later.is_later = True
        self.broker = Broker(self.router, self.limits, self.later)
        self.open("p", *(request(b"job") for _ in range(4)))
        self.open("w", OFFER, credit=4)
        self.do("w", *(confirm(tracker, 404) for tracker in self.trackers("w")))
        self.assertEqual(self.broker.counters.dead_letters_dropped, 0)
        self.later.is_later = False
        self.pass_time(0.1)
        self.assertEqual([each.message.position for each in self.later.dead_letters(0, 99)], [7, 8, 9])
        self.assertEqual(self.broker.counters.dead_letters_dropped, 6)

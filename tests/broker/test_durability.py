"""The broker with a store in a file: when it confirms, and what survives a crash (docs/protocol.md, section 5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import cast

from twisted.internet.task import Clock

from alaska.broker import deliveries
from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.interfaces import Reactor
from alaska.message import Retention
from alaska.mlm import commands as mlm
from alaska.store import write_batches
from alaska.store.database import File
from alaska.store.sqlite import SqliteStore
from alaska.store.unwritten import Unwritten
from alaska.testing import HandWriting
from tests.broker.broker_case import OFFER, BrokerTestCase, mail, request


class DurableTestCase(BrokerTestCase):
    """A broker with a store in a file, which is written when the test says so."""

    limits = Limits(client_timeout=5.0, attempts=3, retention=Retention(most_records=100))

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.path = Path(self.mktemp())
        self.begin()

    def begin(self) -> None:
        """Start a broker with the file, and without clients."""

        def make_writing(file: File, wake: object) -> HandWriting:
            self.writing = HandWriting(file, self.woken)
            return self.writing

        self.durable = SqliteStore(cast("Reactor", self.clock), File(self.path, "OFF"), make_writing)
        self.addCleanup(self.durable.close)
        self.inboxes.clear()
        self.broker = Broker(self.router, self.limits, self.durable)
        self.broker.tick(self.now)

    def woken(self) -> None:
        """Notify the store that a write has ended."""
        self.durable._batches._collect()

    def write(self) -> None:
        """Write all pending changes; those that nobody waits for are written after two intervals."""
        for _ in range(2):
            self.clock.advance(write_batches.LAZY_MOVES_SECONDS)
            while self.writing.begun is not None:
                self.writing.run()
                self.clock.advance(0)

    def crash(self) -> None:
        """End the broker as kill -9 does, which loses unwritten changes, and start another."""
        self.durable._batches._unwritten = Unwritten()
        self.durable.close()
        self.begin()

    def confirms(self, name: str) -> list[tuple[bytes, int]]:
        """Return the trackers and statuses of the confirmations in an inbox, and empty it."""
        return [(each.tracker, each.status_code) for each in self.take(name) if isinstance(each, mlm.Confirm)]


class UnstorableMessageTests(DurableTestCase):
    """Messages that the store cannot write, among others that it can."""

    def begin(self) -> None:
        """Start a broker with the file, in which no message with position 2 can be inserted."""
        super().begin()
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(
                "CREATE TRIGGER IF NOT EXISTS refuse BEFORE INSERT ON message WHEN new.position = 2 "
                "BEGIN SELECT RAISE(ABORT, 'too odd'); END"
            )

    def test_confirmed_with_502(self) -> None:
        """A message that cannot be written is confirmed with 502 and not delivered; other messages are not affected."""
        self.open("p", *(request(b"%d" % number, tracker=b"t%d" % number) for number in (1, 2, 3)), credit=0)
        self.write()
        self.assertEqual(sorted(self.confirms("p")), [(b"t1", 201), (b"t2", 502), (b"t3", 201)])
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.taken("w"), [b"1", b"3"])
        self.assertEqual(self.broker.counters.dropped_for, {"unstorable": 1})

    def test_room(self) -> None:
        """A message that cannot be written does not count for the size of the queue."""
        self.open("p", *(request(content=b"x" * 100, tracker=b"t%d" % number) for number in (1, 2, 3)), credit=0)
        self.write()
        self.assertEqual(self.broker.queues._room.octets, 200)

    def test_with_a_worker(self) -> None:
        """If a worker has the message in flight, its sender gets 502 only when the worker disconnects."""
        self.open("w", OFFER, credit=9)
        self.open("p", *(request(b"%d" % number, tracker=b"t%d" % number) for number in (1, 2)), credit=0)
        self.write()
        self.assertEqual((self.taken("w"), self.confirms("p")), ([b"1", b"2"], [(b"t1", 201)]))
        self.do("w", mlm.ConnectionClose())
        self.write()
        self.assertEqual(self.confirms("p"), [(b"t2", 502)])

    def test_done_by_a_worker(self) -> None:
        """If a worker has the message in flight and confirms it, its sender gets the status of the worker."""
        self.open("w", OFFER, credit=9)
        self.open("p", *(request(b"%d" % number, tracker=b"t%d" % number) for number in (1, 2)), credit=0)
        self.write()
        self.do("w", mlm.Confirm(b"t2", 200, b""))
        self.assertEqual(self.confirms("p"), [(b"t1", 201), (b"t2", 200)])
        self.assertEqual(self.broker.queues._redelivery.unstorable, set())


class ConfirmationTests(DurableTestCase):
    """When a message is confirmed as stored."""

    def test_stored_after_commit(self) -> None:
        """201 is sent when the message is in the file, not before, and the message is there after a crash."""
        self.open("p", request(b"1", tracker=b"t"), credit=0)
        self.assertEqual(self.confirms("p"), [])
        self.write()
        self.assertEqual(self.confirms("p"), [(b"t", 201)])
        self.crash()
        self.open("w", OFFER, credit=9)
        self.write()
        self.assertEqual(self.taken("w"), [b"1"])

    def test_done_before_the_commit(self) -> None:
        """A message that is confirmed before it is written causes 201 and 200 at once, without a write."""
        self.open("w", OFFER, credit=9)
        self.open("p", credit=0)
        self.do("p", request(tracker=b"t"))
        self.do("w", mlm.Confirm(b"t", 200, b""))
        self.assertEqual(self.confirms("p"), [(b"t", 201), (b"t", 200)])
        self.assertIsNone(self.writing.begun)

    def test_too_large_for_a_row(self) -> None:
        """A message or record too large for the store is refused before it is stored, and no other is affected."""
        self.patch(SqliteStore, "most_octets", 100)
        self.setUp()
        self.open("p", credit=0)
        self.do("p", *(request(tracker=name, content=b"x" * size) for name, size in ((b"t", 101), (b"u", 100))))
        self.do("p", mlm.StreamWrite(b"s"), mlm.StreamSend(b"large", (b"x" * 101,)))
        self.write()
        self.assertEqual(self.confirms("p"), [(b"t", 301), (b"u", 201)])

    def test_plain_receiver(self) -> None:
        """The sender of a message for a plain receiver gets 202 alone, without 201."""
        self.open("w", OFFER)
        self.open("p", credit=0)
        self.do("p", request(tracker=b"t"))
        self.assertEqual(self.confirms("p"), [(b"t", 202)])

    def promise(self) -> None:
        """Store a tracked message, and send it to a plain worker that does not read it."""
        self.open("p", request(b"job", tracker=b"t"), credit=0)
        self.write()
        self.assertEqual(self.confirms("p"), [(b"t", 201)])
        self.router.unread.add(b"w")
        self.open("w", OFFER)
        self.assertEqual(self.taken("w"), [b"job"])
        self.assertEqual(self.confirms("p"), [])

    def test_promised_to_plain_receiver(self) -> None:
        """A stored message for a plain receiver is finished when it has left the broker's process."""
        self.promise()
        self.router.unread.clear()
        self.broker.tick(self.now)
        self.assertEqual(self.confirms("p"), [(b"t", 202)])
        self.write()
        self.crash()
        self.open("w", OFFER)
        self.assertEqual(self.taken("w"), [])

    def test_many_promised(self) -> None:
        """The number of messages for a plain receiver that are finished per tick is limited; the next one continues."""
        self.patch(deliveries, "FINISHED_PER_TICK", 4)
        self.open("p", *[request(b"%d" % number, tracker=b"t%d" % number) for number in range(10)], credit=0)
        self.write()
        self.router.unread.add(b"w")
        self.open("w", OFFER)
        self.confirms("p")
        self.router.unread.clear()
        counts = []
        for _ in range(4):
            self.broker.tick(self.now)
            counts.append(len(self.confirms("p")))
        self.assertEqual(counts, [4, 4, 2, 0])

    def test_promised_before_crash(self) -> None:
        """A stored message that has not left the broker's process to a plain receiver is redelivered after a crash."""
        self.promise()
        self.write()
        self.crash()
        self.router.unread.clear()
        self.open("w", OFFER)
        self.assertEqual(self.taken("w"), [b"job"])

    def test_promised_to_who_disconnects(self) -> None:
        """It goes to another receiver if the plain one disconnects before."""
        self.promise()
        self.do("w", mlm.ConnectionClose())
        self.open("v", OFFER, credit=1)
        self.assertEqual(self.taken("v"), [b"job"])

    def test_promised_in_the_buffer(self) -> None:
        """So does one that ZeroMQ has encoded, but perhaps not sent."""
        left: list[bool] = []

        def send_with_proof(peer: bytes, frames: list[bytes]) -> Callable[[], bool]:
            number = len(left)
            left.append(False)
            self.router.send(peer, frames)
            return lambda: left[number]

        self.patch(self.router, "send_with_proof", send_with_proof)
        self.open("p", *[request(b"%d" % number, tracker=b"t%d" % number) for number in range(3)], credit=0)
        self.write()
        self.open("w", OFFER)
        self.assertEqual(self.taken("w"), [b"0", b"1", b"2"])
        left[:2] = [True, True]
        self.broker.tick(self.now)
        self.do("w", mlm.ConnectionClose())
        self.open("v", OFFER, credit=5)
        self.assertEqual(self.taken("v"), [b"0", b"1", b"2"])

    def test_confirmed_before_crash(self) -> None:
        """A confirmed message is not redelivered after a crash."""
        self.open("w", OFFER, credit=9)
        self.open("p", request(b"1", tracker=b"t"), request(b"2", tracker=b"u"), credit=0)
        self.write()
        self.do("w", mlm.Confirm(b"t", 200, b""))
        self.write()
        self.crash()
        self.open("w", OFFER, credit=9)
        self.write()
        self.assertEqual(self.taken("w"), [b"2"])

    def test_sender_after_a_restart(self) -> None:
        """After a crash the client with the sender's address gets the final status, not one with the old routing id."""
        self.do("p", mlm.ConnectionOpen(b"sender"), mlm.Credit(0), request(tracker=b"t"))
        self.write()
        self.crash()
        self.do("p", mlm.ConnectionOpen(b"stranger"), mlm.Credit(0))
        self.do("q", mlm.ConnectionOpen(b"sender"), mlm.Credit(0))
        self.open("w", OFFER, credit=1)
        self.write()
        self.do("w", mlm.Confirm(b"t", 200, b""))
        self.assertEqual((self.confirms("p"), self.confirms("q")), ([], [(b"t", 200)]))

    def test_mail_in_order(self) -> None:
        """Mail survives crashes, in order."""
        self.open("p", mail(b"1"), mail(b"2"), mail(b"3"))
        self.write()
        self.crash()
        self.open("late", credit=1)
        self.write()
        (first,) = self.trackers("late")
        self.crash()
        self.open("late", credit=9)
        self.write()
        self.assertEqual(self.taken("late"), [b"1", b"2", b"3"])
        self.do("late", mlm.Confirm(first, 200, b""))

    def test_timeouts_go_on(self) -> None:
        """A message whose timeout passes while no broker runs expires in the next one."""
        self.open("p", request(b"late", timeout=1000), request(b"patient", timeout=9000))
        self.write()
        self.now += 2.0
        self.crash()
        self.pass_time(0.1)
        self.open("w", OFFER, credit=9)
        self.write()
        self.assertEqual(self.taken("w"), [b"patient"])

    def test_dead_letters(self) -> None:
        """Dead letters survive a crash, and can be replayed afterwards."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(b"bad", tracker=b"t"))
        self.do("w", mlm.Confirm(b"t", 404, b"no such script"))
        self.write()
        self.crash()
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertEqual((letter.status, letter.reason, letter.message.subject), (404, b"no such script", b"bad"))
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(letter.message.position, self.now)))
        self.open("w", OFFER, credit=1)
        self.assertEqual(self.taken("w"), [b"bad"])

    def test_replayed_to_plain_receiver(self) -> None:
        """A replayed dead letter that has not left the process to a plain receiver is redelivered after a crash."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(b"bad", tracker=b"t"))
        self.do("w", mlm.Confirm(b"t", 404, b"no such script"), mlm.ConnectionClose())
        self.write()
        self.open("plain", OFFER)
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.router.unread.add(b"plain")
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(letter.message.position, self.now)))
        self.assertEqual(self.taken("plain"), [b"bad"])
        self.broker.tick(self.now)
        self.write()
        self.crash()
        self.router.unread.clear()
        self.open("again", OFFER)
        self.assertEqual(self.taken("again"), [b"bad"])
        self.broker.tick(self.now)
        self.write()
        self.crash()
        self.open("last", OFFER)
        self.assertEqual(self.taken("last"), [])


class AttemptTests(DurableTestCase):
    """Requests that crash the process of an embedded broker and its worker."""

    def test_attempt_is_stored_before_delivery(self) -> None:
        """A restored request is delivered when the attempt is in the file, not before."""
        self.open("p", request(b"1"))
        self.write()
        self.crash()
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.taken("w"), [])
        self.write()
        self.assertEqual(self.taken("w"), [b"1"])

    def test_becomes_dead_letter(self) -> None:
        """A request that crashes broker and worker each time becomes a dead letter after the maximum of attempts."""
        self.open("p", request(b"bomb"), request(b"good"))
        self.write()
        deliveries = 0
        for _ in range(5):
            self.crash()
            self.open("w", OFFER, credit=1)
            self.write()
            deliveries += self.taken("w").count(b"bomb")
        self.assertEqual(deliveries, 3)
        self.assertEqual([each.message.subject for each in self.broker.queues.dead_letters.summaries(0, 10)], [b"bomb"])

    def test_worker_that_has_left(self) -> None:
        """If the worker leaves before the attempt is in the file, the request goes to another worker."""
        self.open("p", request(b"1"))
        self.write()
        self.crash()
        self.open("w", OFFER, credit=9)
        self.do("w", mlm.ConnectionClose())
        self.open("v", OFFER, credit=9)
        self.write()
        self.assertEqual((self.taken("w"), self.taken("v")), ([], [b"1"]))


class FailureTests(DurableTestCase):
    """A disk that cannot be written."""

    def test_refused(self) -> None:
        """When the buffer of unwritten changes is full, messages are refused with the reason until writing succeeds."""
        self.open("p", credit=0)
        self.do("p", request(tracker=b"first"))
        self.clock.advance(0)
        self.writing.run("database or disk is full")
        big = b"x" * 2**20
        for number in range(20):
            self.do("p", request(tracker=b"t%d" % number, content=big))
        refusals = [each for each in self.take("p") if isinstance(each, mlm.Confirm)]
        self.assertEqual({each.status_code for each in refusals}, {502})
        self.assertEqual({each.status_reason for each in refusals}, {b"database or disk is full"})
        self.clock.advance(1.0)
        self.write()
        kept = 20 - len(refusals)
        promised = [(b"first", 201), *((b"t%d" % number, 201) for number in range(kept))]
        self.assertEqual(self.confirms("p"), promised)


class StreamTests(DurableTestCase):
    """Streams after a crash."""

    def test_journal(self) -> None:
        """A stream continues with its records and positions after a crash."""
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"%d" % number, ()) for number in range(3)))
        self.write()
        self.crash()
        self.open("p", mlm.StreamWrite(b"s"), mlm.StreamSend(b"3", ()))
        self.open("r", credit=9)
        self.do("r", mlm.StreamReplay(b"s", b"", 2))
        records = [each for each in self.take("r") if isinstance(each, mlm.StreamRecord)]
        self.assertEqual([(each.position, each.subject) for each in records], [(2, b"1"), (3, b"2"), (4, b"3")])


class PausedTests(DurableTestCase):
    """Paused services after a restart."""

    def test_stays_paused(self) -> None:
        """A paused service is still paused after a restart, and one that was resumed is not."""
        for service in (b"svc", b"other"):
            self.broker.queues.pauses.pause(service)
        self.write()
        self.broker.queues.pauses.resume(b"other", self.now)
        self.write()
        self.crash()
        self.assertEqual(self.broker.queues.table.paused, {b"svc"})
        self.open("w", OFFER, request(), credit=9)
        self.assertEqual(self.taken("w"), [])
        self.broker.queues.pauses.resume(b"svc", self.now)
        self.assertEqual(self.taken("w"), [b"job"])

    def test_all_stay_paused(self) -> None:
        """The pause of all services lasts over a restart, for what waits and for what comes; so does its end."""
        self.open("p", request())
        self.broker.queues.pauses.pause_all()
        self.write()
        self.crash()
        self.open("w", OFFER, mlm.ServiceOffer(b"new", b""), mlm.ServiceSend(b"new", b"n", b"", 0, (b"x",)), credit=9)
        self.pass_time(0.1)
        self.write()
        self.assertEqual(self.taken("w"), [])
        self.broker.queues.pauses.resume_all()
        self.write()
        self.crash()
        self.open("w", OFFER, mlm.ServiceOffer(b"new", b""), credit=9)
        self.pass_time(0.1)
        self.write()
        self.router.end_turn(self.broker)
        self.assertEqual(sorted(self.taken("w")), [b"job", b"n"])

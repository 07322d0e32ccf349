"""Requests with an id whose workers may come back: they are not given to others."""

from __future__ import annotations

from dataclasses import replace

from alaska.admin import requests
from alaska.broker import cancelling
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.mlm.properties import to_number
from alaska.service_limits import Rate, ServiceLimit
from alaska.store.sqlite import SqliteStore
from tests.broker.broker_case import OFFER, PING, BrokerTestCase, request
from tests.broker.file_case import InFile
from tests.store.kinds import MemoryKind

CAN = b"batch properties cancel"
AGAIN = CAN + b" again"
SVC = QueueName(QueueKind.SERVICE, b"svc")
LARGE = 2 * 2**20


def once(subject: bytes = b"a", content: bytes = b"x") -> mlm.ServiceSend:
    """Return a request with an id."""
    return mlm.ServiceSend(b"svc", subject, b"t-" + subject, 0, (content,), {"id": subject})


class WorkersCase(InFile, BrokerTestCase):
    """A broker with workers and a sender."""

    limits = Limits(client_timeout=5.0)

    def setUp(self) -> None:
        super().setUp()
        self.leases: dict[bytes, int] = {}
        self.enter("s", CAN, 100, offers=False)

    def enter(self, name: str, can: bytes = AGAIN, credit: int = 1, offers: bool = True) -> None:
        """Open a client of the second edition."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(name.encode(), {"can": can}), mlm.Credit(credit))
        if offers:
            self.do(name, OFFER)

    def got(self, name: str) -> list[bytes]:
        """Let a moment pass; return the subjects of what a worker gets."""
        self.tick(0.05)
        deliveries = [each for each in self.take(name) if isinstance(each, mlm.ServiceDeliver)]
        for each in deliveries:
            lease = to_number(each.properties["lease"])
            assert lease is not None
            self.leases[each.subject] = lease
        return [each.subject for each in deliveries]

    def tick(self, seconds: float) -> None:
        """Let time pass, in which all clients are heard of."""
        self.now += seconds
        for client in self.broker.clients:
            self.do(client.peer.decode(), PING)
        self.broker.tick(self.now)
        self.router.end_turn(self.broker)

    def end(self, name: str, subject: bytes, status: int = 200, **more: int) -> None:
        """Let a worker confirm a request."""
        self.do(name, mlm.Confirm(b"", status, b"", {"lease": self.leases[subject], **more}))

    def replace(self, name: str) -> None:
        """Let the worker open another session, and offer the service."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(b"w", {"can": AGAIN}), mlm.Credit(1), OFFER)

    def cancel(self, tracker: str) -> None:
        """Cancel a request."""
        for _ in cancelling.cancel(self.broker._state, requests.Cancel(tracker=tracker)):
            self.kind.settle()

    def confirmed(self, name: str) -> list[tuple[bytes, int]]:
        """Return the trackers and statuses of the confirmations that a client has got."""
        return [(each.tracker, each.status_code) for each in self.take(name) if isinstance(each, mlm.Confirm)]

    def notes(self) -> int:
        """Return the number of notes in the store."""
        self.kind.settle()
        return len(self.store.entries("running"))

    def run_and_kill(self, *requests: mlm.Command, credit: int = 1) -> None:
        """Let a worker get requests, and restart the broker."""
        self.enter("w", credit=credit)
        self.do("s", *requests)
        self.assertEqual(len(self.got("w")), min(credit, len(requests)))
        self.kind.settle()
        self.restart()
        self.tick(0.0)
        self.enter("s", CAN, 100, offers=False)


class RestartTests(WorkersCase):
    """The broker is killed while a worker has requests."""

    def test_same_worker(self) -> None:
        """A request with an id is redelivered to the worker that has it, and to no other."""
        self.run_and_kill(once())
        self.enter("other", credit=5)
        self.assertEqual(self.got("other"), [])
        self.enter("w")
        self.assertEqual((self.got("w"), self.got("other")), ([b"a"], []))
        self.end("w", b"a")
        self.assertEqual((self.notes(), self.broker.queues.table[SVC].running), (0, 0))

    def test_without_id(self) -> None:
        """One without an id is redelivered at once to any worker, and so is one that nobody had."""
        self.run_and_kill(request(), once(b"b"))
        self.enter("other", credit=5)
        self.assertEqual(self.got("other"), [b"job", b"b"])

    def test_not_back(self) -> None:
        """If the worker does not come back for some seconds, any other gets its request, with its attempts."""
        self.run_and_kill(once())
        self.enter("other", credit=5)
        self.tick(9.8)
        self.assertEqual(self.got("other"), [])
        self.tick(0.2)
        (delivery,) = [each for each in self.take("other") if isinstance(each, mlm.ServiceDeliver)]
        self.assertEqual((delivery.subject, delivery.properties["attempt"]), (b"a", 2))

    def test_no_credit(self) -> None:
        """A worker that takes requests again gets them without credit, which does not use up later credit."""
        self.run_and_kill(once())
        self.enter("w", credit=0)
        self.assertEqual(self.got("w"), [b"a"])
        self.do("s", request(b"b"))
        self.assertEqual(self.got("w"), [])
        self.do("w", mlm.Credit(1))
        self.assertEqual(self.got("w"), [b"b"])

    def test_no_credit_not_announced(self) -> None:
        """A client that has not announced that gets nothing without credit."""
        self.run_and_kill(once())
        self.enter("w", CAN, credit=0)
        self.assertEqual(self.got("w"), [])
        self.do("w", mlm.Credit(1))
        self.assertEqual(self.got("w"), [b"a"])

    def test_before_its_offer(self) -> None:
        """A client with the address of the worker gets nothing before it offers the service."""
        self.run_and_kill(once())
        self.enter("w", offers=False)
        self.assertEqual(self.got("w"), [])
        self.do("w", OFFER)
        self.assertEqual(self.got("w"), [b"a"])

    def test_noted_before_the_delivery(self) -> None:
        """A request that has waited is delivered when the store has the note: it may be killed right afterwards."""
        self.do("s", once())
        self.kind.settle()
        self.enter("w")
        self.assertEqual(len(self.inboxes.get(b"w", [])), 2)  # the answers to OPEN and OFFER
        self.assertEqual(self.got("w"), [b"a"])
        self.restart()
        self.enter("other")
        self.assertEqual(self.got("other"), [])

    def test_cancelled_before_the_delivery(self) -> None:
        """A request that is cancelled while the store writes it, or its note, is not delivered."""
        self.enter("w")
        self.take("w")
        self.do("s", once())
        self.cancel("t-a")
        self.assertEqual((self.take("w"), self.confirmed("s")[-1:]), ([], [(b"t-a", 410)]))
        self.do("s", once(b"b"))
        self.assertEqual(self.got("w"), [b"b"])

    def test_cancelled_before_it_is_delivered_again(self) -> None:
        """One that a restarted broker has, and is about to deliver, neither."""
        self.do("s", request(tracker=b"t"))
        self.kind.settle()
        self.restart()
        self.tick(0.0)
        self.enter("w")
        self.cancel("t")
        self.assertEqual(self.got("w"), [])
        self.enter("s", CAN, 100, offers=False)
        self.do("s", request(b"b"))
        self.assertEqual(self.got("w"), [b"b"])

    def test_killed_again(self) -> None:
        """The worker is still known when the broker is killed once more while it waits."""
        self.run_and_kill(once())
        self.restart()
        self.enter("other")
        self.assertEqual(self.got("other"), [])
        self.enter("w")
        self.assertEqual(self.got("w"), [b"a"])

    def large_for(self, name: str, after: float) -> None:
        """Check that a client gets a large request some time after a restart."""
        self.run_and_kill(once(b"a", b"x" * LARGE))
        self.enter(name)
        for seconds in (after, 0.05, 0.05):
            self.tick(seconds)
            assert isinstance(self.store, SqliteStore) and self.store.view.reader is not None
            self.store.view.reader.large.wait()
        deliveries = [each for each in self.take(name) if isinstance(each, mlm.ServiceDeliver)]
        self.assertEqual([len(each.content[0]) for each in deliveries], [LARGE])

    def test_large(self) -> None:
        """A request whose content is read later comes to its worker as a whole."""
        self.large_for("w", 0.05)

    def test_large_not_back(self) -> None:
        """Or to another one, if its worker does not come back."""
        self.large_for("other", 10.0)

    def test_cancelled(self) -> None:
        """A request whose worker is awaited can be cancelled."""
        self.run_and_kill(once())
        (message,) = self.broker.queues.awaited.requests()
        self.broker.queues.cancelled.end(message)
        self.enter("w")
        self.assertEqual((self.got("w"), self.notes()), ([], 0))

    def test_paused(self) -> None:
        """While the service is paused, nobody gets it; then the worker that has it does, however long that was."""
        self.run_and_kill(once())
        self.broker.queues.pauses.pause(b"svc")
        self.enter("other", credit=5)
        self.enter("w")
        self.tick(60.0)
        self.assertEqual((self.got("w"), self.got("other")), ([], []))
        self.broker.queues.pauses.resume(b"svc", self.now)
        self.assertEqual((self.got("w"), self.got("other")), ([b"a"], []))

    def test_useless_notes(self) -> None:
        """Notes without a message, or that cannot be read, are deleted."""
        self.run_and_kill(once())
        self.store.set_entry("running", b"77", b"\x93\xa7service\xc4\x03svc\x04")
        self.store.set_entry("running", b"x", b"y")
        self.store.set_entry("running", b"78", b"\x93\xa7service\xc4\x03svc\xcd\xff\xff")
        self.kind.settle()
        self.restart()
        self.assertEqual(self.notes(), 1)


class LimitedRestartTests(WorkersCase):
    """A service with a limit for running requests."""

    limits = Limits(client_timeout=5.0, of_services=(ServiceLimit(b"svc", running=1),))

    def test_running(self) -> None:
        """A request whose worker is awaited counts as a running one."""
        self.run_and_kill(once())
        self.enter("other")
        self.do("s", request(b"b"))
        self.assertEqual(self.got("other"), [])
        self.enter("w", credit=0)
        self.assertEqual(self.got("w"), [b"a"])
        self.end("w", b"a")
        self.assertEqual(self.got("other"), [b"b"])

    def test_changed_limit(self) -> None:
        """It still counts as a running one when the limit changes meanwhile."""
        self.run_and_kill(once())
        limit = ServiceLimit(b"svc", running=1, rate=Rate(100, "s"), burst=100)
        self.broker.configure(replace(self.limits, of_services=(limit,)))
        self.enter("other")
        self.do("s", request(b"b"))
        self.assertEqual(self.got("other"), [])


class SessionTests(WorkersCase):
    """The session of a worker ends, and the broker stays."""

    def setUp(self) -> None:
        super().setUp()
        self.enter("w")
        self.do("s", once())
        self.assertEqual(self.got("w"), [b"a"])
        self.enter("other", credit=5)

    def test_replaced(self) -> None:
        """If the worker opens another session, it gets its request again, and no other worker does."""
        self.router.second_edition.add(b"w2")
        self.do("w2", mlm.ConnectionOpen(b"w", {"can": AGAIN}), mlm.Credit(0))
        self.assertEqual(self.got("other"), [])
        self.do("w2", OFFER)
        self.assertEqual((self.got("w2"), self.got("other")), ([b"a"], []))

    def test_cancelled(self) -> None:
        """A request that was cancelled ends when its worker is lost, and does not come to it again."""
        self.cancel("t-a")
        self.replace("w2")
        self.assertEqual((self.got("w2"), self.confirmed("s")[-1:]), ([], [(b"t-a", 410)]))

    def test_disconnected(self) -> None:
        """If its connection is lost, it has two seconds to come back."""
        self.gone.add(b"w")
        self.broker.send_failed(b"w")
        self.tick(0.05)
        self.tick(1.8)
        self.assertEqual(self.got("other"), [])
        self.tick(0.2)
        self.assertEqual(self.got("other"), [b"a"])

    def test_closed(self) -> None:
        """If it closes, its request goes to another worker at once."""
        self.do("w", mlm.ConnectionClose())
        self.assertEqual(self.got("other"), [b"a"])

    def test_expired(self) -> None:
        """If it was silent for the client timeout, too."""
        for _ in range(12):
            self.now += 0.5
            self.do("other", PING)
            self.broker.tick(self.now)
        self.assertEqual(self.got("other"), [b"a"])

    def test_returned(self) -> None:
        """A request that the worker has returned, or put off, does not wait for it."""
        self.end("w", b"a", 300)
        self.assertEqual(self.got("other"), [b"a"])
        self.end("other", b"a", 300, delay=1000)
        self.assertEqual(self.notes(), 0)
        self.kind.settle()
        self.restart()
        self.enter("third")
        self.tick(0.0)
        self.tick(1.0)
        self.assertEqual(self.got("third"), [b"a"])


class LostTests(WorkersCase):
    """A worker is lost with the same request again and again."""

    def test_lost_too_often(self) -> None:
        """The request becomes a dead letter when it was lost as often as it may be, also if its worker is back."""
        self.replace("w1")
        self.do("s", once())
        for number in range(1, 6):
            self.assertEqual(self.got(f"w{number}"), [b"a"])
            self.replace(f"w{number + 1}")
        self.assertEqual((self.got("w6"), len(self.broker.queues.dead_letters)), ([], 1))


class LostInMemoryTests(LostTests):
    """The same with a store in memory."""

    def make_store(self) -> IStore:
        """See :class:`BrokerTestCase`."""
        self.kind = MemoryKind()
        return self.kind.make()

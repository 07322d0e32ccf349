"""Base class for tests of the broker without sockets, and the commands that they send."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.access import AccessRules
from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.mlm import commands as mlm
from alaska.mlm.batch import encode_batch
from alaska.mlm.codec import encode
from alaska.store.memory import MemoryStore
from tests.broker.fake_router import FakeRouter

OK = mlm.Ok(200, b"")
PING = mlm.ConnectionPing()
PONG = mlm.ConnectionPong()
CLOSE = mlm.ConnectionClose()
ERROR_500 = mlm.Error(500, b"")
DELIVERIES = (mlm.StreamDeliver, mlm.MailboxDeliver, mlm.ServiceDeliver)
OFFER = mlm.ServiceOffer(b"svc", b"")


def request(subject: bytes = b"job", tracker: bytes = b"", timeout: int = 0, content: bytes = b"x") -> mlm.ServiceSend:
    """Return a request for the service svc."""
    return mlm.ServiceSend(b"svc", subject, tracker, timeout, (content,))


def mail(subject: bytes = b"hi", to: bytes = b"late", tracker: bytes = b"", timeout: int = 0) -> mlm.MailboxSend:
    """Return mail, by default for a client that is not connected."""
    return mlm.MailboxSend(to, subject, tracker, timeout, (b"x",))


def confirm(tracker: bytes, status: int = 200, reason: bytes = b"") -> mlm.Confirm:
    """Return a confirmation."""
    return mlm.Confirm(tracker, status, reason)


def expired(broker: Broker) -> int:
    """Return how many messages have expired."""
    measures = broker.queues.measures
    every = (measures.mailboxes, measures.other_services, *measures.services.values())
    return sum(each.ended.get("expired", 0) for each in every)


class BrokerTestCase(SynchronousTestCase):
    """A broker, and inboxes with what its peers are sent; the peers in ``gone`` are disconnected."""

    limits = Limits(client_timeout=5.0)
    rules: AccessRules | None = None
    has_users = False

    def setUp(self) -> None:
        self.inboxes: dict[bytes, list[mlm.Command]] = {}
        self.gone: set[bytes] = set()
        self.now = 0.0
        self.store = self.make_store()
        self.router = FakeRouter(self.transmit)
        self.router.has_users = self.has_users
        self.broker = Broker(self.router, self.limits, self.store, self.rules)
        self.broker.tick(0.0)

    def make_store(self) -> IStore:
        """Return the broker's store."""
        return MemoryStore()

    def transmit(self, peer: bytes, command: mlm.Command) -> bool:
        """Append what the broker sends to the inbox of a peer, unless that is disconnected."""
        if peer in self.gone:
            return False
        self.inboxes.setdefault(peer, []).append(command)
        return True

    def say(self, name: str, *commands: mlm.Command) -> list[mlm.Command]:
        """Let a peer send commands; return and remove all commands in its inbox."""
        self.do(name, *commands)
        return self.take(name)

    def do(self, name: str, *commands: mlm.Command) -> None:
        """Let a peer send commands."""
        for command in commands:
            self.broker.received(name.encode(), encode(command), self.now)
            self.router.end_turn(self.broker)

    def take(self, name: str) -> list[mlm.Command]:
        """Return and remove all commands in a peer's inbox."""
        return self.inboxes.pop(name.encode(), [])

    def taken(self, name: str) -> list[bytes]:
        """Return the subjects of the deliveries in a peer's inbox, and empty the inbox."""
        return [command.subject for command in self.take(name) if isinstance(command, DELIVERIES)]

    def open(self, name: str, *commands: mlm.Command, credit: int | None = None) -> None:
        """Open a client with its name as its address; then only deliveries are in its inbox."""
        self.do(name, mlm.ConnectionOpen(name.encode()))
        if credit is not None:
            self.do(name, mlm.Credit(credit))
        self.do(name, *commands)
        self.inboxes[name.encode()] = [each for each in self.take(name) if isinstance(each, DELIVERIES)]

    def open_second(self, name: str, *commands: mlm.Command, credit: int = 0) -> None:
        """Open a client that reads properties and batches; then only deliveries are in its inbox."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(name.encode(), {"can": b"batch properties"}), mlm.Credit(credit), *commands)
        self.inboxes[name.encode()] = [each for each in self.take(name) if isinstance(each, DELIVERIES)]

    def do_together(self, name: str, *commands: mlm.Command) -> None:
        """Let a peer send commands in one BATCH."""
        (frames,) = encode_batch(list(commands))
        self.broker.received(name.encode(), frames, self.now)
        self.router.end_turn(self.broker)

    def pass_time(self, seconds: float, *alive: str) -> None:
        """Let time pass with a tick every 50 ms, while the clients in ``alive`` send pings."""
        for _ in range(round(seconds * 20)):
            self.now += 0.05
            for name in alive:
                self.broker.received(name.encode(), encode(PING), self.now)
                self.assertEqual(self.inboxes[name.encode()].pop(), PONG)
            self.broker.tick(self.now)
            self.router.end_turn(self.broker)
            while self.broker.queues.next_turn == 0:
                self.broker.continue_turns(self.now)
                self.router.end_turn(self.broker)

    def trackers(self, name: str) -> list[bytes]:
        """Return the trackers of the mail and requests in a peer's inbox, and empty the inbox."""
        return [each.tracker for each in self.take(name) if isinstance(each, mlm.MailboxDeliver | mlm.ServiceDeliver)]

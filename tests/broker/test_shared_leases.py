"""Leases of messages in a store that brokers share: refused, and not answered before the client leaves."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.clients import LEASE_OCTETS
from alaska.broker.limits import Limits
from alaska.errors import StoreError
from alaska.message import Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import expired
from tests.broker.test_shared_store import AddedFirst, Side, settle
from tests.store.later import Shared

OFFER = mlm.ServiceOffer(b"jobs", b"")
LIMITS = Limits(attempts=1, unconfirmed_octets=30 + LEASE_OCTETS)


def request(content: bytes) -> mlm.ServiceSend:
    """Return a request for the workers."""
    return mlm.ServiceSend(b"jobs", b"s", b"", 0, (content,))


class LeaseTests(SynchronousTestCase):
    """Two brokers, of which the second one has messages in memory that the first one takes."""

    def setUp(self) -> None:
        self.shared = Shared()
        self.one = Side(self.shared, Random(1), LIMITS, short=0.0)
        self.two = Side(self.shared, Random(2), LIMITS, short=0.0)
        self.one.open(b"asks")

    def settle(self) -> None:
        """Let stores and brokers do what is due."""
        settle(self.one, self.two)

    def take_from_two(self) -> None:
        """Let the first broker take two messages of three that are in the memory of the second one."""
        self.one.do(b"asks", *(request(b"%d" % number * 20) for number in range(3)))
        self.settle()
        self.two.open(b"works", OFFER, credit=1)
        self.settle()
        self.one.open(b"works", OFFER, credit=2)
        self.settle()
        self.assertEqual((len(self.one.delivered(b"works")), len(self.two.delivered(b"works"))), (2, 1))
        self.two.confirm_all(b"works", 200)

    def test_release_of_what_another_has(self) -> None:
        """A release ends the lease of its own broker only."""
        one, two = self.one.store, self.two.store
        message = Message(1, QueueName(QueueKind.SERVICE, b"jobs"), b"asks", b"s", b"", (b"job",))
        answers: list[bool] = []
        one.keep(message, None)
        one.take(message, answers.append)
        two.take(message, answers.append)
        two.release(message)
        two.take(message, answers.append)
        one.turn()
        two.turn()
        self.assertEqual(answers, [True, False, False])

    def test_refused_messages_do_not_fill(self) -> None:
        """A worker that could not have large messages, since another broker has them, gets the next message."""
        self.take_from_two()
        self.two.do(b"works", mlm.Credit(3))
        self.settle()
        self.one.confirm_all(b"works", 200)
        self.one.do(b"asks", request(b"next"))
        self.settle()
        self.assertEqual(self.two.delivered(b"works"), [b"next"])

    def test_returned_before_refused(self) -> None:
        """A message that another broker had and has returned is delivered, even if it was read before the refusal."""
        self.two = Side(self.shared, AddedFirst(2), LIMITS, short=0.0)
        self.patch(self.two.store, "_page", lambda _key, _name, _after, limit, read: read(limit))
        self.take_from_two()
        self.two.do(b"works", mlm.Credit(3))
        self.one.confirm_all(b"works", 300)
        self.one.do(b"works", mlm.ConnectionClose())
        self.settle()
        self.assertEqual(len(self.two.delivered(b"works")), 2)

    def test_left_before_refused(self) -> None:
        """What another broker has is not given up by the broker whose worker leaves before it is refused."""
        self.take_from_two()
        self.two.do(b"works", mlm.Credit(3), mlm.ConnectionClose())
        self.settle()
        self.assertEqual(self.two.broker.counters.dead_lettered, 0)
        self.two.open(b"again", OFFER, credit=3)
        self.settle()
        self.assertEqual(self.two.delivered(b"again"), [])

    def test_unreadable_store(self) -> None:
        """If the store cannot be read when a message is refused, that is counted, and later reads are answered."""
        self.take_from_two()
        self.two.do(b"works", mlm.Credit(3))
        store, waiting = self.two.store, self.two.store.waiting

        def fail(*_arguments: object) -> None:
            raise StoreError("cannot be read")

        self.two.broker.queues.expect_more(QueueName(QueueKind.SERVICE, b"jobs"))
        self.patch(store, "waiting", fail)
        store.turn()
        self.assertGreater(self.two.broker.counters.store_errors, 0)
        self.patch(store, "waiting", waiting)
        self.one.confirm_all(b"works", 200)
        self.one.do(b"asks", request(b"next"))
        self.settle()
        self.assertEqual(self.two.delivered(b"works"), [b"next"])

    def test_expired_at_another(self) -> None:
        """A request that another broker has, or has ended, does not time out when its copy in memory expires."""
        self.one.do(b"asks", mlm.Credit(0))
        self.one.do(b"asks", *(mlm.ServiceSend(b"jobs", b"s", b"t%d" % each, 500, (b"job",)) for each in range(3)))
        self.settle()
        self.one.open(b"works", OFFER, credit=1)
        self.settle()
        self.two.open(b"works", OFFER, credit=2)
        self.settle()
        self.assertEqual((len(self.one.delivered(b"works")), len(self.two.delivered(b"works"))), (1, 2))
        self.two.confirm_all(b"works", 200)
        self.one.now = self.two.now = 2.0
        self.one.confirm_all(b"works", 200)
        self.one.do(b"works", mlm.Credit(5))
        self.settle()
        statuses = [each.status_code for each in self.one.sent[b"asks"] if isinstance(each, mlm.Confirm)]
        self.assertEqual(statuses, [201, 201, 201, 200])

    def test_expired(self) -> None:
        """A request that nobody takes times out once, whichever broker notices first."""
        self.one.do(b"asks", mlm.Credit(0), mlm.ServiceSend(b"jobs", b"s", b"t", 500, (b"job",)))
        self.settle()
        self.one.now = self.two.now = 2.0
        for _ in range(3):
            self.one.broker.tick(2.0)
        self.settle()
        self.assertEqual(expired(self.one.broker) + expired(self.two.broker), 1)
        self.assertEqual(self.shared.data.queues(), [])

    def test_plain_client_closes(self) -> None:
        """Mail for a client that closes before the store has answered is not sent to it, and waits for the next one."""
        self.two.open(b"reads", mlm.ConnectionPing())
        self.settle()
        self.two.do(b"reads", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"hello",)), mlm.ConnectionClose())
        self.settle()
        self.assertEqual(self.two.delivered(b"reads"), [])
        self.two.open(b"reads", mlm.ConnectionPing())
        self.settle()
        self.assertEqual(self.two.delivered(b"reads"), [b"hello"])
        self.assertEqual(self.shared.data.queues(), [])

    def test_one_after_the_other(self) -> None:
        """Mail for a client that has confirmed all before is delivered when the store has answered once."""
        self.two.open(b"reads", credit=9)
        self.settle()
        for _ in range(3):
            self.two.do(b"reads", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"hello",)))
            self.two.store.turn()
            self.assertEqual(self.two.delivered(b"reads"), [b"hello"])
            self.two.confirm_all(b"reads", 200)

    def test_plain_client_gives_credit(self) -> None:
        """A client that gives credit before the store has answered gets its mail to be confirmed."""
        self.two.open(b"reads", mlm.ConnectionPing())
        self.settle()
        self.two.do(b"reads", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"hello",)), mlm.Credit(5))
        self.settle()
        self.assertEqual(len(self.shared.data.waiting(QueueName(QueueKind.MAILBOX, b"reads"), 0, 9)), 1)
        (delivery,) = [each for each in self.two.sent[b"reads"] if isinstance(each, mlm.MailboxDeliver)]
        self.assertEqual(delivery.content, (b"hello",))
        self.two.confirm_all(b"reads", 200)
        self.assertEqual(self.shared.data.queues(), [])

    def test_plain_client_gets_all(self) -> None:
        """A client that does not confirm gets all its mail, although less may be unconfirmed at a time."""
        self.two.open(b"reads", mlm.ConnectionPing())
        self.two.do(b"reads", *(mlm.MailboxSend(b"reads", b"s", b"", 0, (b"%d" % each * 20,)) for each in range(5)))
        for _ in range(9):
            self.two.store.turn()
        self.assertEqual(self.two.delivered(b"reads"), [b"%d" % each * 20 for each in range(5)])

    def test_plain_worker_disconnects(self) -> None:
        """A request that cannot be sent to a worker that does not confirm goes to another one at once."""
        self.two.open(b"gone", OFFER)
        self.two.open(b"works", OFFER)
        self.two.gone.add(b"gone")
        self.two.open(b"asks", request(b"job"))
        for _ in range(3):
            self.two.store.turn()
        self.assertEqual(self.two.delivered(b"works"), [b"job"])

    def test_plain_client_is_not_probed(self) -> None:
        """A client that does not confirm is sent no CONFIRM while the store does not answer."""
        self.two.open(b"reads", mlm.ConnectionPing())
        self.two.do(b"reads", mlm.MailboxSend(b"reads", b"s", b"", 0, (b"hello",)))
        for tenth in range(30):
            self.two.broker.tick(1.0 + tenth / 10)
        self.assertEqual([each for each in self.two.sent[b"reads"] if isinstance(each, mlm.Confirm)], [])

    def test_too_many_attempts(self) -> None:
        """A request that was with a worker of a broker that died becomes a dead letter when it may have no more."""
        self.two.open(b"asks", request(b"job"))
        self.two.open(b"works", OFFER, credit=1)
        self.settle()
        self.assertEqual(self.two.delivered(b"works"), [b"job"])
        self.two.store.close()
        self.one.open(b"works", OFFER, credit=1)
        settle(self.one)
        self.assertEqual(self.one.delivered(b"works"), [])
        self.assertEqual([each.message.attempts for each in self.shared.data.dead_letters(0, 9)], [1])
        self.one.do(b"asks", request(b"next"))
        settle(self.one)
        self.assertEqual(self.one.delivered(b"works"), [b"next"])

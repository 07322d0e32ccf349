"""Messages with an id, of which a queue keeps one (docs/protocol.md, section 7)."""

from __future__ import annotations

from random import Random

from alaska.broker.limits import IdLimits, Limits
from alaska.interfaces import IStore
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, BrokerTestCase
from tests.broker.test_durability import DurableTestCase
from tests.store.later import Shared

Statuses = list[tuple[bytes, int, bytes]]
SVC = QueueName(QueueKind.SERVICE, b"svc")


def once(tracker: bytes = b"", name: bytes = b"a", subject: bytes = b"job", **terms: int | bytes) -> mlm.ServiceSend:
    """Return a request with an id; the underscores of the other terms are hyphens."""
    properties: mlm.Properties = {"id": name, **{key.replace("_", "-"): value for key, value in terms.items()}}
    return mlm.ServiceSend(b"svc", subject, tracker, 0, (b"x",), properties)


class IdCase(BrokerTestCase):
    """A broker with two senders, p and q, whose clients read properties."""

    limits = Limits(client_timeout=1000.0)

    def setUp(self) -> None:
        super().setUp()
        self.begin_senders()

    def begin_senders(self) -> None:
        """Open the senders."""
        self.open_second("p")
        self.open_second("q")

    def take(self, name: str) -> list[mlm.Command]:
        """Send what is posted, and do as the base class."""
        self.router.end_turn(self.broker)
        return super().take(name)

    def told(self, name: str) -> Statuses:
        """Return the trackers, statuses and reasons of the confirmations in an inbox, and empty it."""
        return [
            (each.tracker, each.status_code, each.status_reason)
            for each in self.take(name)
            if isinstance(each, mlm.Confirm)
        ]

    def finish(self, name: str, status: int = 200, reason: bytes = b"") -> list[bytes]:
        """Let a client confirm the deliveries in its inbox; return their subjects."""
        deliveries = [each for each in self.take(name) if isinstance(each, mlm.ServiceDeliver | mlm.MailboxDeliver)]
        for each in deliveries:
            self.do(name, mlm.Confirm(b"", status, reason, {"lease": each.properties["lease"]}))
        return [each.subject for each in deliveries]


class SecondMessageTests(IdCase):
    """What becomes of a second message with a known id."""

    def test_not_kept(self) -> None:
        """It is not kept; its sender is told the position of the first, and then its outcome."""
        self.do("p", once(b"t1"))
        self.do("q", once(b"t2"))
        self.assertEqual(self.told("q"), [(b"t2", 203, b"position=1")])
        self.open_second("w", OFFER, credit=9)
        self.assertEqual(self.finish("w", 200, b"fine"), [b"job"])
        self.assertEqual(self.told("p"), [(b"t1", 201, b"offers=0"), (b"t1", 200, b"fine")])
        self.assertEqual(self.told("q"), [(b"t2", 200, b"fine")])

    def test_known_outcome(self) -> None:
        """If the first has ended, its outcome follows at once, whatever it was."""
        self.open_second("w", OFFER, credit=9)
        for name, status in ((b"a", 200), (b"b", 404), (b"c", 200)):
            self.do("p", once(b"t", name))
            self.finish("w", status, b"why")
            self.take("p")
            told = self.told_to("q", once(b"t2", name))
            self.assertEqual([each[1:] for each in told[1:]], [(status, b"why")])
            self.assertEqual(told[0][1], 203)

    def told_to(self, name: str, command: mlm.Command) -> Statuses:
        """Let a peer send a command; return what it is told."""
        self.do(name, command)
        return self.told(name)

    def test_other_queues(self) -> None:
        """Ids are those of one queue, and of its kind, for all priorities and for delayed messages."""
        self.do("p", once(b"t1"), once(b"t2", b"b"), mlm.ServiceSend(b"other", b"", b"t3", 0, (b"x",), {"id": b"a"}))
        self.do("p", mlm.MailboxSend(b"svc", b"", b"t4", 0, (b"x",), {"id": b"a"}))
        self.assertEqual([status for _, status, _ in self.told("p")], [201] * 4)
        late = 10**13
        self.do("q", once(b"t5", priority=9), once(b"t6", at=late), once(b"t7", b"c", at=late), once(b"t8", b"c"))
        self.assertEqual([status for _, status, _ in self.told("q")], [203, 203, 201, 203])

    def test_untracked(self) -> None:
        """Without a tracker nobody is told, and the message is counted."""
        self.do("p", once(), once(), once())
        self.assertEqual(self.take("p"), [])
        self.assertEqual(self.broker.queues.table[SVC].depth, 1)
        self.assertEqual(self.broker.queues.measures.other_services.ended, {"second": 2})

    def test_same_sender(self) -> None:
        """A sender that sends again with its own tracker is told the outcome once."""
        self.do("p", once(b"t1"), once(b"t1"), once(b"t1"))
        self.assertEqual([status for _, status, _ in self.told("p")], [201, 203, 203])
        self.open_second("w", OFFER, credit=9)
        self.finish("w")
        self.assertEqual(self.told("p"), [(b"t1", 200, b"")])

    def test_sender_has_left(self) -> None:
        """A sender that has left is told nothing, and others still are."""
        self.do("p", once(b"t1"))
        self.do("q", once(b"t2"), CLOSE)
        self.open_second("w", OFFER, credit=9)
        self.finish("w")
        self.assertEqual([status for _, status, _ in self.told("p")], [201, 200])
        self.assertEqual(self.broker.queues.ids._listening, 0)

    def test_many_senders(self) -> None:
        """The outcome is told to the first eight only; all are told that the first is kept."""
        self.do("p", once(b"t"))
        self.do("q", *(once(b"%d" % number) for number in range(20)))
        self.assertEqual([status for _, status, _ in self.told("q")], [203] * 20)
        self.open_second("w", OFFER, credit=9)
        self.finish("w")
        self.assertEqual(self.told("q"), [(b"%d" % number, 200, b"") for number in range(8)])
        self.assertEqual(self.broker.queues.ids._listening, 0)

    def test_purged(self) -> None:
        """If an administrator deletes the first, that is its outcome, and its id stays known."""
        self.do("p", once(b"t1"))
        self.do("q", once(b"t2"))
        message = self.broker.queues.finding.waiting(SVC, 1)
        assert message is not None
        self.broker.queues.end_purged(message, self.now)
        self.assertEqual([status for _, status, _ in self.told("q")], [203, 300])
        self.assertEqual([status for _, status, _ in self.told_to("q", once(b"t3"))], [203, 300])

    def test_expired(self) -> None:
        """A first message that expires is done with, too."""
        self.do("p", mlm.ServiceSend(b"svc", b"", b"t1", 100, (b"x",), {"id": b"a"}))
        self.pass_time(0.2)
        self.assertEqual([status for _, status, _ in self.told_to("q", once(b"t3"))], [203, 302])

    def test_plain_receiver(self) -> None:
        """A plain receiver gets the first only, and the sender of the second is told so."""
        self.open("w", OFFER)
        self.do("p", once(b"t1"), once(b"t2"))
        self.assertEqual(self.taken("w"), [b"job"])
        statuses = [(tracker, status) for tracker, status, _ in self.told("p")]
        self.assertEqual(statuses, [(b"t1", 201), (b"t1", 202), (b"t2", 203), (b"t2", 202)])

    def test_refused_first(self) -> None:
        """The id of a message that was refused is not known."""
        self.broker.configure(Limits(content_octets=0))
        self.assertEqual([status for _, status, _ in self.told_to("p", once(b"t1"))], [301])
        self.broker.configure(Limits())
        self.assertEqual([status for _, status, _ in self.told_to("p", once(b"t1"))], [201])
        self.assertEqual(self.broker.queues.ids.count, 1)

    def test_replayed(self) -> None:
        """A dead letter with an id is sent again although its id is known."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1"))
        self.finish("w", 404)
        self.assertTrue(self.successResultOf(self.broker.queues.replay_dead_letter(1, self.now)))
        self.assertEqual(self.finish("w"), [b"job"])
        self.take("q")
        self.assertEqual([status for _, status, _ in self.told_to("q", once(b"t3"))], [203, 404])

    def test_bad_terms(self) -> None:
        """What is not valid is refused with a reason, and nothing is known of it."""
        bad: list[mlm.Properties] = [
            {"id": b""},
            {"id": b"x" * 256},
            {"id": b"a", "unique-for": b"soon"},
            {"id": b"a", "unique-mode": b"drop"},
            {"unique-for": 5},
            {"unique-mode": b"keep"},
        ]
        for properties in bad:
            (each,) = self.told_to("p", mlm.ServiceSend(b"svc", b"", b"t", 0, (), properties))
            self.assertEqual(each[1], 300)
            self.assertIn(b"propert", each[2])
        self.assertEqual(self.broker.queues.ids.count, 0)


class WindowTests(IdCase):
    """How long an id is known."""

    limits = Limits(client_timeout=1000.0, ids=IdLimits(seconds=10.0))

    def statuses(self, *commands: mlm.Command) -> list[int]:
        """Let q send commands; return the statuses that it is told."""
        self.do("q", *commands)
        return [status for _, status, _ in self.told("q")]

    def test_window(self) -> None:
        """The window begins when the first message is accepted, and is that of the settings."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1"))
        self.pass_time(5)
        self.finish("w")
        self.pass_time(4.9)
        self.assertEqual(self.statuses(once(b"t2")), [203, 200])
        self.pass_time(0.2)
        self.assertEqual(self.statuses(once(b"t3")), [201])
        self.assertEqual(self.finish("w"), [b"job"])

    def test_own_window(self) -> None:
        """A message can have a longer or shorter window."""
        self.do("p", once(b"t1", b"a", unique_for=1000), once(b"t2", b"b", unique_for=20_000))
        self.pass_time(1.1)
        self.assertEqual(self.statuses(once(b"t3", b"a"), once(b"t4", b"b")), [201, 203])
        self.pass_time(18)
        self.assertEqual(self.statuses(once(b"t5", b"b")), [203])
        self.pass_time(1)
        self.assertEqual(self.statuses(once(b"t6", b"b")), [201])

    def test_until_it_ends(self) -> None:
        """With 0, the id is known until the message ends, however long that takes, and no longer."""
        self.do("p", once(b"t1", unique_for=0))
        self.pass_time(100)
        self.assertEqual(self.statuses(once(b"t2")), [203])
        self.open_second("w", OFFER, credit=9)
        self.finish("w", 404)
        self.assertEqual(self.told("q"), [(b"t2", 404, b"")])
        self.assertEqual(self.statuses(once(b"t3")), [201])

    def test_forgotten(self) -> None:
        """Ids whose windows have ended are deleted, also if there are many."""
        self.do("p", *(once(b"", b"%d" % number) for number in range(1200)))
        self.assertEqual((self.broker.queues.ids.count, len(self.store.counts_of_ids())), (1200, 1))
        self.pass_time(10.2)
        self.assertEqual((self.broker.queues.ids.count, self.store.counts_of_ids()), (0, {}))
        self.assertEqual(self.broker.queues.ids._counts, {})

    def test_no_room(self) -> None:
        """Beyond the limits a message with a new id is refused, and none with a known id is accepted instead."""
        self.broker.configure(Limits(client_timeout=1000.0, ids=IdLimits(10.0, most_of_queue=2, most=3)))
        self.assertEqual(self.statuses(*(once(b"t", b"%d" % number) for number in range(3))), [201, 201, 301])
        other = [mlm.ServiceSend(b"other", b"", b"t", 0, (), {"id": b"%d" % number}) for number in range(2)]
        self.assertEqual(self.statuses(*other), [201, 301])
        self.assertEqual(self.statuses(once(b"t", b"1")), [203])
        self.assertEqual(self.broker.counters.dropped_for, {"no_room": 2})
        self.pass_time(10.1)
        self.assertEqual(self.statuses(once(b"t", b"2")), [201])


class ReplaceTests(IdCase):
    """Messages that replace the first one with their id."""

    def test_waiting(self) -> None:
        """One that waits is taken out; its sender is told the position of the new one, and later senders too."""
        self.do("p", once(b"t1", subject=b"old"))
        self.do("q", once(b"t2", subject=b"not kept"), once(b"t3", subject=b"new", unique_mode=b"replace"))
        self.assertEqual(self.told("p"), [(b"t1", 201, b"offers=0"), (b"t1", 204, b"position=3")])
        expected = [(b"t2", 203, b"position=1"), (b"t3", 201, b"offers=0"), (b"t2", 204, b"position=3")]
        self.assertEqual(sorted(self.told("q")), sorted(expected))
        self.open_second("w", OFFER, credit=9)
        self.assertEqual(self.finish("w"), [b"new"])
        self.assertEqual([each[1] for each in self.told("q")], [200])
        self.assertEqual((self.broker.queues.octets, self.broker.queues.table[SVC].octets), (0, 0))
        self.assertEqual(self.broker.queues.ids.count, 1)

    def test_delayed(self) -> None:
        """One that is delayed is replaced, and the new one has its own delay (debounce)."""
        self.open_second("w", OFFER, credit=9)
        for step in range(1, 5):
            due = int(self.now * 1000) + 1000
            self.do("p", once(b"t%d" % step, subject=b"%d" % step, unique_mode=b"replace", at=due))
            self.pass_time(0.5)
            self.assertEqual(self.taken("w"), [])
        self.pass_time(0.6)
        self.assertEqual(self.finish("w"), [b"4"])
        self.assertEqual([status for _, status, _ in self.told("p")], [201, 201, 204, 201, 204, 201, 204, 200])

    def test_in_flight(self) -> None:
        """One that is in flight is not replaced: the new one follows it, and may be replaced itself."""
        self.open_second("w", OFFER, credit=1)
        self.do("p", once(b"t1", subject=b"1"))
        self.do("p", *(once(b"t%d" % each, subject=b"%d" % each, unique_mode=b"replace") for each in (2, 3)))
        self.assertEqual(self.finish("w"), [b"1"])
        self.do("w", mlm.Credit(9))
        self.assertEqual(self.finish("w"), [b"3"])
        outcomes = [(tracker, status) for tracker, status, _ in self.told("p") if status != 201]
        self.assertEqual(outcomes, [(b"t2", 204), (b"t1", 200), (b"t3", 200)])

    def test_ended(self) -> None:
        """If the first has ended, the new one is accepted, since it may say something else."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1", subject=b"1"))
        self.finish("w")
        self.do("p", once(b"t2", subject=b"2", unique_mode=b"replace"))
        self.assertEqual(self.finish("w"), [b"2"])
        self.assertEqual(self.broker.queues.ids.count, 1)

    def test_other_priority(self) -> None:
        """One of another priority is replaced, too."""
        self.do("p", once(b"t1", subject=b"1", priority=9))
        self.do("p", once(b"t2", subject=b"2", unique_mode=b"replace", priority=0))
        self.open_second("w", OFFER, credit=9)
        self.assertEqual(self.finish("w"), [b"2"])

    def test_refused(self) -> None:
        """One that is refused replaces nothing."""
        self.do("p", once(b"t1", subject=b"1"))
        self.broker.configure(Limits(content_octets=0))
        self.do("p", once(b"t2", subject=b"2", unique_mode=b"replace"))
        self.broker.configure(Limits())
        self.assertEqual([status for _, status, _ in self.told("p")], [201, 301])
        self.open_second("w", OFFER, credit=9)
        self.assertEqual(self.finish("w"), [b"1"])


class DurableIdTests(DurableTestCase, IdCase):
    """Ids with a store in a file: nothing is told or delivered before it would survive a crash."""

    def begin(self) -> None:
        """Start a broker with the file, and the senders."""
        super().begin()
        self.begin_senders()

    def test_crash_before_201(self) -> None:
        """If the broker is killed before the message is stored, nobody was told or got anything, and it runs once."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1"))
        self.do("q", once(b"t2"))
        self.assertEqual((self.told("p"), self.told("q"), self.taken("w")), ([], [], []))
        self.crash()
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1"))
        self.write()
        self.assertEqual((self.told("p"), self.finish("w")), ([(b"t1", 201, b"offers=1")], [b"job"]))

    def test_crash_after_the_commit(self) -> None:
        """If it is killed between commit and 201, the sender that sends again is told that the message is kept."""
        self.do("p", once(b"t1"))
        self.clock.advance(0)
        self.writing._end(None)
        self.assertEqual(self.told("p"), [])
        self.crash()
        self.do("p", once(b"t1"))
        self.assertEqual(self.told("p"), [(b"t1", 203, b"position=1")])
        self.open_second("w", OFFER, credit=9)
        self.write()
        self.assertEqual(self.finish("w"), [b"job"])
        self.assertEqual(self.told("p"), [(b"t1", 200, b"")])

    def test_told_when_stored(self) -> None:
        """The first is delivered, and all senders are told, when the first is stored."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1"))
        self.do("q", once(b"t2"), once(b"t3"))
        self.assertEqual((self.told("q"), self.taken("w")), ([], []))
        self.write()
        self.assertEqual(self.told("p"), [(b"t1", 201, b"offers=1")])
        self.assertEqual([status for _, status, _ in self.told("q")], [203, 203])
        self.assertEqual(self.finish("w"), [b"job"])
        self.assertEqual([status for _, status, _ in self.told("q")], [200, 200])

    def test_order(self) -> None:
        """What follows one with an id to the same client does not overtake it, and other clients do not wait."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(subject=b"1"), mlm.ServiceSend(b"svc", b"2", b"", 0, ()))
        self.do("p", mlm.MailboxSend(b"w", b"3", b"", 0, ()), mlm.MailboxSend(b"q", b"mail", b"", 0, ()))
        self.do("q", mlm.Credit(1))
        self.assertEqual((self.taken("w"), self.taken("q")), ([], [b"mail"]))
        self.write()
        self.assertEqual(self.taken("w"), [b"1", b"2", b"3"])
        self.do("p", mlm.ServiceSend(b"svc", b"4", b"", 0, ()))
        self.assertEqual(self.taken("w"), [b"4"])

    def test_plain_receiver(self) -> None:
        """A plain receiver gets a message with an id when it is stored, and what follows after it."""
        self.open("w", OFFER)
        self.do("p", once(b"t1", subject=b"1"), mlm.ServiceSend(b"svc", b"2", b"", 0, ()))
        self.assertEqual(self.taken("w"), [])
        self.write()
        self.assertEqual(self.taken("w"), [b"1", b"2"])
        self.assertEqual([status for _, status, _ in self.told("p")], [201, 202])

    def test_plain_receiver_has_gone(self) -> None:
        """If the plain receiver has gone by then, the messages wait, in order, for the next one."""
        self.open("w", OFFER)
        self.do("p", once(b"t1", subject=b"1"), mlm.ServiceSend(b"svc", b"2", b"", 0, ()))
        self.gone.add(b"w")
        self.write()
        self.pass_time(0.1)
        self.gone.clear()
        self.open_second("v", OFFER, credit=9)
        self.write()
        self.assertEqual(self.finish("v"), [b"1", b"2"])

    def test_receiver_leaves(self) -> None:
        """If the receiver leaves before the message is stored, another one gets it, as its first attempt."""
        self.open_second("w", OFFER, credit=9)
        self.do("p", once(b"t1"))
        self.do("w", CLOSE)
        self.open_second("v", OFFER, credit=9)
        self.assertEqual(self.taken("v"), [])
        self.write()
        (delivered,) = self.take("v")
        assert isinstance(delivered, mlm.ServiceDeliver)
        self.assertEqual(delivered.properties["attempt"], 1)
        self.assertEqual(self.broker.queues._deliveries._held, {})

    def test_restart(self) -> None:
        """After a restart the ids of messages that wait and that have ended are known, with their outcomes."""
        self.do("p", once(b"t1"), once(b"t2", b"b"), once(b"t3", b"c", unique_for=0))
        self.open_second("w", OFFER, credit=1)
        self.write()
        self.finish("w", 404, b"why")
        self.write()
        self.crash()
        self.assertEqual(self.broker.queues.ids.count, 3)
        self.do("q", once(b"u1"), once(b"u2", b"b"), once(b"u3", b"c"))
        expected = [(b"u1", 203, b"position=1"), (b"u1", 404, b"why"), (b"u2", 203, b"position=2")]
        self.assertEqual(self.told("q"), [*expected, (b"u3", 203, b"position=3")])
        self.open_second("w", OFFER, credit=9)
        self.write()
        self.finish("w")
        self.assertEqual(self.told("q"), [(b"u2", 200, b""), (b"u3", 200, b"")])
        self.do("q", once(b"v", b"c"))
        self.write()
        self.assertEqual([status for _, status, _ in self.told("q")], [201])

    def test_lost_end(self) -> None:
        """If a message is gone but its end was not written with its id, that does not keep the id for ever."""
        self.do("p", once(b"t1", unique_for=0), once(b"t2", b"b"))
        self.write()
        for message in list(self.durable.waiting(SVC, 0, 10)):
            self.durable.forget(message)
        self.write()
        self.crash()
        self.do("q", once(b"u1"), once(b"u2", b"b"))
        self.write()
        self.assertEqual([(tracker, status) for tracker, status, _ in self.told("q")], [(b"u2", 203), (b"u1", 201)])
        self.assertEqual(self.broker.queues.ids._listening, 0)

    def test_replaced(self) -> None:
        """Old and new are exchanged in one transaction, and the sender of the old one is told when it is written."""
        self.do("p", once(b"t1", subject=b"1"))
        self.write()
        self.do("q", once(b"t2", subject=b"2", unique_mode=b"replace"))
        self.do("q", once(b"t3", subject=b"3", unique_mode=b"replace"))
        self.assertEqual([status for _, status, _ in self.told("p")], [201])
        self.assertEqual(self.told("q"), [])
        self.crash()
        self.assertEqual([each.subject for each in self.durable.waiting(SVC, 0, 10)], [b"1"])
        self.do("q", once(b"t2", subject=b"2", unique_mode=b"replace"))
        self.do("q", once(b"t3", subject=b"3", unique_mode=b"replace"))
        self.write()
        self.assertEqual(self.told("p"), [(b"t1", 204, b"position=3")])
        self.assertEqual([(tracker, status) for tracker, status, _ in self.told("q")], [(b"t3", 201), (b"t2", 204)])
        self.crash()
        self.assertEqual([each.subject for each in self.durable.waiting(SVC, 0, 10)], [b"3"])

    def test_replaces_large(self) -> None:
        """A large message, which is not in memory, is replaced."""
        self.do("p", mlm.ServiceSend(b"svc", b"1", b"t1", 0, (b"x" * 3 * 2**20,), {"id": b"a"}))
        self.write()
        self.crash()
        self.do("p", once(b"t2", subject=b"2", unique_mode=b"replace"))
        self.write()
        self.assertEqual([each.subject for each in self.durable.waiting(SVC, 0, 10)], [b"2"])
        self.assertLess(self.broker.queues.octets, 1000)

    def test_not_written(self) -> None:
        """While the file cannot be written, messages with an id are refused, and so is one that was being stored."""
        self.do("p", once(b"t1"))
        self.clock.advance(0)
        self.writing.run(failure="the disk is full")
        self.do("p", once(b"t2"), once(b"t3", b"b"))
        self.assertEqual([(tracker, status) for tracker, status, _ in self.told("p")], [(b"t2", 502), (b"t3", 502)])
        self.write()
        self.assertEqual(self.told("p"), [(b"t1", 201, b"offers=0")])

    def test_refused_row(self) -> None:
        """If the store gives up the first message, its id is unknown, and the senders of later ones are told."""
        self.do("p", once(b"t1"))
        self.do("q", once(b"t2"))
        self.durable._batches.tell_refused(self.durable.waiting(SVC, 0, 1)[0], "too odd")
        self.assertEqual([status for _, status, _ in self.told("p")], [502])
        self.assertEqual([status for _, status, _ in self.told("q")], [502])


class SharedStoreTests(IdCase):
    """A store that several brokers share."""

    def make_store(self) -> IStore:
        """Return a shared store."""
        return Shared().open(Random(1))

    def test_refused(self) -> None:
        """It knows no ids, and the senders of messages with one are told so."""
        self.do("p", once(b"t1"))
        self.assertEqual(self.told("p"), [(b"t1", 501, b"the store of this broker has no ids")])
        self.pass_time(0.1)

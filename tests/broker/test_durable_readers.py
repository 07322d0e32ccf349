"""Durable readers: named positions in streams, which the broker keeps (docs/protocol.md, section 6)."""

from __future__ import annotations

from alaska.access import ANONYMOUS, AccessRules, Rule, User, Verb
from alaska.broker import durable_reader, durable_readers
from alaska.broker.limits import Limits
from alaska.message import Retention
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, BrokerTestCase
from tests.broker.test_durability import DurableTestCase
from tests.broker.test_streams import numbers, write

TTL = 100.0


def reads(
    position: int = 0, name: bytes = b"n", pattern: bytes = b"", continues: int | None = None
) -> mlm.StreamReplay:
    """Return the command with which a client reads the stream s as a durable reader."""
    properties: mlm.Properties = {"name": name} if continues is None else {"name": name, "continue": continues}
    return mlm.StreamReplay(b"s", pattern, position, properties)


def confirms(position: int) -> mlm.Confirm:
    """Return the confirmation of the records of the stream s up to a position."""
    return mlm.Confirm(b"", 200, b"", {"stream": b"s", "position": position})


class ReaderTestCase(BrokerTestCase):
    """A broker whose streams store records, and the client w, which writes."""

    limits = Limits(retention=Retention(most_records=None), durable_readers=2, durable_reader_seconds=TTL)

    def setUp(self) -> None:
        super().setUp()
        self.open("w")

    def begin(self, name: str, command: mlm.StreamReplay | None = None, credit: int = 1000) -> bytes:
        """Let a new client read as a durable reader; return the reason of the OK."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(name.encode(), {"can": b"batch properties"}), mlm.Credit(credit))
        self.take(name)
        self.do(name, command or reads())
        answer = self.inboxes[name.encode()].pop(0)
        assert isinstance(answer, mlm.Ok)
        return answer.status_reason

    def positions(self, name: str) -> list[int]:
        """Return the positions of the records in an inbox, and empty it."""
        return [each.position for each in self.take(name) if isinstance(each, mlm.StreamRecord)]


class PositionTests(ReaderTestCase):
    """Where a durable reader goes on."""

    def test_goes_on_after_what_was_confirmed(self) -> None:
        """The next client with the name gets the records from the first one on that was not confirmed."""
        self.do("w", *write(*numbers(10)))
        self.assertEqual(self.begin("a"), b"last=10 first=1 next=1 lost=0")
        self.assertEqual(self.positions("a"), list(range(1, 11)))
        self.do("a", confirms(4), CLOSE)
        self.do("w", *write(b"new"))
        self.assertEqual(self.begin("b"), b"last=11 first=1 next=5 lost=0")
        self.assertEqual(self.positions("b"), list(range(5, 12)))

    def test_begins_at_a_position(self) -> None:
        """A name that is not known begins at the position of the command, but not beyond the next record."""
        self.do("w", *write(*numbers(3)))
        self.begin("a", reads(3, b"a"))
        self.begin("b", reads(mlm.LIVE_ONLY, b"b"))
        self.do("w", *write(b"new"))
        self.assertEqual((self.positions("a"), self.positions("b")), ([3, 4], [4]))

    def test_unmatched_records_count_as_read(self) -> None:
        """The position moves over records that do not match, also while the reader is live."""
        self.do("w", *write(*numbers(5)))
        self.begin("a", reads(pattern=b"x"))
        self.do("w", *write(b"x", *numbers(5)))
        self.do("a", confirms(6), CLOSE)
        self.assertEqual(self.begin("b"), b"last=11 first=1 next=12 lost=0")

    def test_a_client_that_continues(self) -> None:
        """A client that opens again gets only what it has not got, and what it has is not confirmed by that."""
        self.do("w", *write(*numbers(6)))
        self.begin("a")
        self.do("a", confirms(2), CLOSE)
        self.assertEqual(self.begin("a", reads(continues=5)), b"last=6 first=1 next=5 lost=0")
        self.assertEqual(self.positions("a"), [5, 6])
        self.assertEqual(self.begin("b"), b"last=6 first=1 next=3 lost=0")
        self.do("b", CLOSE)
        self.begin("b", reads(continues=5))
        self.do("b", confirms(4), CLOSE)
        self.assertEqual(self.begin("c"), b"last=6 first=1 next=5 lost=0")

    def test_live_records_wait_for_credit(self) -> None:
        """A durable reader without credit misses nothing."""
        self.begin("a", credit=1)
        self.do("w", *write(*numbers(5)))
        self.assertEqual(self.positions("a"), [1])
        self.do("a", mlm.Credit(10))
        self.assertEqual(self.positions("a"), [2, 3, 4, 5])

    def test_unconfirmed_records_are_limited(self) -> None:
        """A client gets no more records while it has not confirmed so many."""
        self.patch(durable_reader, "MOST_UNCONFIRMED", 3)
        self.do("w", *write(*numbers(5)))
        self.begin("a")
        self.do("w", *write(b"new"))
        self.assertEqual(self.positions("a"), [1, 2, 3])
        self.do("a", confirms(2))
        self.assertEqual(self.positions("a"), [4, 5])
        self.do("a", confirms(5))
        self.assertEqual(self.positions("a"), [6])

    def test_a_full_client_misses_nothing(self) -> None:
        """A reader without credit that does not read its records in time gets all of them."""
        self.router.second_edition.add(b"a")
        self.do("a", mlm.ConnectionOpen(b"a", {"can": b"batch properties"}), reads())
        client = self.broker.clients.by_address(b"a")
        assert client is not None
        client.flow.is_full = client.is_full = True
        self.do("w", *write(b"1"))
        client.flow.is_full = client.is_full = False
        self.pass_time(0.1, "w")
        self.assertEqual(self.positions("a"), [1])


class LossTests(ReaderTestCase):
    """What a durable reader is told of records that it misses."""

    limits = Limits(retention=Retention(most_records=3))

    def test_removed_records(self) -> None:
        """The OK says how many records the retention has removed, and the reading goes on with the first one left."""
        self.begin("a")
        self.do("a", CLOSE)
        self.do("w", *write(*numbers(10)))
        self.pass_time(1.1, "w")
        self.assertEqual(self.begin("b"), b"last=10 first=8 next=8 lost=7")
        self.assertEqual(self.positions("b"), [8, 9, 10])
        self.do("b", CLOSE)
        self.assertEqual(self.begin("c"), b"last=10 first=8 next=8 lost=0")

    def test_new_name(self) -> None:
        """A name that is not known has lost nothing."""
        self.do("w", *write(*numbers(10)))
        self.pass_time(1.1, "w")
        self.assertEqual(self.begin("a"), b"last=10 first=8 next=8 lost=0")


class LiveTests(ReaderTestCase):
    """Durable readers of a stream that stores no records."""

    limits = Limits()

    def test_is_told(self) -> None:
        """The OK says that the stream is live; records in between are missed, and the reader goes on."""
        self.assertEqual(self.begin("a"), b"last=0 first=1 next=1 lost=0 live")
        self.do("w", *write(b"1"))
        self.do("a", CLOSE)
        self.do("w", *write(b"2"))
        self.assertTrue(self.begin("b").endswith(b" live"))
        self.do("w", *write(b"3"))
        self.assertEqual([each.subject for each in self.take("b") if isinstance(each, mlm.StreamRecord)], [b"3"])


class NameTests(ReaderTestCase):
    """One name is one position, which one client has."""

    def test_taken_over(self) -> None:
        """A second client takes over the name; the first one is told, and gets no more."""
        self.begin("a")
        self.begin("b")
        (told,) = self.take("a")
        assert isinstance(told, mlm.Confirm)
        self.assertEqual((told.status_code, told.properties["name"]), (400, b"n"))
        self.do("w", *write(b"1"))
        self.assertEqual((self.positions("a"), self.positions("b")), ([], [1]))
        self.assertTrue(self.say("a", confirms(1)) == [])
        self.do("b", CLOSE)
        self.assertEqual(self.begin("c"), b"last=1 first=1 next=1 lost=0")

    def test_one_name_for_a_stream(self) -> None:
        """A client can neither have two names for a stream, nor other patterns besides a name."""
        self.begin("a")
        for command in (reads(name=b"m"), mlm.StreamReplay(b"s", b"", 0), mlm.StreamRead(b"s", b"x")):
            (answer,) = self.say("a", command)
            assert isinstance(answer, mlm.Error)
            self.assertEqual(answer.status_code, 300)
        self.do("a", mlm.StreamCancel(b"s"), mlm.StreamRead(b"s", b"x"))
        self.take("a")
        (answer,) = self.say("a", reads())
        self.assertIsInstance(answer, mlm.Error)

    def test_bad_names(self) -> None:
        """A name has 1 to 255 octets."""
        self.open_second("a")
        for name in (b"", b"x" * 256):
            (answer,) = self.say("a", reads(name=name))
            self.assertIsInstance(answer, mlm.Error)
        self.assertEqual(len(self.broker.streams.durable), 0)

    def test_limit(self) -> None:
        """Beyond the limit, no new reader is created; those that are known go on."""
        self.begin("a", reads(name=b"1"))
        self.begin("b", reads(name=b"2"))
        self.open_second("c")
        (answer,) = self.say("c", reads(name=b"3"))
        assert isinstance(answer, mlm.Error)
        self.assertIn(b"mlm_server/stream/readers", answer.status_reason)
        self.do("b", CLOSE)
        (answer,) = self.say("c", reads(name=b"2"))
        self.assertIsInstance(answer, mlm.Ok)

    def test_bad_confirmations(self) -> None:
        """Confirmations without a reader, or with values that are none, have no effect and are counted."""
        self.open_second("a")
        for properties in ({"stream": b"s", "position": 1}, {"stream": b"s", "position": b"x"}, {"position": 1}):
            self.do("a", mlm.Confirm(b"", 200, b"", properties))
        self.assertEqual(self.broker.counters.invalid, 3)

    def test_expires(self) -> None:
        """A reader is deleted when no client has had it for so long; one that a client has stays."""
        self.begin("a", reads(name=b"1"))
        self.begin("b", reads(name=b"2"))
        self.pass_time(1.1, "w")
        self.do("b", CLOSE)
        for seconds, count in ((TTL - 2, 2), (4, 1)):
            self.now += seconds
            for name in ("a", "w"):
                self.do(name, mlm.ConnectionPing())
            self.broker.tick(self.now)
            self.broker.tick(self.now + 1.1)
            self.assertEqual(len(self.broker.streams.durable), count)

    def test_clock_is_set(self) -> None:
        """Steps of the wall clock neither delete a reader earlier, nor keep it longer."""
        wall = 1e9
        self.begin("a")
        self.broker.tick(self.now, wall)
        self.do("a", CLOSE)
        for step in (10 * TTL, -20 * TTL):
            wall += step
            self.broker.tick(self.now, wall)
            self.broker.tick(self.now + 1.1, wall + 1.1)
            self.assertEqual(len(self.broker.streams.durable), 1)
        self.begin("b", reads(name=b"2"))
        self.do("b", CLOSE)
        wall += 10 * TTL
        self.now += TTL - 1
        self.broker.tick(self.now, wall)
        self.assertEqual(len(self.broker.streams.durable), 2)
        self.now += 4
        self.broker.tick(self.now, wall)
        self.assertEqual(len(self.broker.streams.durable), 0)


class UserTests(ReaderTestCase):
    """Durable readers with access rules."""

    has_users = True
    rules = AccessRules(
        tuple(
            User(name, tuple(Rule(verb, ".*") for verb in (Verb.OPEN, Verb.READ, Verb.WRITE)))
            for name in (ANONYMOUS, "ann", "bob")
        )
    )

    def test_other_user(self) -> None:
        """A reader belongs to the user who has created it."""
        self.router.users[b"a"] = b"ann"
        self.router.users[b"b"] = b"bob"
        self.begin("a")
        self.do("a", CLOSE)
        self.open_second("b")
        (answer,) = self.say("b", reads())
        assert isinstance(answer, mlm.Error)
        self.assertEqual(answer.status_code, 401)


class StoredTests(DurableTestCase):
    """Durable readers in a store's file."""

    def read(self, name: str) -> list[bytes]:
        """Let a client read as the durable reader; return what it gets."""
        self.open_second(name, credit=1000)
        return [each.subject for each in self.say(name, reads()) if isinstance(each, mlm.StreamRecord)]

    def test_kill(self) -> None:
        """After the end of the broker without a warning, a reader goes on at most a second's records before."""
        self.open("w", *write(*numbers(10)))
        self.assertEqual(self.read("a"), numbers(10))
        self.do("a", confirms(4))
        self.pass_time(1.1, "w")
        self.write()
        self.do("a", confirms(9))
        self.crash()
        self.assertEqual(self.read("b"), numbers(6, 4))

    def test_stop(self) -> None:
        """A broker that stops stores all positions."""
        self.open("w", *write(*numbers(10)))
        self.assertEqual(self.read("a"), numbers(10))
        self.do("a", confirms(9))
        self.broker.close()
        self.write()
        self.crash()
        self.assertEqual(self.read("b"), numbers(1, 9))

    def test_long_outage(self) -> None:
        """After an outage, a broker waits for the clients of readers before it deletes these."""
        self.broker.configure(Limits(durable_reader_seconds=TTL))
        self.open("w", *write(*numbers(10)))
        self.read("a")
        self.do("a", confirms(9))
        self.broker.close()
        self.write()
        self.now += 2 * TTL
        self.crash()
        self.broker.configure(Limits(durable_reader_seconds=TTL))
        self.pass_time(1.1)
        self.assertEqual(self.read("b"), numbers(1, 9))
        self.do("b", CLOSE)
        self.pass_time(durable_readers.RETURN_SECONDS)
        self.assertEqual(len(self.broker.streams.durable), 1)

    def test_nobody_returns(self) -> None:
        """A reader whose client does not return after an outage is deleted."""
        self.open("w")
        self.read("a")
        self.broker.close()
        self.write()
        self.now += 2 * TTL
        self.crash()
        self.broker.configure(Limits(durable_reader_seconds=TTL))
        self.pass_time(1.1)
        self.assertEqual(len(self.broker.streams.durable), 1)
        self.pass_time(durable_readers.RETURN_SECONDS)
        self.assertEqual(len(self.broker.streams.durable), 0)

    def test_quiet_stream(self) -> None:
        """A reader that a client has is seen in the store, too, although no record arrives."""
        self.broker.configure(Limits(durable_reader_seconds=TTL))
        self.open("w")
        self.read("a")
        for _ in range(round(TTL)):
            self.pass_time(1)
            self.do("a", mlm.ConnectionPing())
        self.write()
        self.crash()
        (reader,) = self.broker.streams.durable
        self.assertLessEqual(self.now - reader.seen, TTL / 4 + 2)

    def test_damaged(self) -> None:
        """An entry that cannot be read is left out."""
        self.durable.set_entry(durable_readers.ENTRY, b"\x01sn", b"no")
        self.write()
        self.crash()
        self.assertEqual(len(self.broker.streams.durable), 0)

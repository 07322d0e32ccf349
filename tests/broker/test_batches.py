"""Batches of commands, and their negotiation (docs/protocol.md, section 7)."""

from __future__ import annotations

from alaska.broker.dead_letter_service import ADDRESS
from alaska.broker.sessions import CAPABILITIES, SECOND_EDITION
from alaska.mlm import commands as mlm
from alaska.mlm.batch import HEADER, encode_batch
from alaska.mlm.codec import encode
from tests.broker.broker_case import ERROR_500, OFFER, OK, PING, PONG, BrokerTestCase, mail, request

OPEN = mlm.ConnectionOpen(b"c", {"can": b"batch properties", "host": b"h"})


class NegotiationTests(BrokerTestCase):
    """Negotiation of batches between client and broker."""

    def test_announced(self) -> None:
        """A client that announces them is told that the broker has them, too."""
        self.assertEqual(self.say("c", OPEN), [mlm.Ok(200, CAPABILITIES + SECOND_EDITION)])

    def test_first_edition(self) -> None:
        """A client that does not announce them meets nothing new, and may not send a BATCH."""
        self.assertEqual(self.say("c", mlm.ConnectionOpen(b"c")), [mlm.Ok(200, CAPABILITIES)])
        self.do_together("c", PING, PING)
        self.assertEqual(self.take("c"), [ERROR_500])

    def test_octets_after_open(self) -> None:
        """Octets after CONNECTION-OPEN that do not begin like properties are ignored, as by the C broker."""
        header = b"\xaa\xa8\x01\x08MALAMUTE\0\1\1"
        for number, octets in enumerate((b"\0", b"\0\0\0", b"\0\0\0\x21", b"can batch")):
            self.broker.received(b"%d" % number, [header + b"%d" % number + octets], self.now)
            self.assertEqual(self.take(str(number)), [mlm.Ok(200, CAPABILITIES)])

    def test_malformed_properties_of_open(self) -> None:
        """Octets that begin like properties have to be well formed."""
        header = b"\xaa\xa8\x01\x08MALAMUTE\0\1\1c"
        for octets in (b"\0\0\0\2\3can", b"\0\0\0\1\3can\0\0\0\x7fx", b"\0\0\0\0x"):
            self.broker.received(b"c", [header + octets], self.now)
            self.assertEqual(self.take("c"), [ERROR_500])

    def test_before_open(self) -> None:
        """A BATCH of a connection without a session is a command that cannot be read."""
        self.do_together("c", PING, PING)
        self.assertEqual(self.take("c"), [ERROR_500])

    def test_plain_client(self) -> None:
        """A client without credit may send batches, and gets single messages: each counts as delivered when sent."""
        self.router.second_edition.add(b"c")
        self.do("c", OPEN)
        self.do_together("c", OFFER, request(), request())
        self.assertEqual(len(self.take("c")), 4)
        self.assertEqual(set(self.router.sizes[b"c"]), {1})


class ReceivingTests(BrokerTestCase):
    """Batches that clients send."""

    def test_in_order(self) -> None:
        """The commands of a BATCH are executed in order, and so are those before and after it."""
        self.open("w", OFFER, credit=9)
        self.open_second("c", request(b"1"))
        self.do_together("c", request(b"2"), request(b"3"))
        self.do("c", request(b"4"))
        self.assertEqual(self.taken("w"), [b"1", b"2", b"3", b"4"])

    def test_counted(self) -> None:
        """Each command of a BATCH counts, also against the time of the router."""
        self.open_second("c")
        before = self.broker.counters.received
        count = self.broker.received(b"c", [HEADER, b"\x93\x91\x02\x91\x02\x91\x02"], self.now)
        self.assertEqual((count, self.broker.counters.received - before), (3, 3))

    def test_unreadable(self) -> None:
        """A BATCH with a command that cannot be read ends the session, and nothing of it is executed."""
        self.open("w", OFFER, credit=9)
        self.open_second("c")
        self.broker.received(b"c", [HEADER, b"\x92\x96\x0b\xc4\3svc\xc4\1a\xc4\0\0\x90\x91\x0e"], self.now)
        self.assertEqual((self.take("w"), self.take("c")), ([], [ERROR_500]))
        self.assertEqual(self.broker.counters.malformed, 1)

    def test_command_that_ends_the_session(self) -> None:
        """The commands after one that ends the session are not executed."""
        self.open("w", OFFER, credit=9)
        self.open_second("c")
        self.do_together("c", request(b"1"), mlm.StreamSend(b"no stream", ()), request(b"2"))
        self.assertEqual(self.take("c"), [mlm.Error(300, b"")])
        self.assertEqual(self.taken("w"), [b"1"])

    def test_close(self) -> None:
        """CONNECTION-CLOSE in a BATCH is answered, and is the last command."""
        self.open_second("c")
        self.do_together("c", PING, mlm.ConnectionClose(), PING)
        self.assertEqual(self.take("c"), [PONG, OK])


class LongBatchTests(BrokerTestCase):
    """A BATCH that takes longer than one turn."""

    def setUp(self) -> None:
        super().setUp()
        self.open("w", OFFER, credit=100)
        self.open_second("c")
        self.left = 0
        self.seconds = 0.0

    def clock(self) -> float:
        """Return the time; a turn, or catching up, is over after ``left`` more commands."""
        self.left -= 1
        self.seconds += 0 if self.left > 0 else 1
        return self.seconds

    def begin(self, *subjects: bytes, most: int = 2) -> None:
        """Send requests in one BATCH, of which ``most`` are executed now."""
        self.left = most + 1
        (frames,) = encode_batch([request(subject) for subject in subjects])
        self.broker.received(b"c", frames, self.now, self.clock)
        self.router.end_turn(self.broker)

    def go_on(self, most: int = 2) -> None:
        """Let another turn execute this many commands."""
        self.left = most + 1
        self.broker.continue_batches(self.now, self.clock)
        self.router.end_turn(self.broker)

    def test_continues(self) -> None:
        """The next turns execute the other commands, in order."""
        self.begin(b"1", b"2", b"3", b"4", b"5")
        self.assertEqual((self.taken("w"), bool(self.broker.batches)), ([b"1", b"2"], True))
        self.go_on()
        self.assertEqual(self.taken("w"), [b"3", b"4"])
        self.go_on()
        self.assertEqual((self.taken("w"), bool(self.broker.batches)), ([b"5"], False))

    def test_does_not_expire(self) -> None:
        """A client does not expire while its BATCH is not executed, although it sends nothing meanwhile."""
        self.begin(b"1", b"2", b"3")
        self.pass_time(6.0, "w")
        self.go_on(most=10)
        self.assertEqual(self.taken("w"), [b"1", b"2", b"3"])
        self.pass_time(6.0, "w")
        self.assertIsNone(self.broker.clients.by_peer(b"c"))

    def test_messages_after_it(self) -> None:
        """Further messages of the client wait for the BATCH; other clients do not wait."""
        self.begin(b"1", b"2", b"3")
        self.do("c", request(b"4"))
        self.do_together("c", request(b"5"), request(b"6"))
        self.open("other", request(b"now"))
        self.assertEqual(self.taken("w"), [b"1", b"2", b"now"])
        self.go_on(most=10)
        self.assertEqual((self.taken("w"), bool(self.broker.batches)), ([b"3", b"4", b"5", b"6"], False))

    def test_in_turns(self) -> None:
        """Each turn begins with another client."""
        self.open_second("d")
        self.begin(b"1", b"2", b"3", b"4")
        self.left = 2
        (frames,) = encode_batch([request(subject) for subject in (b"a", b"b", b"c")])
        self.broker.received(b"d", frames, self.now, self.clock)
        self.go_on(most=1)
        self.go_on(most=1)
        self.assertEqual(self.taken("w"), [b"1", b"2", b"a", b"3", b"b"])

    def test_flood(self) -> None:
        """If more than 1 MiB waits, the broker catches up before it reads on."""
        self.begin(b"1", b"2", b"3")
        large = bytes(300_000)
        for _ in range(10):
            self.left = 3
            self.broker.received(b"c", encode(request(content=large)), self.now, self.clock)
        self.assertEqual(self.taken("w")[:5], [b"1", b"2", b"3", b"job", b"job"])
        self.assertTrue(self.broker.batches)
        self.go_on(most=100)
        self.assertEqual((len(self.taken("w")), self.take("c"), bool(self.broker.batches)), (3, [], False))

    def test_too_slow(self) -> None:
        """A client whose commands take so long that more than 8 MiB waits is disconnected with ERROR 300."""
        self.begin(*[b"1"] * 100)
        for _ in range(9):
            self.left = 2
            self.broker.received(b"c", encode(request(content=bytes(2**20))), self.now, self.clock)
        self.assertEqual((self.take("c")[0], bool(self.broker.batches)), (mlm.Error(300, b""), False))

    def test_large_message_after_it(self) -> None:
        """One message may be larger than what may wait."""
        self.begin(b"1", b"2", b"3")
        self.left = 1
        self.broker.received(b"c", encode(request(content=bytes(9 * 2**20))), self.now, self.clock)
        self.go_on(most=10)
        self.assertEqual((self.taken("w"), self.take("c")), ([b"1", b"2", b"3", b"job"], []))

    def refusals(self, *, is_local: bool) -> list[int]:
        """Ask for dead letters in a BATCH and in a message after it; both are executed after a message of another."""
        self.router.is_local = is_local
        asked = mlm.ServiceSend(ADDRESS, b"list", b"t", 0, (b"{}",))
        self.left = 2
        (frames,) = encode_batch([PING, asked])
        self.broker.received(b"c", frames, self.now, self.clock)
        self.broker.received(b"c", encode(asked), self.now, self.clock)
        self.router.is_local = not is_local
        self.open("other")
        self.go_on(most=10)
        return [each.status_code for each in self.take("c") if isinstance(each, mlm.Confirm)]

    def test_right_of_a_remote_client(self) -> None:
        """What is executed later has no rights of a local program whose message came meanwhile."""
        self.assertEqual(self.refusals(is_local=False), [401, 401])

    def test_right_of_a_local_client(self) -> None:
        """What is executed later keeps the rights of the local program that sent it."""
        self.assertNotIn(401, self.refusals(is_local=True))

    def test_lost_client(self) -> None:
        """The other commands of a client whose session has ended are not executed."""
        self.begin(b"1", b"2", b"3")
        self.broker.send_failed(b"c")
        self.broker.tick(self.now)
        self.go_on()
        self.assertEqual(self.taken("w"), [b"1", b"2"])

    def test_malformed_message_after_it(self) -> None:
        """A malformed message after a BATCH ends the session when the BATCH is executed."""
        self.begin(b"1", b"2", b"3")
        self.broker.received(b"c", [b"nonsense"], self.now)
        self.assertEqual(self.take("c"), [])
        self.go_on(most=10)
        self.assertEqual((self.taken("w"), self.take("c")), ([b"1", b"2", b"3"], [ERROR_500]))


class SendingTests(BrokerTestCase):
    """Batches that the broker sends."""

    def test_one_turn(self) -> None:
        """What one turn has for a client is one message, in order."""
        self.open_second("w", OFFER, credit=9)
        self.open_second("c")
        self.router.sizes.clear()
        self.do_together("c", request(b"1", b"t1"), PING, request(b"2", b"t2"))
        self.assertEqual(self.taken("w"), [b"1", b"2"])
        answers = [type(each) for each in self.take("c")]
        self.assertEqual(answers, [mlm.Confirm, mlm.ConnectionPong, mlm.Confirm])
        self.assertEqual(self.router.sizes, {b"w": [2], b"c": [3]})

    def test_single_command(self) -> None:
        """A single command is one message."""
        self.open_second("w", OFFER, credit=9)
        self.router.sizes.clear()
        self.open("c", request(b"1"))
        self.assertEqual((self.taken("w"), self.router.sizes), ([b"1"], {b"w": [1]}))

    def test_disconnected(self) -> None:
        """What a disconnected client did not get waits for another."""
        self.open_second("w", OFFER, credit=9)
        self.open_second("c")
        self.gone.add(b"w")
        self.do_together("c", request(b"1"), request(b"2"))
        self.broker.tick(self.now)
        self.open_second("v", OFFER, credit=9)
        self.assertEqual(self.taken("v"), [b"1", b"2"])

    def test_unread(self) -> None:
        """A client that does not read gets no more deliveries; replies and deliveries stay in order."""
        self.open_second("w", OFFER, credit=60_000)
        self.open_second("c")
        self.router.unread.add(b"w")
        for _ in range(20):
            self.do_together("c", *(request(content=bytes(1000)) for _ in range(1000)))
        self.assertLess(len(self.taken("w")), 9000)


class LeaseTests(BrokerTestCase):
    """Deliveries of clients with properties are confirmed by their leases."""

    def leases(self, name: str) -> list[tuple[bytes, bytes, int]]:
        """Return subject, tracker and lease of each delivery in an inbox, and empty the inbox."""
        found = []
        for each in self.take(name):
            assert isinstance(each, mlm.MailboxDeliver | mlm.ServiceDeliver)
            found.append((each.subject, each.tracker, int(each.properties["lease"])))
        return found

    def settled(self, lease: int | bytes, status: int = 200) -> mlm.Confirm:
        """Return a confirmation that names a lease alone."""
        return mlm.Confirm(b"", status, b"", {"lease": lease})

    def test_same_tracker(self) -> None:
        """Two requests with the same tracker keep it, and each sender gets its own confirmation."""
        self.open_second("w", OFFER, credit=9)
        self.open_second("one", request(b"1", b"t"))
        self.open_second("two", request(b"2", b"t"))
        (_, _, first), (_, _, second) = deliveries = self.leases("w")
        self.assertEqual([each[:2] for each in deliveries], [(b"1", b"t"), (b"2", b"t")])
        self.do("w", self.settled(second, 404))
        self.assertEqual((self.take("one"), self.take("two")), ([], [mlm.Confirm(b"t", 404, b"")]))
        self.do("w", self.settled(first))
        self.assertEqual((self.take("one"), self.take("two")), ([mlm.Confirm(b"t", 200, b"")], []))

    def test_without_tracker(self) -> None:
        """A message without tracker is delivered without one."""
        self.open_second("w", OFFER, credit=9)
        self.open("c", request(b"1"))
        ((_, tracker, lease),) = self.leases("w")
        self.assertEqual(tracker, b"")
        self.do("w", self.settled(lease))
        self.assertEqual(self.broker.counters.invalid, 0)

    def test_mail_with_a_tracker_in_flight(self) -> None:
        """Mail whose tracker is in flight does not wait."""
        self.open_second("box", credit=9)
        self.open("c", mail(b"1", b"box", b"t"), mail(b"2", b"box", b"t"))
        self.assertEqual([each[:2] for each in self.leases("box")], [(b"1", b"t"), (b"2", b"t")])

    def test_error(self) -> None:
        """The whole error of a worker goes to a sender that reads properties, and its beginning to others."""
        self.open_second("w", OFFER, credit=9)
        self.open_second("one", request(b"1", b"t"))
        self.open("two", request(b"2", b"t"), credit=0)
        (_, _, first), (_, _, second) = self.leases("w")
        for lease in (first, second):
            self.do("w", mlm.Confirm(b"", 404, b"cut", {"lease": lease, "error": b"cut and whole"}))
        self.assertEqual(self.take("one"), [mlm.Confirm(b"t", 404, b"cut", {"error": b"cut and whole"})])
        self.assertEqual(self.take("two"), [mlm.Confirm(b"t", 404, b"cut")])

    def test_lease_that_was_never_given(self) -> None:
        """A confirmation of an unknown lease, or without one, has no effect."""
        self.open_second("w", OFFER, credit=9)
        self.open_second("c", request(b"1", b"t"))
        ((_, _, lease),) = self.leases("w")
        self.do("w", self.settled(lease + 1), self.settled(b"x"), mlm.Confirm(b"t", 200, b""))
        self.assertEqual((self.take("c"), self.broker.counters.invalid), ([], 3))

    def test_lease_twice(self) -> None:
        """A lease is confirmed once."""
        self.open_second("w", OFFER, credit=9)
        self.open_second("c", request(b"1", b"t"))
        ((_, _, lease),) = self.leases("w")
        self.do("w", self.settled(lease), self.settled(lease, 404))
        self.assertEqual(self.take("c"), [mlm.Confirm(b"t", 200, b"")])

    def test_leases_of_a_lost_client(self) -> None:
        """Its messages go to another client with new leases and the next attempt, in order."""
        self.open_second("w", OFFER, credit=9)
        self.open("c", request(b"1", b"t"), request(b"2", b"t"))
        self.do("w", mlm.ConnectionClose())
        self.open_second("v", OFFER, credit=9)
        deliveries = [each for each in self.inboxes[b"v"] if isinstance(each, mlm.ServiceDeliver)]
        self.assertEqual([(each.subject, each.properties["attempt"]) for each in deliveries], [(b"1", 2), (b"2", 2)])

    def test_first_edition_beside_it(self) -> None:
        """A worker without properties never has two requests with the same tracker of the sender in flight."""
        self.open("old", OFFER, credit=9)
        self.open_second("c", request(b"1", b"t"), request(b"2", b"t"))
        self.assertEqual(len(set(self.trackers("old"))), 2)


class PropertyTests(BrokerTestCase):
    """The properties of messages."""

    SENT = mlm.ServiceSend(b"svc", b"job", b"", 0, (b"x",), {"h-a": b"1", "other": "text", "lease": 9, "attempt": 9})

    def test_delivered(self) -> None:
        """A delivery has the sender's properties and the broker's, which the sender cannot choose."""
        self.now = 2.0
        self.broker.tick(2.0, 1000.0)
        self.open_second("w", OFFER, credit=9)
        self.open_second("c", self.SENT)
        (delivery,) = self.take("w")
        assert isinstance(delivery, mlm.ServiceDeliver)
        expected = {"h-a": b"1", "other": b"text", "lease": 1, "attempt": 1, "since": 1_000_000}
        self.assertEqual(delivery.properties, expected)

    def test_plain_receiver(self) -> None:
        """A receiver without credit gets the same properties."""
        self.router.second_edition.add(b"w")
        self.do("w", mlm.ConnectionOpen(b"w", {"can": b"batch properties"}), OFFER)
        self.take("w")
        self.open_second("c", self.SENT)
        (delivery,) = self.take("w")
        assert isinstance(delivery, mlm.ServiceDeliver)
        self.assertEqual(set(delivery.properties), {"h-a", "other", "lease", "attempt", "since"})

    def test_first_edition(self) -> None:
        """A receiver without properties gets the message without them."""
        self.open("w", OFFER, credit=9)
        self.open_second("c", self.SENT)
        (delivery,) = self.take("w")
        assert isinstance(delivery, mlm.ServiceDeliver)
        self.assertEqual(delivery.properties, {})

    def test_streams(self) -> None:
        """Messages and records of a stream have the sender's properties."""
        sent = mlm.StreamSend(b"s", (b"x",), {"h-a": b"1"})
        self.open_second("r", mlm.StreamRead(b"st", b""), credit=9)
        self.open_second("q", mlm.StreamReplay(b"st", b"", 0), credit=9)
        self.open_second("c", mlm.StreamWrite(b"st"), sent)
        (delivery,), (record,) = self.take("r"), self.take("q")
        assert isinstance(delivery, mlm.StreamDeliver)
        assert isinstance(record, mlm.StreamRecord)
        self.assertEqual((delivery.properties, record.properties), ({"h-a": b"1"}, {"h-a": b"1"}))

    def test_too_many(self) -> None:
        """A message whose properties leave no room for the broker's is refused with 301."""
        self.open_second("c")
        many = {str(number): b"" for number in range(30)}
        self.do("c", mlm.ServiceSend(b"svc", b"job", b"t", 0, (), many))
        (refusal,) = self.take("c")
        assert isinstance(refusal, mlm.Confirm)
        self.assertEqual((refusal.tracker, refusal.status_code), (b"t", 301))

    def test_properties_that_lie(self) -> None:
        """Properties that are not well formed end the session of a client that has announced them."""
        self.open_second("c")
        self.broker.received(b"c", [b"\xaa\xa8\x0b\0\0\0\0\0\0\0" + b"\0\0\0\1\1a\0\0\0\5x"], self.now)
        self.assertEqual(self.take("c"), [ERROR_500])

"""The broker's rules: what each command does to everybody, without sockets and with the time in the test's hand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits, QueueLimits
from alaska.interfaces import IStore
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from alaska.store.memory import MemoryStore
from tests.broker.fake_router import FakeRouter

OK = mlm.Ok(200, b"")
PING = mlm.ConnectionPing()
PONG = mlm.ConnectionPong()
CLOSE = mlm.ConnectionClose()
ERROR_500 = mlm.Error(500, b"")


def request(subject: bytes = b"job", tracker: bytes = b"", timeout: int = 0, content: bytes = b"x") -> mlm.ServiceSend:
    """A request for the service svc."""
    return mlm.ServiceSend(b"svc", subject, tracker, timeout, (content,))


def mail(subject: bytes = b"hi", to: bytes = b"late", tracker: bytes = b"", timeout: int = 0) -> mlm.MailboxSend:
    """Mail for a client that is not there yet."""
    return mlm.MailboxSend(to, subject, tracker, timeout, (b"x",))


class BrokerTestCase(SynchronousTestCase):
    """A broker and peers that write down what they get."""

    limits = Limits(client_timeout=5.0)

    def setUp(self) -> None:
        self.inboxes: dict[bytes, list[mlm.Command]] = {}
        self.gone: set[bytes] = set()
        self.now = 0.0
        self.store = self.make_store()
        self.router = FakeRouter(self.transmit)
        self.broker = Broker(self.router, self.limits, self.store)
        self.broker.tick(0.0)

    def make_store(self) -> IStore:
        """Return the broker's store."""
        return MemoryStore()

    def transmit(self, peer: bytes, command: mlm.Command) -> bool:
        """Put what the broker sends into an inbox, unless its owner's connection is gone."""
        if peer in self.gone:
            return False
        self.inboxes.setdefault(peer, []).append(command)
        return True

    def say(self, name: str, *commands: mlm.Command) -> list[mlm.Command]:
        """Let a peer send commands; return all that it got since it was last asked."""
        self.do(name, *commands)
        return self.take(name)

    def do(self, name: str, *commands: mlm.Command) -> None:
        """Let a peer send commands."""
        for command in commands:
            self.broker.received(name.encode(), encode(command), self.now)
            self.router.end_turn(self.broker)

    def take(self, name: str) -> list[mlm.Command]:
        """Return all that a peer got since it was last asked."""
        return self.inboxes.pop(name.encode(), [])

    def taken(self, name: str) -> list[bytes]:
        """Return the subjects of the deliveries that a peer got since it was last asked, the empty one left out."""
        return [command.subject for command in self.take(name) if isinstance(command, DELIVERIES)]

    def open(self, name: str, *commands: mlm.Command, credit: int | None = None) -> None:
        """Open a client, with its name as its address; of all that it gets for these commands, keep the deliveries."""
        self.do(name, mlm.ConnectionOpen(name.encode()))
        if credit is not None:
            self.do(name, mlm.Credit(credit))
        self.do(name, *commands)
        self.inboxes[name.encode()] = [each for each in self.take(name) if isinstance(each, DELIVERIES)]

    def pass_time(self, seconds: float, *alive: str) -> None:
        """Let time pass, a tick each 50 ms, while these clients ping."""
        for _ in range(round(seconds * 20)):
            self.now += 0.05
            for name in alive:
                self.broker.received(name.encode(), encode(PING), self.now)
                self.assertEqual(self.inboxes[name.encode()].pop(), PONG)
            self.broker.tick(self.now)
            self.router.end_turn(self.broker)

    def trackers(self, name: str) -> list[bytes]:
        """Return the trackers of the deliveries that a peer got since it was last asked."""
        return [each.tracker for each in self.take(name) if isinstance(each, mlm.MailboxDeliver | mlm.ServiceDeliver)]


DELIVERIES = (mlm.StreamDeliver, mlm.MailboxDeliver, mlm.ServiceDeliver)
OFFER = mlm.ServiceOffer(b"svc", b"")


class SessionTests(BrokerTestCase):
    """Opening, closing, and everything at the wrong time."""

    COMMANDS: tuple[Any, ...] = (
        PING,
        mlm.StreamWrite(b"s"),
        mlm.StreamRead(b"s", b""),
        mlm.StreamSend(b"x", ()),
        mail(),
        request(),
        OFFER,
        mlm.Credit(1),
        mlm.Confirm(b"t", 200, b""),
        mlm.StreamCancel(b"s"),
    )
    BROKER_ONLY: tuple[Any, ...] = (
        PONG,
        OK,
        ERROR_500,
        mlm.StreamDeliver(b"s", b"", b"", ()),
        mlm.MailboxDeliver(b"", b"", b"", b"", ()),
        mlm.ServiceDeliver(b"", b"", b"", b"", ()),
        mlm.StreamRecord(1, 1, b"", b"", b"", ()),
    )

    def test_capabilities(self) -> None:
        """The OK to OPEN says what this broker does beyond C's."""
        (answer,) = self.say("a", mlm.ConnectionOpen(b"a"))
        assert isinstance(answer, mlm.Ok)
        self.assertEqual(answer.status_reason.split()[:3], [b"alaska/1", b"credit", b"confirm"])

    def test_commands_before_open(self) -> None:
        """Whatever comes before OPEN is invalid and has no effect, and each is told so once."""
        for command in (*self.COMMANDS, *self.BROKER_ONLY):
            self.assertEqual(self.say("a", command), [ERROR_500])
        self.pass_time(10)
        self.assertEqual(self.take("a"), [])

    def test_close_before_open(self) -> None:
        """A CLOSE from a peer that never opened is answered OK, as C does."""
        self.assertEqual(self.say("a", CLOSE), [OK])

    def test_broker_commands_end_the_session(self) -> None:
        """A command that only a broker sends, or a second OPEN, is invalid and ends the session."""
        for command in (*self.BROKER_ONLY, mlm.ConnectionOpen(b"a")):
            self.open("a")
            self.assertEqual(self.say("a", command), [ERROR_500])
            self.assertEqual(self.say("a", PING), [ERROR_500])

    def test_opens_again_with_another_address(self) -> None:
        """After a CLOSE the same connection may open with another address."""
        self.open("a", CLOSE)
        self.do("a", mlm.ConnectionOpen(b"other"), PING)
        self.open("p", mail(to=b"other"))
        self.assertEqual(self.taken("a"), [b"hi"])

    def test_many_connects_and_kills(self) -> None:
        """After a thousand clients that came and died, a message still arrives and nothing is left of them."""
        for number in range(1000):
            self.open(f"c{number}", mlm.StreamRead(b"s", b""), OFFER, credit=1 if number % 2 else None)
        self.pass_time(6)
        self.assertEqual(len(self.broker.clients), 0)
        self.open("r", mlm.StreamRead(b"s", b""))
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [b"x"])

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(COMMANDS + BROKER_ONLY + (CLOSE, None)))))
    def test_any_conversation(self, steps: list[tuple[str, mlm.Command | None]]) -> None:
        """No sequence of commands by three peers makes the broker raise, and it still serves afterwards."""
        self.setUp()
        for name, command in steps:
            self.do(name, command if command is not None else mlm.ConnectionOpen(name.encode()))
        self.open("fresh", mlm.ServiceOffer(b"other", b""))
        self.do("sender", mlm.ConnectionOpen(b"sender"), mlm.ServiceSend(b"other", b"ping", b"", 0, ()))
        self.assertEqual(self.taken("fresh"), [b"ping"])


class UnreadableTests(BrokerTestCase):
    """Frames that are no command."""

    def test_ends_the_session(self) -> None:
        """What cannot be read is answered ERROR 500 and ends the session, and nobody else's."""
        self.open("a")
        self.open("b")
        self.broker.received(b"a", [b"\xaa\xa8\x0b\xff"], 0.0)
        self.assertEqual(self.take("a"), [ERROR_500])
        self.assertEqual(self.say("a", PING), [ERROR_500])
        self.assertEqual(self.say("b", PING), [PONG])
        self.assertEqual(self.broker.counters.malformed, 1)

    def test_what_was_with_the_client_goes_to_others(self) -> None:
        """The unconfirmed requests of a client that garbles its frames are not lost."""
        self.open("a", OFFER, credit=1)
        self.open("p", request())
        self.open("b", OFFER, credit=1)
        self.broker.received(b"a", [b""], 0.0)
        self.assertEqual(self.taken("b"), [b"job"])

    @given(st.lists(st.binary(max_size=40), max_size=4))
    def test_any_frames(self, frames: list[bytes]) -> None:
        """Whatever the frames, nothing is raised and another client is served."""
        self.setUp()
        self.open("b")
        self.open("a")
        self.broker.received(b"a", frames, 0.0)
        self.assertEqual(self.say("b", PING), [PONG])


class ExpiryTests(BrokerTestCase):
    """Clients that fall silent."""

    def test_expires(self) -> None:
        """A client that is silent for the timeout is gone, and not a moment before."""
        self.open("a")
        self.pass_time(5.0)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(0.1)
        self.assertEqual(len(self.broker.clients), 0)
        self.assertEqual(self.take("a"), [])

    def test_any_command_is_a_sign_of_life(self) -> None:
        """A client that sends anything does not expire."""
        self.open("a")
        self.pass_time(4)
        self.do("a", request())
        self.pass_time(4)
        self.assertEqual(self.say("a", PING), [PONG])

    def test_anonymous_clients_expire(self) -> None:
        """Clients with the empty address expire like any other, each once."""
        for name in "abc":
            self.do(name, mlm.ConnectionOpen(b""))
        self.pass_time(6)
        self.assertEqual(self.broker.counters.expired_clients, 3)

    def test_requests_of_a_dead_worker(self) -> None:
        """What a killed credit client had taken goes to the live one, in order and before what came later."""
        self.open("dead", OFFER, credit=2)
        self.open("p", request(b"1"), request(b"2"), request(b"3"))
        self.assertEqual(self.taken("dead"), [b"1", b"2"])
        self.pass_time(4, "p")
        self.open("live", OFFER, credit=1)
        self.assertEqual(self.taken("live"), [b"3"])
        self.pass_time(2, "p", "live")
        self.do("live", mlm.Credit(5))
        self.assertEqual(self.taken("live"), [b"1", b"2"])

    def test_connection_that_is_gone(self) -> None:
        """A worker whose connection is gone costs nothing, plain or not: what was meant for it goes to another."""
        for credit in (None, 5):
            self.setUp()
            self.open("dead", OFFER, credit=credit)
            self.open("p", request(b"1"))
            self.open("live", OFFER, credit=5)
            self.gone.add(b"dead")
            self.do("p", request(b"2"), request(b"3"), request(b"4"))
            self.pass_time(2, "p", "live")
            lost = [b"1"] if credit is None else []
            self.assertEqual(sorted(lost + self.taken("live")), [b"1", b"2", b"3", b"4"])
            self.assertEqual(len(self.broker.clients), 2)

    def test_stopped_broker_blames_nobody(self) -> None:
        """A broker that was itself stopped for a minute gives every client its full timeout again."""
        self.open("a")
        self.now += 60
        self.broker.tick(self.now)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(4.9)
        self.assertEqual(len(self.broker.clients), 1)
        self.pass_time(0.3)
        self.assertEqual(len(self.broker.clients), 0)

    def test_clock_set_back(self) -> None:
        """A clock that is set back neither expires anybody nor keeps the dead for ever."""
        self.now = 1000.0
        self.broker.tick(self.now)
        self.open("a")
        self.now = 10.0
        self.broker.tick(self.now)
        self.pass_time(5.2)
        self.assertEqual(len(self.broker.clients), 0)


class AddressTests(BrokerTestCase):
    """Two clients with one address."""

    def open_as(self, name: str, address: bytes, *commands: mlm.Command) -> None:
        """Open a plain client with an address that is not its name."""
        self.do(name, mlm.ConnectionOpen(address), *commands)

    def test_newer_takes_address_and_mailbox(self) -> None:
        """Mail goes to the newer; the older plain client stays open and its sends count."""
        self.open_as("old", b"joe", PING)
        self.open_as("new", b"joe", PING)
        self.open("p", mail(to=b"joe"))
        self.assertEqual(self.taken("new"), [b"hi"])
        self.assertEqual(self.say("old", PING)[-1], PONG)
        self.open("w", OFFER)
        self.do("old", request())
        self.assertEqual(self.taken("w"), [b"job"])

    def test_older_loses_readers_and_offers(self) -> None:
        """What the older client read and offered ends, and what it asks for anew is answered OK without effect."""
        self.open_as("old", b"joe", OFFER, mlm.StreamRead(b"s", b""))
        self.open_as("new", b"joe")
        self.take("old")
        self.assertEqual(self.say("old", OFFER), [OK])
        self.open("p", request(), mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("old"), [])

    def test_older_credit_client_is_told(self) -> None:
        """An older credit client gets ERROR 400 and is dropped; what it had is delivered again."""
        self.open("joe", OFFER, credit=1)
        self.open("p", request())
        self.take("joe")
        self.open_as("new", b"joe")
        (error,) = self.take("joe")
        assert isinstance(error, mlm.Error)
        self.assertEqual(error.status_code, 400)
        self.assertEqual(self.say("joe", PING), [ERROR_500])
        self.do("new", OFFER)
        self.assertEqual(self.taken("new"), [b"job"])

    def test_ends_in_either_order(self) -> None:
        """The end of either, by CLOSE or by silence, harms neither the other nor the mailbox."""
        for first, second in (("old", "new"), ("new", "old")):
            self.setUp()
            self.open_as("old", b"joe")
            self.open_as("new", b"joe")
            self.assertEqual(self.say(first, CLOSE)[-1], OK)
            self.assertEqual(self.say(second, PING)[-1], PONG)
            self.do(second, CLOSE)
            self.open("p", mail(to=b"joe"))
            self.open_as("third", b"joe", PING)
            self.assertEqual(self.taken("third"), [b"hi"])

    def test_reconnect_before_expiry(self) -> None:
        """A client that came back before its old session expired keeps its mailbox when that expires."""
        self.open_as("old", b"joe")
        self.pass_time(4)
        self.open_as("new", b"joe", PING)
        self.pass_time(2, "new")
        self.assertEqual(self.broker.counters.expired_clients, 1)
        self.open("p", mail(to=b"joe"))
        self.assertEqual(self.taken("new"), [b"hi"])


class StreamTests(BrokerTestCase):
    """Streams."""

    def test_to_every_reader_once(self) -> None:
        """A message goes once to each reader that has a pattern that matches, whole and byte for byte."""
        for name in ("r1", "r2"):
            self.open(name, mlm.StreamRead(b"s", b"a"), mlm.StreamRead(b"s", b"b"), mlm.StreamRead(b"s", b"a"))
        self.open("r3", mlm.StreamRead(b"s", b"z"))
        content = (b"", b"\0\xff", b"end")
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"ab", content))
        for name in ("r1", "r2"):
            self.assertEqual(self.take(name), [mlm.StreamDeliver(b"s", b"w", b"ab", content)])
        self.assertEqual(self.take("r3"), [])

    def test_never_to_the_sender(self) -> None:
        """A client that reads what it writes does not get its own messages."""
        self.open("w", mlm.StreamRead(b"s", b""), mlm.StreamWrite(b"s"))
        self.assertEqual(self.say("w", mlm.StreamSend(b"x", ())), [])

    def test_second_write_replaces_the_first(self) -> None:
        """A client writes to the stream that it named last."""
        self.open("r", mlm.StreamRead(b"one", b""), mlm.StreamRead(b"two", b""))
        self.open("w", mlm.StreamWrite(b"one"), mlm.StreamWrite(b"two"), mlm.StreamSend(b"x", ()))
        (delivery,) = self.take("r")
        assert isinstance(delivery, mlm.StreamDeliver)
        self.assertEqual(delivery.address, b"two")

    def test_cancel_one_stream(self) -> None:
        """Cancelling a stream ends it for this client alone, and no other stream."""
        for name in ("r1", "r2"):
            self.open(name, mlm.StreamRead(b"s", b"a"), mlm.StreamRead(b"s", b"x"), mlm.StreamRead(b"t", b""))
        self.assertEqual(self.say("r1", mlm.StreamCancel(b"s")), [OK])
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()), mlm.StreamWrite(b"t"), mlm.StreamSend(b"y", ()))
        self.assertEqual(self.taken("r1"), [b"y"])
        self.assertEqual(self.taken("r2"), [b"x", b"y"])

    def test_cancel_what_is_not_read(self) -> None:
        """Cancelling a stream that the client does not read is answered OK, and its close harms nobody."""
        self.open("r", mlm.StreamRead(b"s", b""))
        self.open("x")
        self.assertEqual(self.say("x", mlm.StreamCancel(b"s"), CLOSE), [OK, OK])
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [b"x"])

    def test_reader_that_left(self) -> None:
        """A reader that closed is sent nothing more."""
        self.open("r", mlm.StreamRead(b"s", b""), CLOSE)
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.take("r"), [])

    def test_send_without_write(self) -> None:
        """STREAM-SEND before STREAM-WRITE is answered ERROR 300 and ends the session, as C does."""
        self.open("w")
        self.assertEqual(self.say("w", mlm.StreamSend(b"x", ()), PING), [mlm.Error(300, b""), ERROR_500])

    def test_new_patterns_count_for_subjects_seen_before(self) -> None:
        """A pattern that comes or goes changes what a known subject matches."""
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.open("r", mlm.StreamRead(b"s", b"x"))
        self.do("w", mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [b"x"])
        self.do("r", mlm.StreamCancel(b"s"))
        self.do("w", mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [])


class ServiceTests(BrokerTestCase):
    """Services."""

    def test_turns(self) -> None:
        """Offers take turns, in the order in which they were made."""
        for name in "abc":
            self.open(name, OFFER)
        self.open("p", *(request(b"%d" % number) for number in range(6)))
        self.assertEqual([self.taken(name) for name in "abc"], [[b"0", b"3"], [b"1", b"4"], [b"2", b"5"]])

    def test_turns_across_patterns(self) -> None:
        """Offers with different patterns that match take turns, too."""
        self.open("a", mlm.ServiceOffer(b"svc", b"j"))
        self.open("b", mlm.ServiceOffer(b"svc", b"o"))
        self.open("p", *(request() for _ in range(4)))
        self.assertEqual([len(self.taken(name)) for name in "ab"], [2, 2])

    def test_no_match_does_not_block(self) -> None:
        """A request that nobody offers waits, and those behind it do not; it goes when somebody offers it."""
        self.open("a", mlm.ServiceOffer(b"svc", b"^x"))
        self.open("p", request(b"y"), request(b"x1"), request(b"x2"))
        self.assertEqual(self.taken("a"), [b"x1", b"x2"])
        self.open("b", mlm.ServiceOffer(b"svc", b"y"))
        self.assertEqual(self.taken("b"), [b"y"])

    def test_queue_waits_for_the_first_offer(self) -> None:
        """What waits goes, in order and behind the OK, to the first who offers."""
        self.open("p", *(request(b"%d" % number) for number in range(3)))
        self.open("a")
        answer, *deliveries = self.say("a", OFFER)
        self.assertEqual(answer, OK)
        self.assertEqual([each.subject for each in deliveries if isinstance(each, DELIVERIES)], [b"0", b"1", b"2"])

    def test_worker_that_left(self) -> None:
        """A worker that closed gets no request and is in nobody's turn."""
        self.open("gone", OFFER, CLOSE)
        self.open("a", OFFER)
        self.open("p", request(b"1"), request(b"2"))
        self.assertEqual(self.taken("a"), [b"1", b"2"])

    def test_to_itself(self) -> None:
        """A client may ask for what it offers itself."""
        self.open("a", OFFER)
        delivery = mlm.ServiceDeliver(b"a", b"svc", b"job", b"t", (b"x",))
        self.assertEqual(self.say("a", request(tracker=b"t")), [delivery])

    def test_tracker_of_a_request_that_waited(self) -> None:
        """A request that had to wait is delivered with its own tracker, whatever came meanwhile."""
        self.open("p", request(tracker=b"first"), mail(tracker=b"other"), request(tracker=b"second"))
        self.open("a", OFFER)
        self.assertEqual(self.trackers("a"), [b"first", b"second"])

    def test_bad_pattern(self) -> None:
        """A bad pattern is answered OK to a plain client, has no effect and is counted; a credit client is told."""
        self.open("a")
        self.assertEqual(self.say("a", mlm.ServiceOffer(b"svc", b"(")), [OK])
        self.open("p", request())
        self.assertEqual(self.taken("a"), [])
        self.assertEqual(self.broker.counters.refused, 1)
        self.open("c", credit=1)
        (error,) = self.say("c", mlm.ServiceOffer(b"svc", b"("))
        assert isinstance(error, mlm.Error)
        self.assertEqual(error.status_code, 300)
        self.assertEqual(self.say("c", PING), [PONG])


class MailboxTests(BrokerTestCase):
    """Mailboxes."""

    def test_stored_then_delivered(self) -> None:
        """Mail waits for its receiver and comes in order, each with its own tracker."""
        self.open("p", mail(b"1", tracker=b"t1"), mail(b"2", tracker=b"t2"))
        self.open("late", PING)
        deliveries = self.take("late")
        self.assertEqual([each[2:4] for each in deliveries], [(b"1", b"t1"), (b"2", b"t2")])

    def test_held_until_the_next_command(self) -> None:
        """Mail waits until a new client's next command, so that a CREDIT behind the OPEN counts."""
        self.open("p", mail(b"1"), mail(b"2"))
        self.assertEqual(len(self.say("late", mlm.ConnectionOpen(b"late"))), 1)
        self.do("p", mail(b"3"))
        self.assertEqual(self.taken("late"), [])
        self.do("late", mlm.Credit(2))
        self.assertEqual(self.taken("late"), [b"1", b"2"])

    def test_held_at_most_100_ms(self) -> None:
        """A plain client that says nothing more gets its mail after 100 ms."""
        self.open("p", mail())
        self.do("late", mlm.ConnectionOpen(b"late"))
        self.pass_time(0.05)
        self.assertEqual(self.taken("late"), [])
        self.pass_time(0.1)
        self.assertEqual(self.taken("late"), [b"hi"])

    def test_empty_address(self) -> None:
        """Mail to the empty address reaches nobody and is counted."""
        self.do("a", mlm.ConnectionOpen(b""), PING)
        self.open("p", mail(to=b""))
        self.assertEqual(self.taken("a"), [])
        self.assertEqual(self.broker.counters.dropped, 1)

    def test_mail_survives_its_owner(self) -> None:
        """A mailbox belongs to the address: mail for a client that left is there for the next of that address."""
        self.open("late", CLOSE)
        self.open("p", mail())
        self.do("again", mlm.ConnectionOpen(b"late"), PING)
        self.assertEqual(self.taken("again"), [b"hi"])


class TimeoutTests(BrokerTestCase):
    """Messages that are not to be delivered late."""

    def test_thrown_away(self) -> None:
        """A message that nobody took within its timeout is thrown away; one a moment before is not."""
        self.open("p", request(b"short", timeout=1000), request(b"long", timeout=2000), mail(timeout=1000))
        self.pass_time(1.1, "p")
        self.open("a", OFFER)
        self.do("late", mlm.ConnectionOpen(b"late"), PING)
        self.assertEqual(self.broker.counters.timed_out, 2)
        self.assertEqual(self.taken("late"), [])

    def test_no_timeout(self) -> None:
        """0 is no timeout."""
        self.open("p", request())
        self.pass_time(100, "p")
        self.open("a", OFFER)
        self.assertEqual(self.broker.counters.timed_out, 0)


class LimitTests(BrokerTestCase):
    """Queues that are full."""

    limits = Limits(mailbox=QueueLimits(25, 15), service=QueueLimits(25, None))

    def test_full_queue(self) -> None:
        """What would pass the limit is dropped and counted, a smaller one still fits; other queues are not touched."""
        self.open("p", *(request(b"%d" % size, content=b"x" * size) for size in (10, 10, 6, 5)))
        self.open("q", mlm.ServiceSend(b"other", b"20", b"", 0, (b"x" * 20,)))
        self.assertEqual(self.broker.counters.over_limit, 1)
        self.open("a", OFFER)
        self.assertEqual(self.taken("a"), [b"10", b"10", b"5"])

    def test_limits_count_what_waits(self) -> None:
        """When the queue was emptied there is room again."""
        self.open("p", request(content=b"x" * 25), request(content=b"x"))
        self.open("a", OFFER, CLOSE)
        self.do("p", request(content=b"x" * 25))
        self.assertEqual(self.broker.counters.over_limit, 1)

    def test_delivered_at_once_needs_no_room(self) -> None:
        """A message that somebody takes at once may be larger than a queue."""
        self.open("a", OFFER)
        self.open("p", request(content=b"x" * 100))
        self.assertEqual(self.taken("a"), [b"job"])

    def test_sender_that_waits_is_told(self) -> None:
        """A credit client hears 301 of a tracked message that was refused."""
        self.open("p", credit=0)
        (confirm,) = self.say("p", request(tracker=b"t", content=b"x" * 26))
        self.assertEqual(confirm[:2], (b"t", 301))

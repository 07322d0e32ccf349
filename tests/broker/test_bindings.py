"""Bindings: records of streams become requests to services (docs/streams.md)."""

from __future__ import annotations

import msgspec

from alaska.access import AccessRules, Rule, User, Verb
from alaska.broker import bindings
from alaska.broker.binding import BindingKey
from alaska.broker.limits import Limits, QueueLimits
from alaska.errors import PatternError, Refused
from alaska.message import QueueKind, Retention
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, BrokerTestCase
from tests.broker.test_durability import DurableTestCase
from tests.broker.test_streams import numbers, write

KEY = BindingKey(b"s", b"svc", b"")
OCTETS = 300
"""More than a request with one octet of content has, as limits count it: its properties count, too."""


def offer(*streams: tuple[bytes, bytes]) -> mlm.ServiceOffer:
    """Return the offer of the service svc that binds streams, each with a pattern."""
    return mlm.ServiceOffer(b"svc", b"", {"bind": msgspec.msgpack.encode(streams)})


class BindingCase(BrokerTestCase):
    """A broker whose streams store records, and the client w, which writes."""

    limits = Limits(retention=Retention(most_records=None), bindings=3)

    def setUp(self) -> None:
        super().setUp()
        self.open("w")

    def bind(self, key: BindingKey = KEY, position: int = 0) -> None:
        """Bind a stream to a service."""
        self.broker.bindings.bind(key, position, "test")

    def work(self, name: str) -> list[mlm.ServiceDeliver]:
        """Let a worker confirm what it has got; return that."""
        got = [each for each in self.take(name) if isinstance(each, mlm.ServiceDeliver)]
        for each in got:
            self.do(name, mlm.Confirm(b"", 200, b"", {"lease": each.properties["lease"]}))
        return got

    def work_on(self, name: str, rounds: int = 50) -> list[bytes]:
        """Let a worker work until nothing comes any more; return the subjects."""
        done: list[bytes] = []
        for _ in range(rounds):
            got = self.work(name)
            done += [each.subject for each in got]
            if got:
                self.do(name, mlm.Credit(len(got)))
            self.pass_time(0.05, "w")
        return done


class RequestTests(BindingCase):
    """The requests."""

    def test_stored_and_new_records(self) -> None:
        """Each record that matches becomes a request with its sender, subject, content, headers and position."""
        self.do("w", *write(b"temp", b"other"))
        self.bind(KEY._replace(pattern=b"^temp"))
        self.pass_time(0.1, "w")
        self.open_second("v", OFFER, credit=10)
        self.do("w", mlm.StreamSend(b"temp.2", (b"a", b"b")))
        first, second = self.work("v")
        self.assertEqual((first.subject, first.sender, first.content), (b"temp", b"w", (b"temp",)))
        self.assertEqual((second.subject, second.content), (b"temp.2", (b"a", b"b")))
        self.assertEqual([each.properties["position"] for each in (first, second)], [1, 3])
        self.assertEqual(second.properties["stream"], b"s")

    def test_properties(self) -> None:
        """Headers and the trace context are passed on, and no other property of the record."""
        self.bind()
        self.open_second("v", OFFER, credit=10)
        self.open_second("w2", mlm.StreamWrite(b"s"))
        given: mlm.Properties = {"h-a": b"1", "traceparent": b"t", "priority": 9, "id": b"x", "lease": 77}
        self.do("w2", mlm.StreamSend(b"x", (), given))
        (request,) = self.work("v")
        self.assertEqual(
            set(request.properties), {"h-a", "traceparent", "stream", "position", "lease", "attempt", "since"}
        )

    def test_from_a_position(self) -> None:
        """A binding begins at the oldest record, at a position, or at the next record."""
        self.do("w", *write(*numbers(5)))
        self.bind(position=4)
        self.bind(BindingKey(b"s", b"new", b""), mlm.LIVE_ONLY)
        self.pass_time(0.1, "w")
        self.open_second("v", OFFER, mlm.ServiceOffer(b"new", b""), credit=10)
        self.do("w", *write(b"x"))
        self.assertEqual(sorted(each.subject for each in self.work("v")), [b"3", b"4", b"x", b"x"])

    def test_two_patterns(self) -> None:
        """A record that matches two bindings becomes two requests, also for one service."""
        self.bind()
        self.bind(KEY._replace(pattern=b"^a"))
        self.open_second("v", OFFER, credit=10)
        self.do("w", *write(b"a", b"b"))
        self.assertEqual(sorted(each.subject for each in self.work("v")), [b"a", b"a", b"b"])

    def test_unwanted_record(self) -> None:
        """A binding goes past records that do not match, which are matched against its pattern once a subject."""
        self.bind(KEY._replace(pattern=b"^a"))
        self.bind(KEY._replace(pattern=b"^b"))
        self.pass_time(0.1, "w")
        self.do("w", *write(b"x"))
        index = self.broker.bindings._of_stream[b"s"]._index
        before = index.matched
        self.do("w", *write(*[b"x"] * 9))
        self.assertEqual([(each.position, each.lag) for each in self.broker.bindings], [(11, 0), (11, 0)])
        self.assertEqual(index.matched, before)

    def test_unbound_pattern(self) -> None:
        """Of several bindings of a stream, only those that are left get records."""
        self.bind()
        self.bind(KEY._replace(pattern=b"^a"))
        self.open_second("v", OFFER, credit=10)
        self.do("w", *write(b"a"))
        self.assertTrue(self.broker.bindings.unbind(KEY))
        self.do("w", *write(b"a", b"b"))
        self.assertEqual([each.properties["position"] for each in self.work("v")], [1, 1, 2])

    def test_redelivered(self) -> None:
        """A request is redelivered to another worker as any other, if its worker is lost."""
        self.bind()
        self.open_second("v", OFFER, credit=10)
        self.do("w", *write(b"1"))
        self.do("v", CLOSE)
        self.open_second("v2", OFFER, credit=10)
        (request,) = self.work("v2")
        self.assertEqual((request.properties["attempt"], request.properties["position"]), (2, 1))

    def test_balanced(self) -> None:
        """The requests go to all workers."""
        self.bind()
        for name in ("v1", "v2", "v3"):
            self.open_second(name, OFFER, credit=10)
        self.do("w", *write(*numbers(9)))
        self.assertEqual([len(self.work(name)) for name in ("v1", "v2", "v3")], [3, 3, 3])

    def test_too_many_properties(self) -> None:
        """A record that has too many headers for a request is skipped, counted and logged."""
        self.bind()
        self.open_second("w2", mlm.StreamWrite(b"s"))
        self.do("w2", mlm.StreamSend(b"x", (), {f"h-{number}": b"" for number in range(30)}))
        (binding,) = self.broker.bindings
        self.assertEqual((binding.skipped, binding.position), (1, 2))


class PressureTests(BindingCase):
    """Bindings whose queues have much to do."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(bindings, "MOST_UNFINISHED", 10)

    @property
    def waiting(self) -> int:
        """The number of requests that wait."""
        return self.broker.queues.table.open(*self.queue).waiting

    @property
    def queue(self) -> tuple[QueueKind, bytes]:
        """The queue of the service."""
        return QueueKind.SERVICE, b"svc"

    def test_waits(self) -> None:
        """A binding makes no requests while so many are unfinished; the records stay in the stream, in order."""
        self.bind()
        self.do("w", *write(*numbers(50)))
        self.pass_time(0.2, "w")
        self.assertEqual(self.waiting, 10)
        self.open_second("v", OFFER, credit=3)
        self.assertEqual(self.work_on("v"), numbers(50))

    def test_continues_at_once(self) -> None:
        """A confirmation lets the next requests follow without waiting for a tick."""
        self.bind()
        self.do("w", *write(*numbers(50)))
        self.open_second("v", OFFER, credit=100)
        done = 0
        while got := self.work("v"):
            done += len(got)
        self.assertEqual(done, 50)

    def test_delayed_by_senders(self) -> None:
        """Requests that their senders have delayed do not keep a binding from making requests."""
        self.bind()
        self.open_second("p")
        for _ in range(20):
            self.do("p", mlm.ServiceSend(b"svc", b"later", b"", 0, (), {"delay": 3_600_000}))
        self.do("w", *write(*numbers(3)))
        self.assertEqual(self.waiting, 3)

    def test_put_off(self) -> None:
        """A binding waits while workers have put off so many requests, until these are done."""
        self.bind()
        self.open_second("v", OFFER, credit=100)
        self.do("w", *write(*numbers(30)))
        for _ in range(3):
            for each in self.take("v"):
                if isinstance(each, mlm.ServiceDeliver):
                    later: mlm.Properties = {"lease": each.properties["lease"], "delay": 5000, "spent": 1}
                    self.do("v", mlm.Confirm(b"", 300, b"", later))
        (binding,) = self.broker.bindings
        self.assertEqual((binding.made, self.broker.bindings.unfinished(binding)), (10, 10))
        for _ in range(6):
            self.pass_time(1, "w")
            self.do("v", mlm.ConnectionPing())
        self.assertEqual(sorted(self.work_on("v")), sorted(numbers(30)))
        self.assertEqual(self.broker.bindings.unfinished(binding), 0)

    def test_full_queue(self) -> None:
        """At the size limit of the queue, the records wait in the stream, and none is lost."""
        limits = Limits(retention=Retention(most_records=None), service=QueueLimits(5 * OCTETS))
        self.broker.configure(limits)
        self.bind()
        self.do("w", *write(*numbers(20)))
        self.pass_time(0.2, "w")
        self.assertLess(self.waiting, 10)
        self.open_second("v", OFFER, credit=2)
        self.assertEqual(self.work_on("v"), numbers(20))
        self.assertEqual(self.broker.counters.dropped_for, {})

    def test_too_large(self) -> None:
        """A record that is larger than the queue may be is skipped, and does not stop the others."""
        self.broker.configure(Limits(retention=Retention(most_records=None), service=QueueLimits(2 * OCTETS)))
        self.bind()
        self.open_second("v", OFFER, credit=9)
        self.do(
            "w",
            mlm.StreamWrite(b"s"),
            mlm.StreamSend(b"large", (b"x" * 2 * OCTETS,)),
            mlm.StreamSend(b"small", (b"x",)),
        )
        self.assertEqual([each.subject for each in self.work("v")], [b"small"])

    def test_drained(self) -> None:
        """A broker that drains makes no requests."""
        self.bind()
        self.broker.queues.is_draining = True
        self.do("w", *write(*numbers(3)))
        self.pass_time(0.1, "w")
        self.assertEqual(self.waiting, 0)
        self.broker.queues.is_draining = False
        self.pass_time(0.1, "w")
        self.assertEqual(self.waiting, 3)


class RetentionTests(BindingCase):
    """Retention that does not wait for a binding."""

    limits = Limits(retention=Retention(most_records=5))

    def test_removed(self) -> None:
        """What the retention has removed is counted as lost at once, and the binding goes on with what is left."""
        self.patch(bindings, "MOST_UNFINISHED", 2)
        self.bind()
        self.do("w", *write(*numbers(20)))
        self.pass_time(2, "w")
        (binding,) = self.broker.bindings
        self.assertEqual((binding.lost, binding.position), (13, 16))
        self.open_second("v", OFFER, credit=9)
        self.assertEqual(self.work_on("v"), [b"0", b"1", *numbers(5, 15)])
        self.assertEqual(binding.lost, 13)


class LiveTests(BindingCase):
    """Streams that store no records."""

    limits = Limits(service=QueueLimits(3 * OCTETS))

    def test_new_records_only(self) -> None:
        """Each new record becomes a request at once, however many wait, as long as the queue has room."""
        self.patch(bindings, "MOST_UNFINISHED", 2)
        self.do("w", *write(b"x"))
        self.bind()
        self.do("w", *write(b"1", b"2", b"3", b"4"))
        self.open_second("v", OFFER, credit=9)
        self.assertEqual(self.work_on("v"), [b"1", b"2", b"3"])
        (binding,) = self.broker.bindings
        self.assertEqual((binding.lost, binding.made), (1, 3))

    def test_unbound(self) -> None:
        """A stream that is not bound any more is forgotten."""
        self.bind()
        self.assertEqual(len(self.broker.streams), 1)
        self.assertTrue(self.broker.bindings.unbind(KEY))
        self.assertFalse(self.broker.bindings.unbind(KEY))
        self.assertEqual(len(self.broker.streams), 0)


class LimitTests(BindingCase):
    """What cannot be bound."""

    def test_refused(self) -> None:
        """Names and patterns must be valid, and there is a limit."""
        for key in (KEY._replace(stream=b""), KEY._replace(service=b"x" * 256), KEY._replace(service=b"alaska.admin")):
            self.assertRaises(Refused, self.bind, key)
        self.assertRaises(PatternError, self.bind, KEY._replace(pattern=b"("))
        self.patch(bindings, "MOST_OF_STREAM", 2)
        self.bind()
        self.bind(KEY._replace(pattern=b"x"))
        self.assertRaises(Refused, self.bind, KEY._replace(pattern=b"y"))
        self.bind(KEY._replace(stream=b"t"))
        self.assertRaises(Refused, self.bind, KEY._replace(stream=b"u"))
        self.assertFalse(self.broker.bindings.bind(KEY, 0, "again"))


class OfferTests(BindingCase):
    """Bindings that workers ask for with their offers."""

    def test_offered(self) -> None:
        """An offer binds streams, which stay bound when the worker has left, and go on where they are."""
        self.do("w", *write(*numbers(2)))
        self.open_second("v", offer((b"s", b""), (b"t", b"^x")), credit=9)
        self.assertEqual(self.work_on("v", 3), numbers(2))
        self.do("v", CLOSE)
        self.do("w", *write(b"2"))
        self.open_second("v2", offer((b"s", b"")), credit=9)
        self.assertEqual(self.work_on("v2", 3), [b"2"])
        self.assertEqual(len(self.broker.bindings), 2)

    def test_refused(self) -> None:
        """An offer whose bindings are not valid is refused as a whole."""
        self.open_second("v")
        bad = (b"no", msgspec.msgpack.encode([(b"s", b"(")]), msgspec.msgpack.encode([(b"s", b"")] * 33))
        for value in bad:
            (answer,) = self.say("v", mlm.ServiceOffer(b"svc", b"", {"bind": value}))
            self.assertIsInstance(answer, mlm.Error)
        client = self.broker.clients.by_address(b"v")
        assert client is not None
        self.assertEqual(self.broker.queues.offered_by(client), [])

    def test_refused_as_a_whole(self) -> None:
        """If one of several streams cannot be bound, none of them is."""
        self.do("w", *write(*numbers(2)))
        self.open_second("v")
        for bad in ([(b"t", b"(")], [(b"", b"")], [(b"t%d" % number, b"") for number in range(3)]):
            (answer,) = self.say("v", offer((b"s", b""), *bad))
            self.assertIsInstance(answer, mlm.Error)
            self.assertEqual(len(self.broker.bindings), 0)
        self.assertNotIn((QueueKind.SERVICE, b"svc"), self.broker.queues.table)


class UserTests(BindingCase):
    """Bindings with access rules."""

    has_users = True
    rules = AccessRules(
        (
            User("w", (Rule(Verb.OPEN, ".*"), Rule(Verb.WRITE, "s"))),
            User(
                "v",
                (
                    Rule(Verb.OPEN, ".*"), Rule(Verb.OFFER, "svc|part"), Rule(Verb.READ, "s"), Rule(Verb.ASK, "svc"),
                    Rule(Verb.ASK, "part", "x"),
                ),
            ),
        )
    )  # fmt: skip

    def setUp(self) -> None:
        super().setUp()
        self.router.users.update({b"v": b"v", b"w": b"w"})
        self.open_second("v")

    def status(self, command: mlm.Command) -> int:
        """Return the status with which a command of v is answered."""
        (answer,) = self.say("v", command)
        assert isinstance(answer, mlm.Ok | mlm.Error)
        return answer.status_code

    def test_rights(self) -> None:
        """Who binds needs the right to read the stream, and to ask the service whatever the subject."""
        self.assertEqual(self.status(offer((b"t", b""))), 401)
        self.assertEqual(self.status(mlm.ServiceOffer(b"part", b"", offer((b"s", b"")).properties)), 401)
        self.assertEqual(self.status(offer((b"s", b""))), 200)

    def test_operation(self) -> None:
        """The operation bind needs the same rights, if the user may not administer the broker."""
        answers = []
        for stream in (b"s", b"t"):
            content = b'{"stream": "%b", "service": "svc"}' % stream
            self.do("v", mlm.Credit(1), mlm.ServiceSend(b"alaska.admin", b"bind", b"t", 0, (content,)))
            answers += self.take("v")
        self.assertEqual([type(each) for each in answers], [mlm.MailboxDeliver, mlm.Confirm])
        self.assertEqual(len(self.broker.bindings), 1)

    def test_large_operation(self) -> None:
        """A request for it that is too large is refused without being read."""
        content = b'{"stream": "s", "service": "svc"}' + b" " * 20_000
        self.do("v", mlm.Credit(1), mlm.ServiceSend(b"alaska.admin", b"bind", b"t", 0, (content,)))
        (answer,) = self.take("v")
        assert isinstance(answer, mlm.Confirm)
        self.assertEqual(answer.status_code, 401)


class StoredTests(DurableTestCase):
    """Bindings in a store's file."""

    limits = Limits(retention=Retention(most_records=None))

    def test_kill(self) -> None:
        """After the end of the broker without a warning, no record is missing, and no request is there twice."""
        self.open("w")
        self.broker.bindings.bind(KEY, 0, "test")
        self.do("w", *write(*numbers(10)))
        self.write()
        self.do("w", *write(*numbers(5, 10)))
        self.crash()
        self.open("w")
        self.do("w", *write(b"new"))
        self.pass_time(0.2, "w")
        self.open_second("v", OFFER, credit=100)
        self.write()
        self.pass_time(0.1, "w")
        self.assertEqual(sorted(self.taken("v")), sorted([*numbers(10), b"new"]))

    def test_entry_follows_its_request(self) -> None:
        """The position is never stored in an earlier transaction than the request."""
        self.open("w")
        self.broker.bindings.bind(KEY, 0, "test")
        self.do("w", *write(b"1"))
        current = self.durable._unwritten.current
        self.assertEqual(len(list(current.messages())), 1)
        self.assertIn((bindings.ENTRY, KEY.encode()), current.entries)

    def test_stopped(self) -> None:
        """A binding survives a restart; one that was ended does not."""
        self.broker.bindings.bind(KEY, 0, "test")
        self.broker.bindings.bind(KEY._replace(stream=b"t"), 0, "test")
        self.broker.bindings.unbind(KEY)
        self.broker.close()
        self.write()
        self.crash()
        self.assertEqual([each.key.stream for each in self.broker.bindings], [b"t"])

    def test_damaged(self) -> None:
        """Entries that cannot be read are left out."""
        for name in (b"", b"\x01s\x03svc(", b"\xff"):
            self.durable.set_entry(bindings.ENTRY, name, b"no")
        self.write()
        self.crash()
        self.assertEqual(len(self.broker.bindings), 0)

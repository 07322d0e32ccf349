"""The access rules applied to the commands of clients of both editions, single and in batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent

from alaska.access import ANONYMOUS, AccessRules, Role, Rule, User, Verb
from alaska.broker.answers import ANSWERS_PER_REQUEST, MEMORY_SECONDS
from alaska.mlm import commands as mlm
from alaska.mlm.batch import encode_batch
from tests.broker.broker_case import CLOSE, ERROR_500, OFFER, OK, PING, PONG, BrokerTestCase, confirm, mail, request

SEND = mlm.StreamSend(b"x", (b"1",))


def user(name: str, *rules: tuple[str, str]) -> User:
    """Return a user with rules, each a verb and a name, and for ``ask`` perhaps a subject."""
    found = []
    for verb, text in rules:
        pattern, _, subject = text.partition(" ")
        found.append(Rule(Verb(verb), pattern, subject or None))
    return User(name, tuple(found))


WORKER = Role("worker", (Rule(Verb.OPEN, "w.*"), Rule(Verb.OFFER, "svc"), Rule(Verb.WRITE, "log")))
ANN = user("ann", ("open", "ann|a2"), ("ask", "svc job|pi"), ("send", "inbox.*"), ("read", "log"))
WORK = User("work", (), (WORKER,))
RULES = AccessRules((ANN, WORK, user(ANONYMOUS, ("ask", "open"), ("open", "guest"))))


class AccessTestCase(BrokerTestCase):
    """A broker with rules; peers have the user that their name begins with."""

    rules = RULES
    has_users = True

    def setUp(self) -> None:
        super().setUp()
        for name in ("ann", "a2"):
            self.router.users[name.encode()] = b"ann"
        for name in ("w", "w2", "wx"):
            self.router.users[name.encode()] = b"work"
        self.router.users[b"inner"] = None
        self.router.users[b"eve"] = b"eve"

    @property
    def refused(self) -> int:
        """The number of commands that the rules have refused."""
        return self.broker.counters.access_refused

    def silent(self, name: str) -> None:
        """Open a client without address."""
        self.do(name, mlm.ConnectionOpen(b""))
        self.take(name)


class OpenTests(AccessTestCase):
    """``open``: an address and its mailbox."""

    def test_own(self) -> None:
        """A user opens with an address for which it has a right, and without an address."""
        for address in (b"ann", b"a2", b""):
            (answer,) = self.say("ann", mlm.ConnectionOpen(address))
            self.assertIsInstance(answer, mlm.Ok)
            self.do("ann", CLOSE)
            self.take("ann")

    def test_of_another(self) -> None:
        """Nobody opens with the address of another: the mail goes to its owner, who keeps the session."""
        self.open("ann", PING)
        for peer in ("w", "eve", "guest"):
            (answer,) = self.say(peer, mlm.ConnectionOpen(b"ann"))
            assert isinstance(answer, mlm.Error)
            self.assertEqual(answer.status_code, 300)
            self.assertEqual(self.say(peer, PING), [ERROR_500])
        self.assertEqual(self.refused, 3)
        self.open("inner", mail(to=b"ann"))
        self.assertEqual(self.taken("ann"), [b"hi"])

    def test_second_edition(self) -> None:
        """A client that announces capabilities gets ERROR 401 with the reason."""
        self.router.second_edition.add(b"eve")
        (answer,) = self.say("eve", mlm.ConnectionOpen(b"ann", {"can": b"batch properties"}))
        self.assertEqual(answer, mlm.Error(401, b"user eve may not open ann"))

    def test_strange_addresses(self) -> None:
        """Addresses that only resemble a permitted one are refused."""
        for address in (b"ann\n", b"ann\0", b"\0ann", b"Ann", b"ann ", b"annx", b"alaska.letters"):
            (answer,) = self.say("ann", mlm.ConnectionOpen(address))
            self.assertIsInstance(answer, mlm.Error, address)

    def test_without_login(self) -> None:
        """A client without authentication has the rules of the user anonymous, and only those."""
        self.assertIsInstance(self.say("x", mlm.ConnectionOpen(b"guest"))[0], mlm.Ok)
        self.assertIsInstance(self.say("y", mlm.ConnectionOpen(b"other"))[0], mlm.Error)

    def test_own_process(self) -> None:
        """A connection of the broker's process that acts for nobody may do everything."""
        self.open("inner", mlm.ServiceOffer(b"any", b""), mlm.StreamWrite(b"any"), SEND, mail(to=b"ann"))
        self.assertEqual(self.refused, 0)


class SendTests(AccessTestCase):
    """``ask``, ``send`` and ``write``."""

    def test_ask(self) -> None:
        """A request goes to the worker if service and subject are allowed; a refused one gets CONFIRM 401."""
        self.open("w", OFFER, credit=10)
        self.open("ann", credit=10)
        self.do("ann", request(b"job", b"1"))
        self.assertEqual(self.taken("w"), [b"job"])
        self.take("ann")
        answers = self.say("ann", request(b"other", b"2"), mlm.ServiceSend(b"svc2", b"job", b"3", 0, ()))
        self.assertEqual([each.status_code for each in answers if isinstance(each, mlm.Confirm)], [401, 401])
        self.assertEqual(self.taken("w"), [])

    def test_ask_without_tracker(self) -> None:
        """A refused request without a tracker, or of a plain client, is dropped and counted."""
        self.open("w", OFFER, credit=10)
        self.open("ann", credit=1)
        self.silent("a2")
        self.assertEqual(self.say("ann", request(b"other")), [])
        self.assertEqual(self.say("a2", request(b"other", b"t")), [])
        self.assertEqual((self.taken("w"), self.refused), ([], 2))

    def test_repeated(self) -> None:
        """What is permitted, and what is refused, stays so when it is repeated."""
        self.open("w", OFFER, credit=1000)
        self.open("ann")
        self.do("ann", *[request(subject) for _ in range(3) for subject in (b"job", b"other", b"pi")])
        self.assertEqual(self.taken("w"), [b"job", b"pi"] * 3)
        self.assertEqual(self.refused, 3)

    def test_send(self) -> None:
        """Mail goes only to permitted mailboxes, and not to the address of a worker."""
        self.open("w", OFFER, credit=10)
        self.open("ann", credit=1)
        answers = self.say("ann", mail(to=b"inbox1", tracker=b"1"), mail(to=b"w", tracker=b"2"))
        self.assertEqual([each.status_code for each in answers if isinstance(each, mlm.Confirm)], [201, 401])
        self.assertEqual(self.taken("w"), [])
        self.assertEqual(self.say("ann", mail(to=b"inbox\n", tracker=b"3")), [mlm.Confirm(b"3", 201, b"offers=0")])

    def test_write(self) -> None:
        """A user publishes to permitted streams only; after a refusal, nothing goes to the stream before."""
        self.open("ann", mlm.StreamRead(b"log", b""))
        self.open("w", mlm.StreamWrite(b"log"), SEND)
        self.assertEqual(self.taken("ann"), [b"x"])
        self.assertEqual(self.say("w", mlm.StreamWrite(b"other"), SEND), [OK])
        self.assertEqual(self.taken("ann"), [])
        self.assertEqual(self.say("w", PING), [PONG])
        self.do("w", mlm.StreamWrite(b"log"), SEND)
        self.assertEqual((self.taken("ann"), self.refused), ([b"x"], 2))

    def test_write_second_edition(self) -> None:
        """A client of the second edition gets ERROR 401 for a stream, and keeps its session."""
        self.open_second("w")
        self.assertEqual(self.say("w", mlm.StreamWrite(b"other")), [mlm.Error(401, b"user work may not write other")])
        self.assertEqual(self.say("w", PING), [PONG])

    def test_batch(self) -> None:
        """In a batch, each command that is not allowed is refused, and all others are executed."""
        self.open("wx", OFFER, credit=10)
        self.open("inner", mlm.StreamRead(b"log", b""))
        self.open_second("ann", credit=10)
        commands: list[mlm.Command] = [
            request(b"job", b"1"), request(b"no", b"2"), mail(to=b"w", tracker=b"3"), mlm.StreamWrite(b"log"), SEND,
            OFFER, mail(to=b"inbox", tracker=b"4"), request(b"pi", b"5"),
        ]  # fmt: skip
        self.do_together("ann", *commands)
        self.assertEqual((self.taken("wx"), self.taken("inner")), ([b"job", b"pi"], []))
        answers = [(each.tracker, each.status_code) for each in self.take("ann") if isinstance(each, mlm.Confirm)]
        self.assertEqual(answers, [(b"1", 201), (b"2", 401), (b"3", 401), (b"4", 201), (b"5", 201)])
        self.assertEqual(self.refused, 5)


class SetupTests(AccessTestCase):
    """``offer`` and ``read``."""

    def test_offer(self) -> None:
        """An offer without right gets no requests: a plain client gets OK, another one ERROR 401."""
        self.open("ann", credit=1)
        self.silent("a2")
        self.assertEqual(self.say("a2", OFFER), [OK])
        self.assertEqual(self.say("ann", OFFER), [mlm.Error(401, b"user ann may not offer svc")])
        self.do("ann", request())
        self.assertEqual((self.taken("ann"), self.taken("a2")), ([], []))
        self.open("w", OFFER)
        self.assertEqual(self.taken("w"), [b"job"])

    def test_read(self) -> None:
        """A reader without right gets no messages, neither new ones nor stored ones."""
        self.silent("a2")
        replay = mlm.StreamReplay(b"secret", b"", 0)
        self.assertEqual(self.say("a2", mlm.StreamRead(b"secret", b""), replay), [OK, OK])
        self.open_second("ann", credit=10)
        refusal = mlm.Error(401, b"user ann may not read secret")
        self.assertEqual(self.say("ann", mlm.StreamRead(b"secret", b""), replay), [refusal, refusal])
        self.open("inner", mlm.StreamWrite(b"secret"), SEND)
        self.assertEqual((self.taken("ann"), self.taken("a2")), ([], []))

    def test_own_streams(self) -> None:
        """The broker's own streams are not covered by a pattern for all streams."""
        self.broker.replace_rules(AccessRules((user("ann", ("read", ".*")), user("work", ("admin", "view")))))
        self.silent("ann")
        self.silent("w")
        self.say("ann", mlm.StreamRead(b"alaska.events", b""))
        self.say("w", mlm.StreamRead(b"alaska.events", b""))
        self.open("inner", mlm.StreamWrite(b"alaska.events"), SEND)
        self.assertEqual((self.taken("ann"), self.taken("w")), ([], [b"x"]))


class AnswerTests(AccessTestCase):
    """A worker answers whoever has asked it."""

    def setUp(self) -> None:
        super().setUp()
        self.open("ann")

    def answer(self, name: str) -> list[bytes]:
        """Send an answer to ann, and return what ann gets."""
        self.do(name, mail(b"answer", b"ann"))
        return self.taken("ann")

    def test_until_confirmed(self) -> None:
        """A worker may answer from the delivery of a request on, until it has confirmed it."""
        self.open("w", OFFER, credit=10)
        self.assertEqual(self.answer("w"), [])
        self.do("ann", request(tracker=b"1"), request(tracker=b"2"))
        self.assertEqual(self.answer("w"), [b"answer"])
        self.do("w", confirm(b"1"))
        self.assertEqual(self.answer("w"), [b"answer"])
        self.do("w", confirm(b"2"))
        self.assertEqual(self.answer("w"), [])
        self.assertEqual(self.refused, 2)

    def test_other_connection(self) -> None:
        """Another connection of the same user may answer, but no other user."""
        self.open("w", OFFER, credit=10)
        self.open("w2")
        self.silent("eve")
        self.do("ann", request(tracker=b"1"))
        self.assertEqual(self.answer("w2"), [b"answer"])
        self.assertEqual(self.answer("eve"), [])

    def test_lost_worker(self) -> None:
        """When the connection of a worker ends, its user may not answer any more."""
        self.open("w", OFFER, credit=10)
        self.open("w2")
        self.do("ann", request(tracker=b"1"))
        self.do("w", CLOSE)
        self.assertEqual(self.answer("w2"), [])

    def test_leases(self) -> None:
        """The same holds for a worker of the second edition, also if all is in one batch."""
        self.open_second("w", OFFER, credit=10)
        self.do("ann", request())
        (delivery,) = self.take("w")
        assert isinstance(delivery, mlm.ServiceDeliver)
        done = mlm.Confirm(b"", 200, b"", {"lease": delivery.properties["lease"]})
        self.do_together("w", mail(b"1", b"ann"), done, mail(b"2", b"ann"))
        self.assertEqual((self.taken("ann"), self.refused), ([b"1"], 1))

    def test_mail_is_no_request(self) -> None:
        """Mail does not allow an answer."""
        self.open("w", credit=10)
        self.broker.replace_rules(AccessRules((user("ann", ("open", "ann"), ("send", "w")), WORK)))
        self.do("ann", mail(to=b"w", tracker=b"1"))
        self.assertEqual(self.taken("w"), [b"hi"])
        self.assertEqual(self.answer("w"), [])

    def test_guessed_tracker(self) -> None:
        """A confirmation of another's delivery has no effect."""
        self.open("w", OFFER, credit=10)
        self.open("w2", credit=10)
        self.do("ann", request(tracker=b"1"))
        self.do("w2", confirm(b"1"))
        self.assertEqual(self.answer("w"), [b"answer"])
        self.assertEqual(self.broker.counters.invalid, 1)

    def test_plain_worker(self) -> None:
        """A plain worker may send a number of answers for each request."""
        self.open("w", OFFER)
        self.do("ann", request())
        for _ in range(ANSWERS_PER_REQUEST):
            self.assertEqual(self.answer("w"), [b"answer"])
        self.assertEqual(self.answer("w"), [])

    def test_plain_worker_too_late(self) -> None:
        """A plain worker may answer for a time."""
        self.open("w", OFFER)
        self.do("ann", request())
        self.now += MEMORY_SECONDS
        self.broker.clients.by_address(b"ann").last_heard = self.now  # type: ignore[union-attr]
        self.broker.clients.by_address(b"w").last_heard = self.now  # type: ignore[union-attr]
        self.broker.tick(self.now)
        self.assertEqual(self.answer("w"), [b"answer"])
        self.broker.tick(self.now + MEMORY_SECONDS)
        self.assertFalse(self.broker.access._answers[b"work"].may_send(b"ann"))

    def test_rules_that_come_later(self) -> None:
        """A worker may answer the requests that it had before there were rules."""
        self.broker.replace_rules(None)
        self.open("w", OFFER, credit=10)
        self.do("ann", request(tracker=b"1"))
        self.broker.replace_rules(RULES)
        self.assertEqual(self.answer("w"), [b"answer"])
        self.do("w", confirm(b"1"))
        self.assertEqual(self.answer("w"), [])


class OtherUserTests(AccessTestCase):
    """A user who connects with the routing id of a session of another user."""

    def setUp(self) -> None:
        super().setUp()
        self.open("w", OFFER, credit=10)
        self.open("ann", credit=10)
        self.do("ann", request(tracker=b"1"))
        self.assertEqual(self.taken("w"), [b"job"])
        self.take("ann")

    def test_not_usable(self) -> None:
        """Its commands are not executed: the session ends, and its requests are delivered again."""
        self.open("w2", OFFER, credit=10)
        self.router.users[b"w"] = b"eve"
        for command in (confirm(b"1"), mail(to=b"ann"), OFFER, PING, request()):
            self.assertEqual(self.say("w", command), [ERROR_500])
        self.assertEqual((self.taken("w2"), self.take("ann")), ([b"job"], []))
        self.assertEqual(self.broker.counters.wrong_user, 1)

    def test_opens(self) -> None:
        """It can open a session of its own, with its own rights."""
        self.router.users[b"w"] = b"ann"
        self.assertIsInstance(self.say("w", mlm.ConnectionOpen(b"w"))[0], mlm.Error)
        self.assertIsInstance(self.say("w", mlm.ConnectionOpen(b""))[0], mlm.Ok)
        self.do("w", OFFER)
        self.assertEqual(self.refused, 2)

    def test_confirmations(self) -> None:
        """It does not get the confirmations for the messages of the other, even without addresses."""
        self.silent("a2")
        self.do("a2", mlm.Credit(1), request(b"pi", b"2"), CLOSE)
        self.take("a2")
        self.router.users[b"a2"] = b"eve"
        self.do("a2", mlm.ConnectionOpen(b""), mlm.Credit(1))
        self.take("a2")
        self.do("w", confirm(b"2"))
        self.assertEqual(self.take("a2"), [])

    def test_same_user(self) -> None:
        """A client that connects again with its own routing id keeps its session."""
        self.assertEqual(self.say("w", PING), [PONG])
        self.assertEqual(self.broker.counters.wrong_user, 0)


class AdministrationTests(AccessTestCase):
    """Dead letters and the rules of ``admin``."""

    rules = AccessRules(
        (
            user("ann", ("open", "ann"), ("admin", "operate")),
            user("work", ("open", "w"), ("admin", "view")),
            user("eve", ("open", "eve"), ("ask", ".*"), ("send", ".*"), ("offer", ".*")),
        )
    )

    def status(self, name: str, subject: bytes) -> int:
        """Ask for dead letters, and return the status of the refusal, or 0."""
        answers = self.say(name, mlm.ServiceSend(b"alaska.letters", subject, b"t", 0, (b'{"position": 1}',)))
        return next((each.status_code for each in answers if isinstance(each, mlm.Confirm)), 0)

    def test_levels(self) -> None:
        """Whoever may view lists dead letters, and whoever may operate replays them; others do neither."""
        for name, expected in (("ann", [0, 0, 0, 0]), ("w", [0, 401, 401, 401]), ("eve", [401, 401, 401, 401])):
            self.open(name, credit=10)
            found = [self.status(name, subject) for subject in (b"list", b"read", b"replay", b"drop")]
            self.assertEqual(found, expected, name)

    def test_reason(self) -> None:
        """A refusal names the level that the user needs, and is counted once, with and without rules."""
        self.open("w", credit=10)
        for service, subject in ((b"alaska.letters", b"read"), (b"alaska.admin", b"pause")):
            answers = self.say("w", mlm.ServiceSend(service, subject, b"t", 0, ()))
            self.assertEqual(answers, [mlm.Confirm(b"t", 401, b"user work may not admin operate")])
        self.assertEqual(self.refused, 2)
        self.broker.replace_rules(None)
        self.router.is_local = self.router.is_on_machine = False
        for service, subject in ((b"alaska.letters", b"read"), (b"alaska.admin", b"pause")):
            (answer,) = self.say("w", mlm.ServiceSend(service, subject, b"t", 0, ()))
            assert isinstance(answer, mlm.Confirm)
            self.assertIn(b"access rules", answer.status_reason)
        self.assertEqual(self.refused, 4)

    def test_own_service(self) -> None:
        """Nobody offers a service, or writes to a mailbox, with a name of the broker."""
        self.open("eve", credit=10)
        error = mlm.Error(401, b"user eve may not offer alaska.letters")
        self.assertEqual(self.say("eve", mlm.ServiceOffer(b"alaska.letters", b"")), [error])
        self.do("eve", mail(to=b"alaska.letters"), mlm.ServiceSend(b"alaska.other", b"", b"", 0, ()))
        self.assertEqual(self.refused, 3)

    def test_local(self) -> None:
        """With rules, a local client has no more rights than others."""
        self.router.is_local = True
        self.open("eve", credit=1)
        self.assertEqual(self.status("eve", b"list"), 401)

    def test_without_rules(self) -> None:
        """Without rules, local clients use dead letters as before."""
        self.broker.replace_rules(None)
        self.open("eve", credit=1)
        self.assertEqual(self.status("eve", b"list"), 0)


class ReplaceTests(AccessTestCase):
    """New rules for running sessions."""

    def test_next_commands(self) -> None:
        """The next commands of a session are checked by the new rules, also those that were permitted before."""
        self.open("w", OFFER, credit=10)
        self.open("ann")
        self.do("ann", request(b"job"), request(b"no"))
        self.broker.replace_rules(AccessRules((user("ann", ("open", "ann"), ("ask", "svc no")), WORK)))
        self.do("ann", request(b"job"), request(b"no"))
        self.assertEqual(self.taken("w"), [b"job", b"no"])

    def test_ends_offers_and_readers(self) -> None:
        """Offers and readers that are not allowed any more end, and others stay; unconfirmed requests stay, too."""
        self.open("w", OFFER, mlm.ServiceOffer(b"two", b""), credit=10)
        self.open("ann", mlm.StreamRead(b"log", b""))
        self.do("ann", request(tracker=b"1"))
        self.take("w")
        rules = AccessRules((user("ann", ("open", "ann"), ("ask", "svc")), user("work", ("open", "w"))))
        self.broker.replace_rules(rules)
        self.do("ann", request(b"pi"))
        self.open("inner", mlm.StreamWrite(b"log"), SEND)
        self.assertEqual((self.taken("w"), self.taken("ann")), ([], []))
        self.do("w", mail(b"answer", b"ann"), confirm(b"1"))
        self.assertEqual(self.taken("ann"), [b"answer"])
        self.open("inner", CLOSE)
        self.open("inner", OFFER)
        self.assertEqual(self.taken("inner"), [b"pi"])

    def test_tells_workers(self) -> None:
        """A worker of the second edition whose offer ends is told so; others get nothing that they cannot read."""
        self.router.users[b"w2"] = b"work"
        self.open_second("w", OFFER, credit=10)
        self.open("w2", OFFER, credit=10)
        self.broker.replace_rules(AccessRules((user("work", ("open", "w.*"), ("offer", "two")),)))
        self.router.end_turn(self.broker)
        self.assertEqual(self.take("w"), [mlm.Confirm(b"", 401, b"user work may not offer svc")])
        self.assertEqual(self.take("w2"), [])

    def test_address(self) -> None:
        """A session whose address is not allowed any more gets no more mail: it ends, or is without address."""
        self.router.users[b"x"] = b"ann"
        self.open("ann", credit=10)
        self.do("x", mlm.ConnectionOpen(b"a2"))
        self.take("x")
        self.broker.replace_rules(AccessRules((user("ann", ("ask", "svc")),)))
        self.assertEqual(self.take("ann"), [mlm.Error(401, b"user ann may not open ann")])
        self.open("inner", mail(to=b"ann"), mail(to=b"a2"))
        self.assertEqual(self.say("ann", PING), [ERROR_500])
        self.assertEqual(self.say("x", PING), [PONG])

    def test_stream(self) -> None:
        """A client that has selected a stream does not write to it any more."""
        self.open("inner", mlm.StreamRead(b"log", b""))
        self.open("w", mlm.StreamWrite(b"log"), SEND)
        self.broker.replace_rules(AccessRules((user("work", ("open", "w")),)))
        self.do("w", SEND)
        self.assertEqual(self.taken("inner"), [b"x"])
        self.broker.replace_rules(RULES)
        self.do("w", SEND)
        self.assertEqual(self.taken("inner"), [b"x"])

    def test_refused_stream(self) -> None:
        """If the stream that a client has selected becomes allowed, its messages go there, not to the one before."""
        self.open("inner", mlm.StreamRead(b"log", b"old"), mlm.StreamRead(b"other", b""))
        self.open("w", mlm.StreamWrite(b"log"), mlm.StreamWrite(b"other"), SEND)
        self.broker.replace_rules(AccessRules((user("work", ("open", "w"), ("write", "log|other")),)))
        self.do("w", SEND)
        (delivery,) = self.take("inner")
        assert isinstance(delivery, mlm.StreamDeliver)
        self.assertEqual(delivery.address, b"other")

    def test_gained(self) -> None:
        """A client whose offer or reader becomes allowed opens again, and offers again; others keep their sessions."""
        self.open("ann", OFFER, mlm.StreamRead(b"secret", b""), credit=10)
        self.open("w", OFFER, credit=10)
        self.take("ann")
        for right in (("offer", "svc"), ("read", "secret")):
            self.broker.replace_rules(AccessRules((user("ann", ("open", "ann"), right), WORK)))
            self.assertEqual((self.take("ann"), self.take("w")), ([ERROR_500], []))
            self.open("ann", OFFER, mlm.StreamRead(b"secret", b""), credit=10)
        self.broker.replace_rules(AccessRules((user("ann", ("open", "ann"), ("send", "x")), WORK)))
        self.assertEqual((self.take("ann"), self.take("w")), ([], []))

    def test_without_rules(self) -> None:
        """Without rules everything is allowed, and with rules again only what they name."""
        self.open("ann", credit=1)
        self.assertNotEqual(self.say("ann", OFFER), [OK])
        self.broker.replace_rules(None)
        self.assertEqual(self.take("ann"), [ERROR_500])
        self.open("ann", credit=1)
        self.assertEqual(self.say("ann", OFFER), [OK])
        self.broker.replace_rules(RULES)
        self.assertNotEqual(self.say("ann", OFFER), [OK])


class LogTests(AccessTestCase):
    """What is logged."""

    def test_once_a_minute(self) -> None:
        """Refusals are counted and logged once a minute, without content, and on one line whatever the names are."""
        self.silent("eve")
        texts: list[str] = []
        for _ in range(2):
            for _ in range(100):
                self.do("eve", mlm.ServiceSend(b"a\nb", b"subject", b"", 0, (b"content",)))
            with capturedLogs() as events:
                self.pass_time(3, "eve")
            texts += [formatEvent(event) for event in events]
        (text,) = texts
        self.assertIn("have refused 100 commands since the last such line", text)
        self.assertIn(r"the last: user eve may not ask a\nb subject", text)
        with capturedLogs() as events:
            self.pass_time(60, "eve")
        self.assertEqual(len(events), 1)

    def test_long_names(self) -> None:
        """The reason of a refusal fits into a CONFIRM whatever the names are."""
        self.open("ann", credit=1)
        for name in (b"x" * 255, b"\xff" * 255, b"\n" * 255, "\u20ac".encode() * 85):
            (answer,) = self.say("ann", mlm.ServiceSend(name, b"", b"t", 0, ()))
            assert isinstance(answer, mlm.Confirm)
            self.assertEqual(answer.status_code, 401)


class AnyConversationTests(AccessTestCase):
    """Any commands of a user without rights."""

    COMMANDS = (
        *(PING, OFFER, SEND, CLOSE, mlm.StreamWrite(b"log"), mlm.StreamRead(b"log", b"")),
        *(mlm.StreamReplay(b"log", b"", 0), mail(to=b"ann"), mail(to=b"w"), request(), mlm.Credit(10)),
        *(mlm.ConnectionOpen(b"ann"), mlm.ConnectionOpen(b""), mlm.ConnectionOpen(b"w"), confirm(b"1")),
        *(mlm.StreamCancel(b"log"), mlm.ServiceSend(b"alaska.letters", b"list", b"", 0, ())),
    )

    @given(st.lists(st.sampled_from(COMMANDS), max_size=30))
    def test_no_effect(self, commands: list[mlm.Command]) -> None:
        """Nothing that it sends reaches others, and it gets nothing that is theirs."""
        self.setUp()
        self.open("w", OFFER, mlm.StreamRead(b"log", b""), credit=10)
        self.open("ann", mlm.StreamRead(b"log", b""), credit=10)
        self.do("ann", request(tracker=b"1"))
        for name in ("ann", "w"):
            self.take(name)
        for command in commands:
            self.do("eve", command)
        self.assertEqual((self.take("ann"), self.take("w"), self.taken("eve")), ([], [], []))
        self.do("w", mail(b"answer", b"ann"))
        self.assertEqual(self.taken("ann"), [b"answer"])


class LaterBatchTests(AccessTestCase):
    """A batch that is executed in several steps."""

    def test_rules_change(self) -> None:
        """The rules that are in force when a command is executed decide about it."""
        self.open("w", OFFER, credit=100)
        self.open_second("ann", credit=10)
        times = iter(range(1000))

        def clock() -> float:
            return float(next(times))

        (frames,) = encode_batch([request(b"job") for _ in range(3)])
        self.broker.received(b"ann", frames, self.now, clock)
        self.assertTrue(self.broker.batches)
        self.broker.replace_rules(AccessRules((user("ann", ("open", "ann")), WORK)))
        while self.broker.batches:
            self.broker.continue_batches(self.now, clock)
        self.router.end_turn(self.broker)
        self.assertEqual(self.taken("w"), [b"job"])

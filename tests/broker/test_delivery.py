"""Credit, confirmation, redelivery and dead letters (docs/protocol.md, section 5)."""

from __future__ import annotations

from alaska.broker import lanes
from alaska.broker.limits import Limits, QueueLimits
from alaska.mlm import commands as mlm
from tests.broker.test_broker import ERROR_500, OFFER, PING, BrokerTestCase, mail, request


def confirm(tracker: bytes, status: int = 200, reason: bytes = b"") -> mlm.Confirm:
    """A confirmation."""
    return mlm.Confirm(tracker, status, reason)


class CreditTests(BrokerTestCase):
    """How much a client is sent."""

    def test_at_most_its_credit(self) -> None:
        """A credit client is sent as many deliveries as it gave credit for, of all kinds together."""
        self.open("a", OFFER, mlm.StreamRead(b"s", b""), credit=3)
        self.open("p", mlm.StreamWrite(b"s"))
        self.do("p", request(b"1"), mail(b"2", to=b"a"), mlm.StreamSend(b"3", ()), request(b"4"), mail(b"5", to=b"a"))
        self.do("p", mlm.StreamSend(b"6", ()))
        self.assertEqual(self.taken("a"), [b"1", b"2", b"3"])
        self.do("a", mlm.Credit(3))
        self.assertEqual(sorted(self.taken("a")), [b"4", b"5", b"6"])

    def test_credit_of_nothing(self) -> None:
        """A client that gave credit 0 is a credit client and is sent nothing."""
        self.open("a", OFFER, credit=0)
        self.open("p", request())
        self.assertEqual(self.taken("a"), [])
        self.do("a", mlm.Credit(1))
        self.assertEqual(self.taken("a"), [b"job"])

    def test_plain_clients_are_sent_everything(self) -> None:
        """A client that never gave credit is sent everything at once."""
        self.open("a", OFFER)
        self.open("p", *(request(b"%d" % number) for number in range(100)))
        self.assertEqual(len(self.taken("a")), 100)

    def test_ready_worker_takes_what_a_busy_one_cannot(self) -> None:
        """A worker without credit is passed over; what the ready one takes does not wait for it."""
        self.open("busy", OFFER, credit=1)
        self.open("free", OFFER, credit=20)
        self.open("p", *(request(b"%d" % number) for number in range(20)))
        self.assertEqual((len(self.taken("busy")), len(self.taken("free"))), (1, 19))

    def test_busy_lane_does_not_block_another(self) -> None:
        """Requests that wait for a worker without credit are in nobody else's way."""
        self.open("x", mlm.ServiceOffer(b"svc", b"^x"), credit=0)
        self.open("p", *(request(b"x") for _ in range(2500)))
        self.open("y", mlm.ServiceOffer(b"svc", b"^y"), credit=5)
        self.do("p", request(b"y1"), request(b"y2"))
        for _ in range(3):
            self.pass_time(0.05)
        self.assertEqual(self.taken("y"), [b"y1", b"y2"])
        self.do("x", mlm.Credit(3000))
        self.pass_time(0.5)
        self.assertEqual(len(self.taken("x")), 2500)

    def test_mail_goes_before_what_is_asked_for_next(self) -> None:
        """What waited in a mailbox comes before the answer to the first command behind OPEN, as C sends it at OPEN."""
        self.open("p", mail(b"1"), request(b"2"))
        self.do("late", mlm.ConnectionOpen(b"late"), OFFER)
        self.assertEqual(
            [type(each) for each in self.take("late")], [mlm.Ok, mlm.MailboxDeliver, mlm.Ok, mlm.ServiceDeliver]
        )

    def test_mail_waits_for_credit_in_order(self) -> None:
        """Mail comes in order, as credit is given."""
        self.open("late", credit=0)
        self.open("p", *(mail(b"%d" % number) for number in range(5)))
        for number in range(5):
            self.do("late", mlm.Credit(1))
            self.assertEqual(self.taken("late"), [b"%d" % number])


class ConfirmTests(BrokerTestCase):
    """What a confirmation does."""

    def test_every_delivery_has_a_tracker(self) -> None:
        """A credit client's deliveries carry the sender's tracker, or one that the broker makes, each another."""
        self.open("a", OFFER, credit=9)
        self.open("p", request(tracker=b"mine"), request(), mail(to=b"a"))
        first, second, third = self.trackers("a")
        self.assertEqual(first, b"mine")
        self.assertTrue(second and third and second != third)

    def test_done(self) -> None:
        """What is confirmed below 300 is forgotten: it is not delivered again when the client is gone."""
        self.open("a", OFFER, credit=9)
        self.open("p", request())
        self.do("a", *map(confirm, self.trackers("a")), mlm.ConnectionClose())
        self.open("b", OFFER, credit=9)
        self.assertEqual(self.taken("b"), [])

    def test_not_done(self) -> None:
        """What is confirmed with 300 to 399 is offered again, before what came later."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(b"1", tracker=b"t"), request(b"2"))
        self.open("b", OFFER, credit=0)
        self.do("a", confirm(b"t", 300))
        self.do("b", mlm.Credit(2))
        self.assertEqual(self.taken("b"), [b"1", b"2"])

    def test_unknown_tracker(self) -> None:
        """A confirmation for nothing, or by a plain client, changes nothing and ends nobody's session."""
        self.open("a", OFFER, credit=1)
        self.open("plain")
        for name in ("a", "plain"):
            self.assertEqual(self.say(name, confirm(b"what"), PING), [mlm.ConnectionPong()])

    def test_redelivery_in_order(self) -> None:
        """What a gone client had not confirmed goes before what waits, in the order in which it was sent."""
        self.open("a", OFFER, credit=3)
        self.open("p", *(request(b"%d" % number) for number in range(5)))
        self.do("a", mlm.ConnectionClose())
        self.open("b", OFFER, credit=9)
        self.assertEqual(self.taken("b"), [b"0", b"1", b"2", b"3", b"4"])

    def test_mail_is_redelivered(self) -> None:
        """Mail that was not confirmed waits for the next client with the address, before what came later."""
        self.open("late", credit=2)
        self.open("p", mail(b"1"), mail(b"2"), mail(b"3"))
        self.do("late", mlm.ConnectionClose())
        self.do("again", mlm.ConnectionOpen(b"late"), mlm.Credit(9))
        self.assertEqual(self.taken("again"), [b"1", b"2", b"3"])

    def test_lease_has_no_clock(self) -> None:
        """A delivery belongs to its client as long as the heartbeats come, however long the work takes."""
        self.open("a", OFFER, credit=1)
        self.open("b", OFFER, credit=1)
        self.open("p", request())
        self.pass_time(100, "a", "b", "p")
        self.assertEqual(len(self.taken("a") + self.taken("b")), 1)


class SenderTests(BrokerTestCase):
    """What the sender of a tracked message hears."""

    limits = Limits(service=QueueLimits(50))

    def test_stored_then_done(self) -> None:
        """201 when the message is safe, with the number of offers that would take it, then 200."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=1)
        self.assertEqual(self.say("p", request(tracker=b"t")), [confirm(b"t", 201, b"offers=1")])
        self.do("a", confirm(b"t", 200, b"fine"))
        self.assertEqual(self.take("p"), [confirm(b"t", 200, b"fine")])

    def test_nobody_offers(self) -> None:
        """That nobody offers the service is said at once."""
        self.open("p", credit=0)
        self.assertEqual(self.say("p", request(tracker=b"t")), [confirm(b"t", 201, b"offers=0")])

    def test_refused_by_the_worker(self) -> None:
        """A refusal by the worker, such as 404, reaches the sender."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=1)
        self.do("p", request(tracker=b"t"))
        self.take("p")
        self.do("a", confirm(b"t", 404, b"no such script"))
        self.assertEqual(self.take("p"), [confirm(b"t", 404, b"no such script")])

    def test_plain_receiver(self) -> None:
        """A plain receiver cannot confirm: 202, delivered."""
        self.open("p", credit=0)
        self.open("a", OFFER)
        answers = self.say("p", request(tracker=b"t"))
        self.assertEqual([each.status_code for each in answers if isinstance(each, mlm.Confirm)], [201, 202])

    def test_timeout(self) -> None:
        """A message whose time passes is told as 302."""
        self.open("p", credit=0)
        self.do("p", request(tracker=b"t", timeout=1000))
        self.take("p")
        self.pass_time(1.1)
        self.assertEqual(self.take("p"), [confirm(b"t", 302)])

    def test_no_room(self) -> None:
        """A message that a limit refused is told as 301, and never as 201."""
        self.open("p", credit=0)
        (answer,) = self.say("p", request(tracker=b"t", content=b"x" * 51))
        self.assertEqual(answer[:2], (b"t", 301))

    def test_never_to_a_plain_sender(self) -> None:
        """A plain client is sent no CONFIRM, whatever tracker it sends."""
        self.open("p")
        self.open("a", OFFER, credit=1)
        self.assertEqual(self.say("p", request(tracker=b"t")), [])
        self.do("a", confirm(b"t"))
        self.assertEqual(self.take("p"), [])

    def test_without_tracker(self) -> None:
        """A message without a tracker is not confirmed to its sender."""
        self.open("p", credit=0)
        self.assertEqual(self.say("p", request()), [])

    def test_sender_that_came_back(self) -> None:
        """A sender that reconnected under its address hears what became of its message."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=1)
        self.do("p", request(tracker=b"t"), mlm.ConnectionClose())
        self.do("p2", mlm.ConnectionOpen(b"p"), mlm.Credit(0))
        self.take("p2")
        self.do("a", confirm(b"t"))
        self.assertEqual(self.take("p2"), [confirm(b"t")])


class DeadLetterTests(BrokerTestCase):
    """What nobody could deal with."""

    limits = Limits(client_timeout=5.0, attempts=3)

    def refuse_one(self) -> int:
        """Let a worker refuse a request; return the position of the dead letter."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"t"))
        self.take("a")
        self.do("a", confirm(b"t", 502, b"it failed"))
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertEqual((letter.status, letter.reason, letter.message.subject), (502, b"it failed", b"job"))
        return letter.message.position

    def test_kept(self) -> None:
        """A refused request is kept as a dead letter, and not delivered again by itself."""
        self.refuse_one()
        self.do("a", mlm.Credit(5))
        self.assertEqual(self.taken("a"), [])

    def test_replayed(self) -> None:
        """A dead letter that is replayed is delivered as a new request, and is no letter any more."""
        position = self.refuse_one()
        self.do("a", mlm.Credit(1))
        self.assertTrue(self.broker.queues.replay_dead_letter(position, self.now))
        self.assertEqual(self.taken("a"), [b"job"])
        self.assertEqual(list(self.broker.queues.dead_letters.summaries(0, 10)), [])
        self.assertFalse(self.broker.queues.replay_dead_letter(position, self.now))

    def test_replay_is_not_told(self) -> None:
        """The sender, who has heard how its message ended, hears nothing of a replay."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=2)
        self.do("p", request(tracker=b"t"))
        self.do("a", confirm(b"t", 404))
        self.assertEqual([each[:2] for each in self.take("p")], [(b"t", 201), (b"t", 404)])
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertTrue(self.broker.queues.replay_dead_letter(letter.message.position, self.now))
        self.do("a", confirm(b"t"))
        self.assertEqual(self.take("p"), [])

    def test_dropped(self) -> None:
        """A dead letter that is dropped is gone."""
        position = self.refuse_one()
        self.assertTrue(self.broker.queues.dead_letters.drop(position))
        self.assertFalse(self.broker.queues.dead_letters.drop(position))

    def test_request_that_kills_its_workers(self) -> None:
        """A request whose workers are lost over it, one after the other, ends as a dead letter."""
        self.open("p", request(b"killer"), request(b"good"))
        for number in range(3):
            self.open(f"w{number}", OFFER, credit=1)
            self.assertEqual(self.taken(f"w{number}"), [b"killer"])
            self.broker.received(f"w{number}".encode(), [b""], self.now)
            self.assertEqual(self.take(f"w{number}"), [ERROR_500])
        self.open("w", OFFER, credit=5)
        self.assertEqual(self.taken("w"), [b"good"])
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertEqual(letter.reason, b"delivered 3 times in vain")

    def test_handing_back_is_no_attempt(self) -> None:
        """A request that workers hand back without having begun it is offered again for ever."""
        self.open("p", request(tracker=b"t"))
        self.open("w", OFFER, credit=0)
        for _ in range(10):
            self.do("w", mlm.Credit(1))
            self.assertEqual(self.taken("w"), [b"job"])
            self.do("w", confirm(b"t", 300))
        self.assertEqual(list(self.broker.queues.dead_letters.summaries(0, 10)), [])


class RoomTests(BrokerTestCase):
    """How much may wait, when what waits comes and goes in unusual ways."""

    limits = Limits(service=QueueLimits(30), total=QueueLimits(40))

    def test_replay_without_room(self) -> None:
        """A dead letter for which there is no room is not sent again, and stays."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"t", content=b"x" * 20))
        self.do("a", confirm(b"t", 404), mlm.ConnectionClose())
        self.do("p", request(content=b"x" * 20))
        (letter,) = self.broker.queues.dead_letters.summaries(0, 10)
        self.assertFalse(self.broker.queues.replay_dead_letter(letter.message.position, self.now))
        self.assertEqual(len(list(self.broker.queues.dead_letters.summaries(0, 10))), 1)

    def test_connection_that_is_gone(self) -> None:
        """What could not be sent to a plain client whose connection is gone counts once while it waits."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(content=b"x" * 20))
        for name in ("d0", "d1", "d2"):
            self.open(name, OFFER)
            self.gone.add(name.encode())
        self.do("w", mlm.ConnectionClose())
        self.do("p", mlm.ServiceSend(b"other", b"", b"", 0, (b"x" * 20,)))
        self.assertEqual(self.broker.counters.over_limit, 0)
        self.do("p", mlm.ServiceSend(b"other", b"", b"", 0, (b"x",)))
        self.assertEqual(self.broker.counters.over_limit, 1)

    def test_nothing_is_left_of_what_was_refused(self) -> None:
        """A queue that was made for a message that is refused is forgotten again."""
        self.open("p", *(mlm.ServiceSend(b"s%d" % number, b"", b"", 0, (b"x" * 31,)) for number in range(9)))
        self.assertEqual(self.broker.counters.over_limit, 9)
        self.assertEqual((self.broker.queues._queues, self.broker.queues._offers), ({}, {}))


class LongQueueTests(BrokerTestCase):
    """Queues longer than what is held in memory."""

    def test_put_back_beyond_the_window(self) -> None:
        """More mail than the window holds, put back when its owner leaves, is in order with what came meanwhile."""
        self.patch(lanes, "WINDOW_MESSAGES", 4)
        self.open("late", credit=6)
        self.open("p", *(mail(b"%d" % number) for number in range(6)))
        self.do("late", mlm.ConnectionClose())
        self.do("p", *(mail(b"%d" % number) for number in range(6, 9)))
        for count in (3, 2, 1):
            self.do("late", mlm.ConnectionOpen(b"late"), mlm.Credit(count))
            self.assertEqual(self.taken("late")[-count:], [b"0", b"1", b"2"][:count])
            self.do("late", mlm.ConnectionClose())
        self.do("late", mlm.ConnectionOpen(b"late"), mlm.Credit(20))
        self.pass_time(0.5, "p", "late")
        self.assertEqual(self.taken("late")[-9:], [b"%d" % number for number in range(9)])

    def test_in_order(self) -> None:
        """Of five thousand requests all come, once and in order, as credit is given."""
        self.open("p", *(request(b"%d" % number) for number in range(5000)))
        self.open("a", OFFER, credit=7)
        seen: list[bytes] = []
        while len(seen) < 5000:
            deliveries = self.take("a")
            self.assertTrue(deliveries)
            for each in deliveries:
                assert isinstance(each, mlm.ServiceDeliver)
                seen.append(each.subject)
                self.do("a", confirm(each.tracker))
            self.do("a", mlm.Credit(len(deliveries)))
            self.pass_time(0.05, "p", "a") if len(seen) % 500 == 0 else None
        self.assertEqual(seen, [b"%d" % number for number in range(5000)])

    def test_offers_that_come_and_go(self) -> None:
        """Whatever offers come and go meanwhile, each request comes once, and in order within its subject."""
        count = 4000
        self.open("p", *(request(b"%s%d" % (b"ab"[number % 2 : number % 2 + 1], number)) for number in range(count)))
        seen: list[bytes] = []
        for turn in range(200):
            name, pattern = f"w{turn}", (b"^a", b"^b", b"", b"1$")[turn % 4]
            self.open(name, mlm.ServiceOffer(b"svc", pattern), credit=40)
            self.pass_time(0.05, "p")
            for each in self.take(name):
                assert isinstance(each, mlm.ServiceDeliver)
                seen.append(each.subject)
                self.do(name, confirm(each.tracker))
            self.do(name, mlm.ConnectionClose())
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(set(seen), {b"%s%d" % (b"ab"[n % 2 : n % 2 + 1], n) for n in range(count)})
        for letter in (b"a", b"b"):
            everything_else = [subject for subject in seen if subject[:1] == letter and not subject.endswith(b"1")]
            self.assertEqual(everything_else, sorted(everything_else, key=lambda subject: int(subject[1:])))

    def test_requests_that_nobody_offers(self) -> None:
        """Thousands of requests that nobody offers are in nobody's way, and are there when somebody does."""
        self.open("p", *(request(b"no%d" % number) for number in range(3000)), request(b"yes"))
        self.open("a", mlm.ServiceOffer(b"svc", b"^yes"), credit=5)
        self.pass_time(0.5, "p", "a")
        self.assertEqual(self.taken("a"), [b"yes"])
        self.open("b", mlm.ServiceOffer(b"svc", b"^no"), credit=5000)
        self.pass_time(0.5, "p", "a", "b")
        self.assertEqual(self.taken("b"), [b"no%d" % number for number in range(3000)])

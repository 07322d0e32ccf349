"""Credit, confirmation and redelivery (docs/protocol.md, section 5)."""

from __future__ import annotations

from alaska.broker.limits import Limits, QueueLimits
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, PING, BrokerTestCase, confirm, mail, request


class CreditTests(BrokerTestCase):
    """Credit."""

    def test_at_most_its_credit(self) -> None:
        """A credit client gets as many deliveries, of all kinds together, as it gave credit for."""
        self.open("a", OFFER, mlm.StreamRead(b"s", b""), credit=3)
        self.open("p", mlm.StreamWrite(b"s"))
        self.do("p", request(b"1"), mail(b"2", to=b"a"), mlm.StreamSend(b"3", ()), request(b"4"), mail(b"5", to=b"a"))
        self.do("p", mlm.StreamSend(b"6", ()))
        self.assertEqual(self.taken("a"), [b"1", b"2", b"3"])
        self.do("a", mlm.Credit(3))
        self.assertEqual(sorted(self.taken("a")), [b"4", b"5", b"6"])

    def test_credit_of_nothing(self) -> None:
        """A client that gave credit 0 is a credit client, and gets nothing."""
        self.open("a", OFFER, credit=0)
        self.open("p", request())
        self.assertEqual(self.taken("a"), [])
        self.do("a", mlm.Credit(1))
        self.assertEqual(self.taken("a"), [b"job"])

    def test_plain_clients_are_sent_everything(self) -> None:
        """A client that has never given credit is sent everything at once."""
        self.open("a", OFFER)
        self.open("p", *(request(b"%d" % number) for number in range(100)))
        self.assertEqual(len(self.taken("a")), 100)

    def test_ready_worker_takes_what_a_busy_one_cannot(self) -> None:
        """Requests do not wait for a worker without credit while another one is ready."""
        self.open("busy", OFFER, credit=1)
        self.open("free", OFFER, credit=20)
        self.open("p", *(request(b"%d" % number) for number in range(20)))
        self.assertEqual((len(self.taken("busy")), len(self.taken("free"))), (1, 19))

    def test_busy_lane_does_not_block_another(self) -> None:
        """Requests that wait for a worker without credit do not block requests for other workers."""
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

    def test_mail_goes_before_next_reply(self) -> None:
        """Waiting mail is delivered before the reply to the first command after OPEN, since C sends it at OPEN."""
        self.open("p", mail(b"1"), request(b"2"))
        self.do("late", mlm.ConnectionOpen(b"late"), OFFER)
        self.assertEqual(
            [type(each) for each in self.take("late")], [mlm.Ok, mlm.MailboxDeliver, mlm.Ok, mlm.ServiceDeliver]
        )

    def test_mail_waits_for_credit_in_order(self) -> None:
        """Mail is delivered in order, as credit is given."""
        self.open("late", credit=0)
        self.open("p", *(mail(b"%d" % number) for number in range(5)))
        for number in range(5):
            self.do("late", mlm.Credit(1))
            self.assertEqual(self.taken("late"), [b"%d" % number])


class ConfirmTests(BrokerTestCase):
    """Confirmation by the receiver."""

    def test_every_delivery_has_a_tracker(self) -> None:
        """Each delivery to a credit client has the sender's tracker, or a unique one from the broker."""
        self.open("a", OFFER, credit=9)
        self.open("p", request(tracker=b"mine"), request(), mail(to=b"a"))
        first, second, third = self.trackers("a")
        self.assertEqual(first, b"mine")
        self.assertTrue(second and third and second != third)

    def test_done(self) -> None:
        """A message that is confirmed with a status below 300 is not delivered again."""
        self.open("a", OFFER, credit=9)
        self.open("p", request())
        self.do("a", *map(confirm, self.trackers("a")), mlm.ConnectionClose())
        self.open("b", OFFER, credit=9)
        self.assertEqual(self.taken("b"), [])

    def test_returned(self) -> None:
        """A message that is confirmed with 300 to 399 is delivered again, before later ones."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(b"1", tracker=b"t"), request(b"2"))
        self.open("b", OFFER, credit=0)
        self.do("a", confirm(b"t", 300))
        self.do("b", mlm.Credit(2))
        self.assertEqual(self.taken("b"), [b"1", b"2"])

    def test_unknown_tracker(self) -> None:
        """A confirmation with an unknown tracker, or from a plain client, has no effect."""
        self.open("a", OFFER, credit=1)
        self.open("plain")
        for name in ("a", "plain"):
            self.assertEqual(self.say(name, confirm(b"what"), PING), [mlm.ConnectionPong()])

    def test_redelivery_in_order(self) -> None:
        """The unconfirmed requests of a client that has left are redelivered in order, before waiting ones."""
        self.open("a", OFFER, credit=3)
        self.open("p", *(request(b"%d" % number) for number in range(5)))
        self.do("a", mlm.ConnectionClose())
        self.open("b", OFFER, credit=9)
        self.assertEqual(self.taken("b"), [b"0", b"1", b"2", b"3", b"4"])

    def test_mail_is_redelivered(self) -> None:
        """Unconfirmed mail is redelivered to the next client with the address, before later mail."""
        self.open("late", credit=2)
        self.open("p", mail(b"1"), mail(b"2"), mail(b"3"))
        self.do("late", mlm.ConnectionClose())
        self.do("again", mlm.ConnectionOpen(b"late"), mlm.Credit(9))
        self.assertEqual(self.taken("again"), [b"1", b"2", b"3"])

    def test_delivery_has_no_timeout(self) -> None:
        """A delivery does not time out as long as the client sends heartbeats."""
        self.open("a", OFFER, credit=1)
        self.open("b", OFFER, credit=1)
        self.open("p", request())
        self.pass_time(100, "a", "b", "p")
        self.assertEqual(len(self.taken("a") + self.taken("b")), 1)


class SenderTests(BrokerTestCase):
    """Confirmations to the sender of a tracked message."""

    limits = Limits(service=QueueLimits(50))

    def test_stored_then_done(self) -> None:
        """The sender gets 201 with the number of matching offers when the message is stored, then 200."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=1)
        self.assertEqual(self.say("p", request(tracker=b"t")), [confirm(b"t", 201, b"offers=1")])
        self.do("a", confirm(b"t", 200, b"fine"))
        self.assertEqual(self.take("p"), [confirm(b"t", 200, b"fine")])

    def test_no_offer(self) -> None:
        """The reason of the 201 is `offers=0` if there is no matching offer."""
        self.open("p", credit=0)
        self.assertEqual(self.say("p", request(tracker=b"t")), [confirm(b"t", 201, b"offers=0")])

    def test_refused_by_the_worker(self) -> None:
        """A status of the worker such as 404 is sent to the sender."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=1)
        self.do("p", request(tracker=b"t"))
        self.take("p")
        self.do("a", confirm(b"t", 404, b"no such script"))
        self.assertEqual(self.take("p"), [confirm(b"t", 404, b"no such script")])

    def test_plain_receiver(self) -> None:
        """The final status for a plain receiver, which cannot confirm, is 202."""
        self.open("p", credit=0)
        self.open("a", OFFER)
        answers = self.say("p", request(tracker=b"t"))
        self.assertEqual([each.status_code for each in answers if isinstance(each, mlm.Confirm)], [201, 202])

    def test_timeout(self) -> None:
        """The final status of an expired message is 302."""
        self.open("p", credit=0)
        self.do("p", request(tracker=b"t", timeout=1000))
        self.take("p")
        self.pass_time(1.1)
        self.assertEqual(self.take("p"), [confirm(b"t", 302)])

    def test_no_room(self) -> None:
        """The only status of a message that exceeds a limit is 301."""
        self.open("p", credit=0)
        (answer,) = self.say("p", request(tracker=b"t", content=b"x" * 51))
        assert isinstance(answer, mlm.Confirm)
        self.assertEqual((answer.tracker, answer.status_code), (b"t", 301))

    def test_never_to_a_plain_sender(self) -> None:
        """A plain client is sent no CONFIRM, even for a message with a tracker."""
        self.open("p")
        self.open("a", OFFER, credit=1)
        self.assertEqual(self.say("p", request(tracker=b"t")), [])
        self.do("a", confirm(b"t"))
        self.assertEqual(self.take("p"), [])

    def test_without_tracker(self) -> None:
        """The sender of a message without tracker gets no CONFIRM."""
        self.open("p", credit=0)
        self.assertEqual(self.say("p", request()), [])

    def test_sender_that_came_back(self) -> None:
        """A sender that has reconnected with its address gets the final status of its message."""
        self.open("p", credit=0)
        self.open("a", OFFER, credit=1)
        self.do("p", request(tracker=b"t"), mlm.ConnectionClose())
        self.do("p2", mlm.ConnectionOpen(b"p"), mlm.Credit(0))
        self.take("p2")
        self.do("a", confirm(b"t"))
        self.assertEqual(self.take("p2"), [confirm(b"t")])

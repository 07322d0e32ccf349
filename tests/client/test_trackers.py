"""Requests with replies, tracked messages and dead letters of the client."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as Late

from alaska import errors
from alaska.client import Client, Delivery
from alaska.client.delivery import Confirmation
from alaska.messaging.reply_credit import AUTO_CREDIT
from tests.network_case import ENDPOINT, NetworkCase


class TrackersTestCase(NetworkCase):
    """A broker, a worker and a client."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker()
        self.taken: list[Delivery] = []
        self.worker = self.client("worker", self.taken.append, credit=10)
        self.me = self.client("me", credit=0)

    def offer(self) -> None:
        """Let the worker offer its service."""
        self.worker.offer("svc")
        self.network.run()


class TrackTests(TrackersTestCase):
    """Tracked messages."""

    def test_done(self) -> None:
        """The Deferred fires when the worker has confirmed the message, not when the broker has stored it."""
        self.offer()
        tracked = self.me.track_for("svc", "job", b"x")
        self.network.run()
        self.assertNoResult(tracked)
        self.worker.confirm(self.taken[0], 200, "fine")
        self.network.run()
        confirmation = self.successResultOf(tracked)
        self.assertEqual((confirmation.status, confirmation.reason), (200, "fine"))

    def test_known_id(self) -> None:
        """For a second message with an id the Deferred fires with 203, and the outcome of the first is told later."""
        self.offer()
        told: list[Confirmation] = []
        other = self.client("other", credit=0, confirmed=told.append)
        first = self.me.track_for("svc", "job", id="a")
        self.network.run()
        confirmation = self.successResultOf(self.tracked(other))
        self.assertEqual((confirmation.status, confirmation.position, confirmation.is_final), (203, 1, True))
        self.worker.confirm(self.taken[0], 200, "fine")
        self.network.run()
        self.assertEqual([each.status for each in told], [203, 200])
        self.assertEqual((self.successResultOf(first).status, told[1].position), (200, None))

    def tracked(self, client: Client) -> Deferred[Confirmation]:
        """Let a client send a request with the id a."""
        tracked = client.track_for("svc", "job", id="a")
        self.network.run()
        return tracked

    def test_replaced(self) -> None:
        """A message that is replaced ends with 204 and the position of the new one."""
        old = self.tracked(self.me)
        new = self.me.track_for("svc", "job", id="a", unique_mode="replace")
        self.network.run()
        confirmation = self.successResultOf(old)
        self.assertEqual((confirmation.status, confirmation.position), (204, 2))
        self.assertNoResult(new)

    def test_refused(self) -> None:
        """The Deferred also fires with the status of a rejection."""
        self.offer()
        tracked = self.me.track_for("svc", "job")
        self.network.run()
        self.worker.confirm(self.taken[0], 404, "no such script")
        self.network.run()
        self.assertEqual(self.successResultOf(tracked).status, 404)

    def test_late(self) -> None:
        """The Deferred fires with status 302 for an expired message."""
        tracked = self.me.track_to("nobody", "hi", timeout=0.5)
        self.pass_time(0.7)
        self.assertEqual(self.successResultOf(tracked).status, 302)

    def test_plain_client(self) -> None:
        """A client without credit, which gets no confirmations, cannot track messages."""
        plain = self.client("plain")
        self.assertRaises(errors.Refused, plain.track_for, "svc", "job")

    def test_closed(self) -> None:
        """Pending Deferreds fail when the client is closed."""
        tracked = self.me.track_for("svc", "job")
        self.me.close()
        self.network.run()
        self.failureResultOf(tracked, errors.NotConnected)


class AskTests(TrackersTestCase):
    """Requests with replies."""

    def reply(self, request: Delivery, content: bytes) -> None:
        """Let the worker send a reply and confirm the request."""
        self.worker.send_to(request.sender, request.subject, content, tracker=request.tracker)
        self.worker.confirm(request)
        self.network.run()

    def test_replies_match_their_requests(self) -> None:
        """Replies are matched to their requests in any order, with other mail in between."""
        self.offer()
        asked = [self.me.ask("svc", str(number)) for number in range(3)]
        self.network.run()
        self.worker.send_to("me", "news", b"no answer")
        for request in reversed(self.taken):
            self.reply(request, b"answer to " + request.subject.encode())
        answers = [self.successResultOf(each).content[0] for each in asked]
        self.assertEqual(answers, [b"answer to 0", b"answer to 1", b"answer to 2"])

    def test_request(self) -> None:
        """``request`` is ``ask``, but without an answer in time it fails with NoAnswer, as in the other clients."""
        self.offer()
        asked, late = self.me.request("svc", "job", b"x"), self.me.request("svc", "late", timeout=1)
        self.network.run()
        self.reply(self.taken[0], b"answer")
        self.assertEqual(self.successResultOf(asked).body, b"answer")
        self.pass_time(1.1)
        self.failureResultOf(late, errors.NoAnswer)

    def test_nobody_offers(self) -> None:
        """A request fails at once if nobody offers the service."""
        asked = self.me.ask("nothing", "job")
        self.network.run()
        self.assertEqual(self.failureResultOf(asked, errors.Refused).value.status, errors.NOT_FOUND)

    def test_delay(self) -> None:
        """A request with a delay is delivered when it is due, and its reply is waited for."""
        self.offer()
        asked = self.me.ask("svc", "job", timeout=60, delay=30)
        self.pass_time(29)
        self.assertEqual(self.taken, [])
        self.pass_time(2)
        self.reply(self.taken[0], b"now")
        self.assertEqual(self.successResultOf(asked).content, (b"now",))

    def test_replaced(self) -> None:
        """A request that a later one with its id replaces fails, and that one gets the reply."""
        first = self.me.ask("svc", "job", id="a", needs_offer=False)
        second = self.me.ask("svc", "job", id="a", unique_mode="replace", needs_offer=False)
        self.network.run()
        self.assertEqual(self.failureResultOf(first, errors.Refused).value.status, errors.REPLACED)
        self.offer()
        self.reply(self.taken[0], b"new")
        self.assertEqual(self.successResultOf(second).content, (b"new",))

    def test_known_id(self) -> None:
        """A request that is not kept, since its id is known, ends as the first one, without a reply."""
        self.offer()
        first, second = (self.me.ask("svc", "job", id="a") for _ in range(2))
        self.network.run()
        self.reply(self.taken[0], b"once")
        self.assertEqual(self.successResultOf(first).content, (b"once",))
        self.pass_time(1)
        self.assertEqual((self.successResultOf(second).content, len(self.taken)), ((), 1))

    def test_no_such_script(self) -> None:
        """A request fails at once if the worker rejects it."""
        self.offer()
        asked = self.me.ask("svc", "nothing")
        self.network.run()
        self.worker.confirm(self.taken[0], 404, "no such script")
        self.network.run()
        self.assertIn("no such script", str(self.failureResultOf(asked, errors.Refused).value))

    def test_no_reply_in_time(self) -> None:
        """A request without a reply fails after its timeout."""
        self.offer()
        asked = self.me.ask("svc", "job", timeout=1.0)
        self.pass_time(0.9)
        self.assertNoResult(asked)
        self.pass_time(0.2)
        self.failureResultOf(asked, Late)

    def test_end_without_a_reply(self) -> None:
        """If the worker confirms a request without a reply, the Deferred fires at once with an empty delivery."""
        self.offer()
        asked = self.me.ask("svc", "job")
        self.network.run()
        self.worker.confirm(self.taken[0])
        self.assertNoResult(asked)
        self.network.run()
        answer = self.successResultOf(asked)
        self.assertEqual((answer.content, answer.sender, answer.subject, answer.address), ((), "", "job", "me"))

    def test_reply_after_its_confirmation(self) -> None:
        """A worker may send the reply right after its confirmation."""
        self.offer()
        asked = self.me.ask("svc", "job")
        self.network.run()
        request = self.taken[0]
        self.worker.confirm(request)
        self.worker.send_to(request.sender, request.subject, b"here", tracker=request.tracker)
        self.network.run()
        self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_reply_behind_other_mail(self) -> None:
        """A reply that is queued behind other mail, for which there was no credit, is received."""
        got: list[Delivery] = []
        me = self.client("busy", got.append, credit=0)
        for number in range(20):
            self.worker.send_to("busy", "news", str(number))

        def answer(request: Delivery) -> None:
            fast.send_to(request.sender, request.subject, b"here", tracker=request.tracker)
            fast.confirm(request)

        fast = self.client("fast", answer, credit=10)
        fast.offer("svc")
        self.network.run()
        asked = me.ask("svc", "job")
        self.network.run()
        self.assertEqual(self.successResultOf(asked).content, (b"here",))
        self.assertEqual(len(got), 20)

    def test_late_reply_is_delivered(self) -> None:
        """A reply that arrives after the request has ended is delivered as ordinary mail."""
        self.offer()
        for credit in (5, None):
            got: list[Delivery] = []
            name = f"late {credit}"
            me = self.client(name, got.append, credit=credit)
            asked = me.ask("svc", "job")
            self.network.run()
            request = self.taken.pop()
            self.worker.confirm(request)
            self.network.run()
            self.assertEqual(self.successResultOf(asked).content, ())
            self.worker.send_to(name, "job", b"after all", tracker=request.tracker)
            self.network.run()
            self.assertEqual([each.content for each in got], [(b"after all",)])

    def test_worker_without_confirmations(self) -> None:
        """The delivery to a worker without confirmations does not end a request."""
        plain = self.client("plain worker", self.taken.append)
        plain.offer("svc")
        asked = self.me.ask("svc", "job")
        self.pass_time(1.0)
        self.assertNoResult(asked)
        self.reply(self.taken[0], b"here")
        self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_mail_between_requests(self) -> None:
        """Mail that arrives while no reply is awaited does not use up the credit of later replies."""
        self.offer()
        got: list[Delivery] = []
        me = self.client("between", got.append, credit=0)
        asked = me.ask("svc", "job", timeout=1.0)
        self.pass_time(1.2)
        self.failureResultOf(asked, Late)
        for number in range(5):
            self.worker.send_to("between", "news", str(number))
        self.network.run()
        for _ in range(3):
            asked = me.ask("svc", "job")
            self.network.run()
            self.reply(self.taken[-1], b"here")
            self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_spare_credit(self) -> None:
        """However requests end, no more credit is left over than the number of concurrent requests."""
        self.offer()
        for number in range(5):
            asked = [self.me.ask("svc", "job"), self.me.ask("nothing", "job"), self.me.ask("svc", "job")]
            self.network.run()
            self.reply(self.taken.pop(), b"here")
            self.worker.confirm(self.taken.pop(), *((200,) if number % 2 else (404, "no")))
            self.network.run()
            for each in asked:
                each.addErrback(lambda failure: failure.trap(errors.Refused))
                self.successResultOf(each)
        self.assertLessEqual(self.me.credit, 3)


class PlainAskTests(TrackersTestCase):
    """Requests of a client without credit."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = []
        self.plain = self.client("plain", self.got.append)

    def test_answer(self) -> None:
        """The client gets replies."""
        self.offer()
        asked = self.plain.ask("svc", "job")
        self.network.run()
        request = self.taken[0]
        self.worker.send_to(request.sender, request.subject, b"here", tracker=request.tracker)
        self.worker.confirm(request)
        self.network.run()
        self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_refused(self) -> None:
        """A request ends at once if nobody offers the service, or if the worker rejects it or has no reply."""
        asked = self.plain.ask("svc", "job")
        self.network.run()
        self.assertEqual(self.failureResultOf(asked, errors.Refused).value.status, errors.NOT_FOUND)
        self.offer()
        for status in (404, 200):
            asked = self.plain.ask("svc", "job")
            self.network.run()
            self.worker.confirm(self.taken.pop(), status)
            self.network.run()
            if status == errors.SUCCESS:
                self.assertEqual(self.successResultOf(asked).content, ())
            else:
                self.assertEqual(self.failureResultOf(asked, errors.Refused).value.status, status)

    def test_before_it_is_connected(self) -> None:
        """A request that is sent before the client is connected fails at once if nobody offers the service."""
        early = Client(ENDPOINT, "early", network=self.network, reactor=self.reactor)
        early.connect()
        asked = early.ask("nothing", "job")
        self.network.run()
        self.failureResultOf(asked, errors.Refused)

    def test_deliveries_without_limit(self) -> None:
        """Deliveries still arrive without limit, are confirmed on arrival, and are not redelivered."""
        self.offer()
        self.plain.ask("nothing", "job").addErrback(lambda failure: failure.trap(errors.Refused))
        self.network.run()
        for number in range(3 * AUTO_CREDIT):
            self.worker.send_to("plain", "news", str(number))
        self.network.run()
        self.assertEqual([each.content[0] for each in self.got], [b"%d" % each for each in range(3 * AUTO_CREDIT)])
        self.worker.give_credit(2 * AUTO_CREDIT)
        for _ in range(2 * AUTO_CREDIT):
            asked = self.plain.ask("svc", "job")
            self.network.run()
            request = self.taken.pop()
            self.worker.send_to("plain", "job", b"here", tracker=request.tracker)
            self.worker.confirm(request)
            self.network.run()
            self.assertEqual(self.successResultOf(asked).content, (b"here",))
        tracked = self.me.track_to("plain", "news", b"x")
        self.network.run()
        self.assertEqual(self.successResultOf(tracked).status, errors.SUCCESS)

    def test_own_credit(self) -> None:
        """If the client gives credit afterwards, deliveries are not confirmed automatically any more."""
        self.plain.ask("nothing", "job").addErrback(lambda failure: failure.trap(errors.Refused))
        self.network.run()
        self.plain.give_credit(1)
        tracked = self.me.track_to("plain", "news", b"x")
        self.network.run()
        self.assertNoResult(tracked)
        self.plain.confirm(self.got[0], 404)
        self.network.run()
        self.assertEqual(self.successResultOf(tracked).status, 404)


class DeadLetterTests(TrackersTestCase):
    """Queries of dead letters."""

    def setUp(self) -> None:
        super().setUp()
        self.offer()
        self.me.send_for("svc", "job", b"\xff", b"second")
        self.network.run()
        self.worker.confirm(self.taken.pop(), 502, "it failed")
        self.network.run()

    def ask(self, client: Client, what: str, **options: int) -> dict[str, Any]:
        """Return the broker's reply."""
        asked = client.letters(what, **options)
        self.network.run()
        return self.successResultOf(asked)

    def test_list_and_read(self) -> None:
        """``list`` returns dead letters with their reasons, and ``read`` also returns the content."""
        (listed,) = self.ask(self.me, "list")["letters"]
        self.assertEqual(
            (listed["subject"], listed["sender"], listed["status"], listed["reason"], listed["octets"]),
            ("job", "me", 502, "it failed", 7),
        )
        read = self.ask(self.me, "read", position=listed["position"])["letter"]
        self.assertEqual(read, {**listed, "content": ["/w==", "c2Vjb25k"]})

    def test_replay(self) -> None:
        """``replay`` delivers a dead letter to a worker, once."""
        (listed,) = self.ask(self.me, "list")["letters"]
        self.assertEqual(self.ask(self.me, "replay", position=listed["position"]), {"done": True})
        self.assertEqual([each.content for each in self.taken], [(b"\xff", b"second")])
        self.assertEqual(self.ask(self.me, "replay", position=listed["position"]), {"done": False})

    def test_drop(self) -> None:
        """``drop`` deletes a dead letter."""
        (listed,) = self.ask(self.me, "list")["letters"]
        self.assertEqual(self.ask(self.me, "drop", position=listed["position"]), {"done": True})
        self.assertEqual(self.ask(self.me, "list"), {"letters": []})
        self.assertEqual(self.ask(self.me, "read", position=listed["position"]), {"letter": None})

    def test_nonsense(self) -> None:
        """An invalid query gets an error."""
        for what in ("nonsense", "read", "drop"):
            self.assertIn("error", self.ask(self.me, what))

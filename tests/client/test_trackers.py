"""Questions and tracked messages: a client waits for what became of what it sent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import TimeoutError as Late

from alaska import errors
from alaska.client import Client, Delivery
from alaska.client.client import OWN_CREDIT
from tests.network_case import ENDPOINT, NetworkCase


class TrackersTestCase(NetworkCase):
    """A broker, a worker that answers what it is asked, and a client."""

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
    """What became of a message."""

    def test_done(self) -> None:
        """The Deferred fires when the worker has confirmed, not when the broker has the message."""
        self.offer()
        tracked = self.me.track_for("svc", "job", b"x")
        self.network.run()
        self.assertNoResult(tracked)
        self.worker.confirm(self.taken[0], 200, "fine")
        self.network.run()
        confirmation = self.successResultOf(tracked)
        self.assertEqual((confirmation.status, confirmation.reason), (200, "fine"))

    def test_refused(self) -> None:
        """A refusal is a confirmation like any other."""
        self.offer()
        tracked = self.me.track_for("svc", "job")
        self.network.run()
        self.worker.confirm(self.taken[0], 404, "no such script")
        self.network.run()
        self.assertEqual(self.successResultOf(tracked).status, 404)

    def test_late(self) -> None:
        """A message whose time passes is told as 302."""
        tracked = self.me.track_to("nobody", "hi", timeout=0.5)
        self.pass_time(0.7)
        self.assertEqual(self.successResultOf(tracked).status, 302)

    def test_plain_client(self) -> None:
        """A client that gives no credit would never hear, and is told so at once."""
        plain = self.client("plain")
        self.assertRaises(errors.Refused, plain.track_for, "svc", "job")

    def test_closed(self) -> None:
        """What is still waited for when the client closes fails."""
        tracked = self.me.track_for("svc", "job")
        self.me.close()
        self.network.run()
        self.failureResultOf(tracked, errors.NotConnected)


class AskTests(TrackersTestCase):
    """Questions."""

    def reply(self, request: Delivery, content: bytes) -> None:
        """Let the worker answer."""
        self.worker.send_to(request.sender, request.subject, content, tracker=request.tracker)
        self.worker.confirm(request)
        self.network.run()

    def test_answers_find_their_questions(self) -> None:
        """Answers in another order, and mail in between, do not mix up what belongs to what."""
        self.offer()
        asked = [self.me.ask("svc", str(number)) for number in range(3)]
        self.network.run()
        self.worker.send_to("me", "news", b"no answer")
        for request in reversed(self.taken):
            self.reply(request, b"answer to " + request.subject.encode())
        answers = [self.successResultOf(each).content[0] for each in asked]
        self.assertEqual(answers, [b"answer to 0", b"answer to 1", b"answer to 2"])

    def test_nobody_offers(self) -> None:
        """That nobody offers the service is known at once."""
        asked = self.me.ask("nothing", "job")
        self.network.run()
        self.assertEqual(self.failureResultOf(asked, errors.Refused).value.status, errors.NOT_FOUND)

    def test_no_such_script(self) -> None:
        """So is the worker's refusal."""
        self.offer()
        asked = self.me.ask("svc", "nothing")
        self.network.run()
        self.worker.confirm(self.taken[0], 404, "no such script")
        self.network.run()
        self.assertIn("no such script", str(self.failureResultOf(asked, errors.Refused).value))

    def test_no_answer_in_time(self) -> None:
        """Without an answer the question ends in time."""
        self.offer()
        asked = self.me.ask("svc", "job", timeout=1.0)
        self.pass_time(0.9)
        self.assertNoResult(asked)
        self.pass_time(0.2)
        self.failureResultOf(asked, Late)

    def test_no_answer_is_known_at_once(self) -> None:
        """A request that is done without an answer is answered with nothing, no later than that is known."""
        self.offer()
        asked = self.me.ask("svc", "job")
        self.network.run()
        self.worker.confirm(self.taken[0])
        self.assertNoResult(asked)
        self.network.run()
        answer = self.successResultOf(asked)
        self.assertEqual((answer.content, answer.sender, answer.subject, answer.address), ((), "", "job", "me"))

    def test_answer_behind_its_confirmation(self) -> None:
        """Mail that a worker sends just behind its confirmation is the answer, like mail that it sends before."""
        self.offer()
        asked = self.me.ask("svc", "job")
        self.network.run()
        request = self.taken[0]
        self.worker.confirm(request)
        self.worker.send_to(request.sender, request.subject, b"here", tracker=request.tracker)
        self.network.run()
        self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_answer_behind_other_mail(self) -> None:
        """An answer that waits behind other mail, for which there was no credit, is found before the question ends."""
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

    def test_late_answer_is_delivered(self) -> None:
        """An answer that comes when its question has ended is a delivery like any other, and is not lost."""
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

    def test_plain_receiver_may_answer_later(self) -> None:
        """That a request was delivered to a receiver which confirms nothing ends no question."""
        plain = self.client("plain worker", self.taken.append)
        plain.offer("svc")
        asked = self.me.ask("svc", "job")
        self.pass_time(1.0)
        self.assertNoResult(asked)
        self.reply(self.taken[0], b"here")
        self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_no_credit_is_left_over(self) -> None:
        """However questions end, a client that gives credit is sent no more than it asked for."""
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
    """Questions of a client that gives no credit."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = []
        self.plain = self.client("plain", self.got.append)

    def test_answer(self) -> None:
        """It gets answers."""
        self.offer()
        asked = self.plain.ask("svc", "job")
        self.network.run()
        request = self.taken[0]
        self.worker.send_to(request.sender, request.subject, b"here", tracker=request.tracker)
        self.worker.confirm(request)
        self.network.run()
        self.assertEqual(self.successResultOf(asked).content, (b"here",))

    def test_refused(self) -> None:
        """It hears at once that nobody offers the service, that the worker refuses, or has no answer."""
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
        """So does one that asks before it is connected."""
        early = Client(ENDPOINT, "early", network=self.network, reactor=self.reactor)
        early.connect()
        asked = early.ask("nothing", "job")
        self.network.run()
        self.failureResultOf(asked, errors.Refused)

    def test_takes_all_as_before(self) -> None:
        """What comes to it, however much, comes as before, is done with when it has come, and does not come again."""
        self.offer()
        self.plain.ask("nothing", "job").addErrback(lambda failure: failure.trap(errors.Refused))
        self.network.run()
        for number in range(3 * OWN_CREDIT):
            self.worker.send_to("plain", "news", str(number))
        self.network.run()
        self.assertEqual([each.content[0] for each in self.got], [b"%d" % each for each in range(3 * OWN_CREDIT)])
        self.worker.give_credit(2 * OWN_CREDIT)
        for _ in range(2 * OWN_CREDIT):
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
        """When it gives credit after that, it confirms each delivery by the program's word alone."""
        self.plain.ask("nothing", "job").addErrback(lambda failure: failure.trap(errors.Refused))
        self.network.run()
        self.plain.give_credit(1)
        tracked = self.me.track_to("plain", "news", b"x")
        self.network.run()
        self.assertNoResult(tracked)
        self.plain.confirm(self.got[0], 404)
        self.network.run()
        self.assertEqual(self.successResultOf(tracked).status, 404)


class LetterTests(TrackersTestCase):
    """Dead letters, asked for over the wire."""

    def setUp(self) -> None:
        super().setUp()
        self.offer()
        self.me.send_for("svc", "job", b"\xff", b"second")
        self.network.run()
        self.worker.confirm(self.taken.pop(), 502, "it failed")
        self.network.run()

    def ask(self, client: Client, what: str, **options: int) -> dict[str, Any]:
        """Return the broker's answer."""
        asked = client.letters(what, **options)
        self.network.run()
        return self.successResultOf(asked)

    def test_list_and_read(self) -> None:
        """Letters are listed with why, and read with their content."""
        (listed,) = self.ask(self.me, "list")["letters"]
        self.assertEqual(
            (listed["subject"], listed["sender"], listed["status"], listed["reason"], listed["octets"]),
            ("job", "me", 502, "it failed", 7),
        )
        read = self.ask(self.me, "read", position=listed["position"])["letter"]
        self.assertEqual(read, {**listed, "content": ["/w==", "c2Vjb25k"]})

    def test_replay(self) -> None:
        """A letter that is replayed comes to a worker, once."""
        (listed,) = self.ask(self.me, "list")["letters"]
        self.assertEqual(self.ask(self.me, "replay", position=listed["position"]), {"done": True})
        self.assertEqual([each.content for each in self.taken], [(b"\xff", b"second")])
        self.assertEqual(self.ask(self.me, "replay", position=listed["position"]), {"done": False})

    def test_drop(self) -> None:
        """A letter that is dropped is gone."""
        (listed,) = self.ask(self.me, "list")["letters"]
        self.assertEqual(self.ask(self.me, "drop", position=listed["position"]), {"done": True})
        self.assertEqual(self.ask(self.me, "list"), {"letters": []})
        self.assertEqual(self.ask(self.me, "read", position=listed["position"]), {"letter": None})

    def test_nonsense(self) -> None:
        """What cannot be understood is answered with an error."""
        for what in ("nonsense", "read", "drop"):
            self.assertIn("error", self.ask(self.me, what))

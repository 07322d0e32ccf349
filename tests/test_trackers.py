"""Questions and tracked messages: a client waits for what became of what it sent."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import TimeoutError as Late

from alaska import errors
from alaska.client import Client, Delivery
from tests.network_case import NetworkCase


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

    def test_plain_client_may_ask(self) -> None:
        """A client that gives no credit gets answers, too."""
        self.offer()
        asked = self.client("plain").ask("svc", "job")
        self.network.run()
        self.reply(self.taken[0], b"here")
        self.assertEqual(self.successResultOf(asked).content, (b"here",))


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

"""``alas request``, ``alas mail``, ``alas inbox`` and ``alas publish``, with a broker in memory."""

from __future__ import annotations

import io
import json
import sys

from twisted.trial.unittest import SynchronousTestCase

from alaska.access import ANONYMOUS, AccessRules, Rule, User, Verb
from alaska.client import Client, Delivery
from alaska.commands import mail
from alaska.commands.request import NO_ANSWER, request
from alaska.commands.speaking import Content
from tests.commands.speaking_case import SpeakingCase


class RequestTests(SpeakingCase):
    """``alas request``."""

    def worker(self, status: int = 200, reason: str = "", answer: bytes | None = None) -> None:
        """Start a worker that answers, and confirms with a status; with status 0 it does neither."""

        def take(delivery: Delivery) -> None:
            if answer is not None:
                client.send_to(delivery.sender, delivery.subject, answer, b"!", tracker=delivery.tracker)
            if status:
                client.confirm(delivery, status, reason)

        client: Client = self.client("worker", take, credit=10)
        client.offer("svc")
        self.run_on()

    def test_answer(self) -> None:
        """The frames of the answer are printed as they are, or in JSON."""
        self.worker(answer=b"hello")
        self.assertEqual(self.speak(request, "svc", "x", "--content", "a"), (0, "hello!"))
        _, line = self.speak(request, "svc", "x", "--content", "a", "--json")
        self.assertEqual(json.loads(line)["content"], ["hello", "!"])

    def test_no_reply(self) -> None:
        """A script that ends without an answer is a success, and nothing is printed."""
        self.worker()
        self.assertEqual(self.speak(request, "svc", "x", "--content", "a"), (0, ""))

    def test_failed(self) -> None:
        """A request that fails, and a service that nobody offers, have the status 1 and a reason."""
        self.assertEqual(self.speak(request, "svc", "x", "--content", "a")[0], 1)
        self.assertIn("nobody offers the service; alas services shows", self.said())
        self.worker(status=500, reason="oh")
        self.assertEqual(self.speak(request, "svc", "x", "--content", "a")[0], 1)
        self.assertIn("oh", self.said())

    def test_no_answer(self) -> None:
        """The wait has a limit."""
        self.worker(status=0)
        self.assertEqual(self.speak(request, "svc", "x", "--content", "a", "-w", "2s")[0], NO_ANSWER)
        self.assertIn("no answer within 2 s", self.said())

    def test_no_worker_in_time(self) -> None:
        """A request that no worker takes in time is not answered either, and the error says why."""
        arguments = ("svc", "x", "--content", "a", "-w", "2s", "--await-worker")
        self.assertEqual(self.speak(request, *arguments)[0], NO_ANSWER)
        self.assertIn("no answer", self.said())
        self.assertFalse(self.said().rstrip().endswith(":"))

    def test_standard_input(self) -> None:
        """The content is the standard input, unless it is given."""
        taken: list[Delivery] = []
        client = self.client("worker", taken.append, credit=10)
        client.offer("svc")
        self.run_on()
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"typed")))
        self.speak(request, "svc", "x", "-w", "1s")
        self.speak(request, "svc", "x", "-w", "1s", "--content", "a", "--content", "b")
        self.assertEqual([each.content for each in taken], [(b"typed",), (b"a", b"b")])


class TakenTests(SpeakingCase):
    """What ``alas mail`` and ``alas publish`` print in JSON."""

    def test_mail(self) -> None:
        """It is the status with which the broker has taken the mail."""
        for status in (201, 203):
            printed = self.speak(mail.mail, "box", "s", "--content", "x", "--id", "i", "--json")
            self.assertEqual((printed[0], json.loads(printed[1])["status"]), (0, status))

    def test_published(self) -> None:
        """It is the number of records."""
        printed = self.speak(mail.publish, "numbers", "s", "--content", "x", "--json")
        self.assertEqual(printed, (0, '{"stream":"numbers","subject":"s","records":1}\n'))


class TypedTests(SynchronousTestCase):
    """Content that is typed."""

    def typed(self, is_terminal: bool) -> str:
        """Return what is printed while content is read from a terminal, or from elsewhere."""
        kind = Terminal if is_terminal else io.TextIOWrapper
        printed = io.BytesIO()
        errors = kind(printed, "utf-8")
        self.patch(sys, "stdin", kind(io.BytesIO(b"typed")))
        self.patch(sys, "stderr", errors)
        self.assertEqual(Content((), 10).frames(), (b"typed",))
        return printed.getvalue().decode()

    def test_terminal(self) -> None:
        """Somebody who has given no content is told that it is read, and how it ends; a program is not."""
        self.assertIn("end it with Ctrl-D", self.typed(is_terminal=True))
        self.assertEqual(self.typed(is_terminal=False), "")


class Terminal(io.TextIOWrapper):
    """A terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class MailTests(SpeakingCase):
    """``alas mail``, ``alas inbox`` and ``alas publish``."""

    def test_mail(self) -> None:
        """Mail that was sent is read, once."""
        self.assertEqual(self.speak(mail.mail, "box", "hi", "--content", "a\nb")[0], 0)
        self.assertEqual(self.speak(mail.inbox, "box"), (0, "- hi a\\nb\n"))
        self.assertEqual(self.speak(mail.inbox, "box"), (0, ""))

    def test_count(self) -> None:
        """What is beyond the count stays in the mailbox."""
        for text in ("1", "2", "3"):
            self.speak(mail.mail, "box", text, "--content", "x")
        self.assertEqual(self.speak(mail.inbox, "box", "-n", "2")[1], "- 1 x\n- 2 x\n")
        self.assertEqual(self.speak(mail.inbox, "box", "--json")[1].count("\n"), 1)

    def test_follow(self) -> None:
        """With --follow, the command goes on."""
        self.assertEqual(self.speak(mail.inbox, "box", "--follow"), (None, ""))
        self.speak(mail.mail, "box", "later", "--content", "x")
        self.assertEqual(self.printed(), "- later x\n")

    def test_published(self) -> None:
        """Records are published, one for the whole content or one for each line."""
        found: list[Delivery] = []
        reader = self.client("reader", found.append)
        reader.consume("s")
        self.run_on()
        self.assertEqual(self.speak(mail.publish, "s", "t", "--content", "a\nb")[0], 0)
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"1\n2\n")))
        self.assertEqual(self.speak(mail.publish, "s", "t", "--lines")[0], 0)
        self.assertEqual([each.content for each in found], [(b"a\nb",), (b"1",), (b"2",)])

    def test_refused(self) -> None:
        """A stream that the user may not write is an error; the broker does not answer a record."""
        self.service.replace_rules(AccessRules((User(ANONYMOUS, (Rule(Verb.WRITE, "own"),)),)))
        self.assertEqual(self.speak(mail.publish, "own", "t", "--content", "x"), (0, ""))
        self.assertEqual(self.speak(mail.publish, "other", "t", "--content", "x"), (77, ""))
        self.assertIn("may not write other", self.said())

"""The results of scripts: messages, replies, requests and log lines."""

from __future__ import annotations

import os
import re
import socket

from twisted.logger import LogLevel

from alaska.client import Delivery
from alaska.lua.request import LogLine, Outcome, Send, SendKind
from alaska.mlm.properties import to_number
from tests.worker.worker_case import ServedCase, mail, reply

HOST = re.escape(socket.gethostname())


class SendTests(ServedCase):
    """Messages of scripts."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = self.mailbox("box")

    def test_mail(self) -> None:
        """Mail arrives with its subject and all frames; the sender's address begins with the sender name."""
        self.script(b"job", mail(b"result", b"content", b"attachment"))
        self.start()
        self.ask("job")
        self.run_scripts()
        (delivery,) = self.got
        self.assertEqual((delivery.subject, delivery.content), ("result", (b"content", b"attachment")))
        self.assertRegex(delivery.sender, rf"^LU::{HOST}::{os.getpid()}-[0-9A-F]{{4}}$")
        self.assertIn("[MBOX]( subject: 'result', mailbox: 'box', request: ", self.logged()[-2])

    def test_ttl(self) -> None:
        """Mail and replies of scripts have a ttl, by default an hour, unless the script gives another one."""
        got = self.mailbox("me")
        me = self.client("me", got.append)
        sends = mail(b"1", to=b"me"), reply(b"2"), mail(b"3", to=b"me")._replace(terms=(("ttl", b"5"),))
        self.script(b"job", *sends)
        self.start()
        me.send_for("default", "job")
        self.network.run()
        self.run_scripts()
        self.pass_time(0.2)
        self.assertEqual([to_number(each.command.properties["ttl"]) for each in got], [3_600_000, 3_600_000, 5000])

    def test_no_ttl(self) -> None:
        """Without a limit, mail waits as long as the broker says, and reports of errors always do."""
        self.script(b"bad", mail(b"1"), error="oh no")
        self.worker = self.make_worker(answers_ttl=None)
        reports = self.mailbox("aw.err")
        self.start()
        self.ask("bad")
        self.run_scripts()
        for delivery in (*self.got, *reports):
            self.assertNotIn("ttl", delivery.command.properties)
        self.assertEqual((len(self.got), len(reports)), (1, 1))

    def test_stream(self) -> None:
        """A message to a stream reaches its readers."""
        read: list[Delivery] = []
        reader = self.client("reader", read.append)
        reader.consume("numbers")
        self.script(b"job", Send(SendKind.STREAM, b"numbers", b"pi", (b"3.14",), b"LU"))
        self.start()
        self.ask("job")
        self.run_scripts()
        (delivery,) = read
        self.assertEqual((delivery.address, delivery.subject, delivery.content), ("numbers", "pi", (b"3.14",)))
        self.assertTrue(delivery.sender.startswith("LU::"))
        self.assertIn("[STRM]( subject: 'pi', topic: 'numbers', request: ", self.logged()[-2])

    def test_in_order(self) -> None:
        """Messages of one sender arrive in the order of sending, also from different requests."""
        self.script(b"one", mail(b"1"), mail(b"2"))
        self.script(b"two", mail(b"3"))
        self.start()
        self.ask("one")
        self.ask("two")
        self.run_scripts()
        self.assertEqual([delivery.subject for delivery in self.got], ["1", "2", "3"])

    def test_partial_result(self) -> None:
        """A partial result is logged and sent while the script runs, and not again at its end."""
        self.script(b"job", mail(b"2"), output=b"end")
        self.start()
        self.scripts.partial = Outcome(
            (mail(b"1"),), b"middle", log=(LogLine("print", b"begin"), LogLine("info", b"log"))
        )
        got_before: list[int] = []

        def count() -> None:
            self.network.run()
            got_before.append(len(self.got))

        self.scripts.after_partial = count
        self.ask("job")
        self.run_scripts()
        self.assertEqual((got_before, [delivery.subject for delivery in self.got]), ([1], ["1", "2"]))
        lines = [line.rpartition(": ")[2] for line in self.logged() if line.startswith("default/job ")]
        self.assertEqual(lines, ["begin", "log", "middle", "end"])

    def test_connection_is_used_again(self) -> None:
        """A sender name uses the same connection for all requests; another name uses another connection."""
        self.script(b"job", mail(b"1"), mail(b"2", sender=b"other"))
        self.start()
        for _ in range(2):
            self.ask("job")
            self.run_scripts()
        senders = {delivery.sender for delivery in self.got}
        self.assertEqual(sorted(sender.split("::")[0] for sender in senders), ["LU", "other"])
        self.assertEqual(len(self.got), 4)

    def test_failed_script_has_sent(self) -> None:
        """Messages that a script sent before it failed are delivered."""
        self.script(b"job", mail(b"half"), error="oh no")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual([delivery.subject for delivery in self.got], ["half"])

    def test_backlog_is_full(self) -> None:
        """A message larger than the backlog is lost and fails its script; later messages are sent."""
        self.script(b"job", mail(b"large", bytes(257 * 2**20)), mail(b"small"))
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual([delivery.subject for delivery in self.got], ["small"])
        lost, failed = self.logged(LogLevel.error)
        self.assertTrue(lost.startswith("a message of a script to box is lost: "), lost)
        self.assertTrue(failed.startswith("job failed: its message to box is lost: "), failed)


class ReplyTests(ServedCase):
    """Replies to a request."""

    def test_answer(self) -> None:
        """A reply reaches the requester's mailbox, with the request's subject and tracker, before the confirmation."""
        self.script(b"job", reply(b"one", b"\0"), reply(b"two"))
        self.start()
        asker = self.client("asker", credit=0)
        asked = asker.ask("default", "job", b"content")
        self.network.run()
        self.run_scripts()
        delivery = self.successResultOf(asked)
        self.assertEqual((delivery.subject, delivery.content), ("job", (b"one", b"\0")))

    def test_order(self) -> None:
        """Replies and other mail to a mailbox keep their order; the reply to a request without a tracker has none."""
        got = self.mailbox("me")
        me = self.client("me", got.append)
        self.script(b"job", mail(b"1", to=b"me"), reply(b"2"), mail(b"3", to=b"me"))
        self.start()
        me.send_for("default", "job")
        self.network.run()
        self.run_scripts()
        self.assertEqual([(each.subject, each.tracker) for each in got], [("1", ""), ("job", ""), ("3", "")])

    def test_without_address(self) -> None:
        """A requester without an address gets no reply; this is logged and does not fail the script."""
        self.script(b"job", reply(b"x"))
        self.start()
        self.client("").send_for("default", "job")
        self.network.run()
        self.run_scripts()
        self.assertEqual(self.worker.measures.failed, 0)
        self.assertIn("the reply of job is dropped: the requester has no address", self.logged(LogLevel.debug))
        self.assertEqual(self.logged(LogLevel.warn), [])

    def test_too_large(self) -> None:
        """A reply larger than the backlog is lost and fails its script."""
        self.script(b"job", reply(bytes(257 * 2**20)))
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual(self.worker.measures.failed, 1)


class SendForTests(ServedCase):
    """Requests sent by scripts."""

    def test_to_a_service(self) -> None:
        """A request goes to the named service, or by default to the service that the script serves."""
        taken: list[Delivery] = []
        self.client("other", taken.append).offer("other")
        sends = [Send(SendKind.SERVICE, topic, b"next", (b"x",), b"LU") for topic in (b"other", b"")]
        self.script(b"job", *sends)
        self.script(b"next")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.run_scripts()
        self.assertEqual([(each.subject, each.content) for each in taken], [("next", (b"x",))])
        self.assertEqual([each.subject for each in self.scripts.requests], [b"job", b"next"])

    def test_to_a_service_of_the_brokers(self) -> None:
        """A request to one of the broker's own services is not sent and fails its script."""
        self.script(b"job", Send(SendKind.SERVICE, b"alaska.letters", b"drop", (b'{"position": 1}',), b"LU"))
        self.start()
        self.ask("job")
        self.run_scripts()
        line, _ = self.logged(LogLevel.error)
        self.assertRegex(line, "a message of a script to alaska.letters is lost: .* not for scripts in the sandbox")

    def test_replies_are_dropped(self) -> None:
        """Replies to a request that a script has sent without waiting are dropped."""
        self.script(b"job", Send(SendKind.SERVICE, b"", b"next", (b"x",), b"LU"))
        self.script(b"next", reply(b"answer"))
        self.start()
        self.ask("job")
        self.run_scripts()
        self.run_scripts()
        (line,) = [line for line in self.logged(LogLevel.debug) if "dropped" in line]
        self.assertRegex(line, r"dropped mail from LU::.*: nobody reads LU::")


class LogTests(ServedCase):
    """Log lines of scripts."""

    def test_levels(self) -> None:
        """A line is logged at its level with the request as its prefix, and control characters escaped."""
        self.scripts.outcomes[b"job"] = Outcome(log=(LogLine("warn", b"careful\nnow"), LogLine("info", b"\xff")))
        self.start()
        self.ask("job")
        self.run_scripts()
        (warning,) = self.logged(LogLevel.warn)
        self.assertRegex(warning, r"^default/job #\d+: careful\\nnow$")
        self.assertRegex(self.logged(LogLevel.info)[-2], r"^default/job #\d+: \\xff$")

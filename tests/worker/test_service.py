"""The worker: a request's way to its script, and the way of what that sends."""

from __future__ import annotations

import json
import os
import re
import socket

from twisted.logger import LogLevel

from alaska.client import Delivery
from alaska.errors import ScriptError
from alaska.lua.request import LogLine, Outcome, Send, SendKind
from tests.worker.worker_case import ServedCase, mail

HOST = re.escape(socket.gethostname())


class RequestTests(ServedCase):
    """From a request to its script and back."""

    def test_to_the_runner(self) -> None:
        """The runner is given the request as it was sent, every frame of it, in its turn and not before."""
        self.script(b"dump")
        self.start()
        self.ask("dump", b"context", b"", b"\0\xff")
        self.assertEqual(self.scripts.requests, [])
        self.pool.run()
        (request,) = self.scripts.requests
        self.assertEqual(
            (request.sender, request.address, request.subject, request.frames),
            (b"requester", b"default", b"dump", (b"context", b"", b"\0\xff")),
        )

    def test_what_is_offered(self) -> None:
        """The worker takes what its settings say: one service, and the subjects that match its filter."""
        self.worker = self.make_worker(service_address="render", service_filter="^pi$")
        self.script(b"pi")
        self.start()
        for service, subject in (("render", "spin"), ("default", "pi"), ("render", "pi")):
            self.ask(subject, service=service)
        self.pool.run()
        self.assertEqual([(each.address, each.subject) for each in self.scripts.requests], [(b"render", b"pi")])

    def test_pool(self) -> None:
        """The pool has the size of the settings, and the worker says when it is ready, and where."""
        self.worker = self.make_worker(pool_size=7)
        self.start()
        self.assertEqual(self.pool.size, 7)
        connected, ready = self.logged()[-2:]
        self.assertRegex(connected, rf"^Connected \(AW::{HOST}::{os.getpid()}-[0-9A-F]{{4}}\)$")
        self.assertEqual(ready, "Alaska worker ready (pool:7)")

    def test_output(self) -> None:
        """Each line that a script printed is one of the log; a script that printed nothing writes nothing."""
        self.script(b"loud", output=b"1\n2\n\xff")
        self.script(b"quiet")
        self.start()
        for subject in ("loud", "quiet", "loud"):
            self.ask(subject)
        self.pool.run()
        lines = [line.partition(": ") for line in self.logged() if line.startswith("default/")]
        self.assertEqual([text for _, _, text in lines], ["1", "2", r"\xff"] * 2)
        names = [name for name, _, _ in lines]
        self.assertRegex(names[0], r"^default/loud broker-\d+-\d+$")
        self.assertEqual((len(set(names[:3])), len(set(names))), (1, 2))

    def test_counts(self) -> None:
        """What was executed is counted, and how much of it failed."""
        self.script(b"good")
        self.script(b"bad", error="oh no")
        self.start()
        for subject in ("good", "bad", "good"):
            self.ask(subject)
        self.run_scripts()
        self.assertEqual((self.worker.executed, self.worker.failed), (3, 1))

    def test_request_is_logged(self) -> None:
        """The log has the address, the subject and the sender of each request, on one line whatever they hold."""
        self.start()
        self.ask("dump")
        self.ask("a\nb\udcff")
        self.assertEqual(
            self.logged()[-2:],
            [
                "[SREQ]( address: default, subject: dump, sender: requester )",
                r"[SREQ]( address: default, subject: a\nb\xff, sender: requester )",
            ],
        )


class SendTests(ServedCase):
    """What scripts send."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = self.mailbox("box")

    def test_mail(self) -> None:
        """Mail arrives with its subject and every frame, under an address that begins with the sender's name."""
        self.script(b"job", mail(b"result", b"content", b"attachment"))
        self.start()
        self.ask("job")
        self.run_scripts()
        (delivery,) = self.got
        self.assertEqual((delivery.subject, delivery.content), ("result", (b"content", b"attachment")))
        self.assertRegex(delivery.sender, rf"^LU::{HOST}::{os.getpid()}-[0-9A-F]{{4}}$")
        self.assertEqual(self.logged()[-1], "[MBOX]( subject: 'result', mailbox: 'box' )")

    def test_stream(self) -> None:
        """What goes to a stream reaches its readers, under the same conditions."""
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
        self.assertEqual(self.logged()[-1], "[STRM]( subject: 'pi', topic: 'numbers' )")

    def test_in_order(self) -> None:
        """What one sender sends arrives in the order in which it was sent, over several requests, too."""
        self.script(b"one", mail(b"1"), mail(b"2"))
        self.script(b"two", mail(b"3"))
        self.start()
        self.ask("one")
        self.ask("two")
        self.run_scripts()
        self.assertEqual([delivery.subject for delivery in self.got], ["1", "2", "3"])

    def test_while_it_runs(self) -> None:
        """What a script has left while it runs leaves before its end, and is told no second time."""
        self.script(b"job", mail(b"2"), output=b"end")
        self.start()
        self.scripts.told = Outcome((mail(b"1"),), b"middle", log=(LogLine("print", b"begin"), LogLine("info", b"log")))
        got_before: list[int] = []

        def look() -> None:
            self.network.run()
            got_before.append(len(self.got))

        self.scripts.after_telling = look
        self.ask("job")
        self.run_scripts()
        self.assertEqual((got_before, [delivery.subject for delivery in self.got]), ([1], ["1", "2"]))
        lines = [line.rpartition(": ")[2] for line in self.logged() if line.startswith("default/job ")]
        self.assertEqual(lines, ["begin", "log", "middle", "end"])
        self.assertEqual((self.worker._under_way._left, self.worker._under_way._has_sent), ({}, set()))

    def test_connection_is_used_again(self) -> None:
        """A sender's name keeps its connection over requests; another name has another."""
        self.script(b"job", mail(b"1"), mail(b"2", sender=b"other"))
        self.start()
        for _ in range(2):
            self.ask("job")
            self.run_scripts()
        senders = {delivery.sender for delivery in self.got}
        self.assertEqual(sorted(sender.split("::")[0] for sender in senders), ["LU", "other"])
        self.assertEqual(len(self.got), 4)

    def test_failed_script_has_sent(self) -> None:
        """What a script sent before it failed arrives all the same."""
        self.script(b"job", mail(b"half"), error="oh no")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual([delivery.subject for delivery in self.got], ["half"])

    def test_backlog_is_full(self) -> None:
        """What is too much for the memory is lost, which is a failure of its script; what comes later is not."""
        self.script(b"job", mail(b"large", bytes(257 * 2**20)), mail(b"small"))
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual([delivery.subject for delivery in self.got], ["small"])
        lost, failed = self.logged(LogLevel.error)
        self.assertTrue(lost.startswith("what a script sent to box is lost: "), lost)
        self.assertTrue(failed.startswith("job failed: what it sent to box is lost: "), failed)


class ErrorTests(ServedCase):
    """Scripts that fail."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = self.mailbox("aw.err")

    def test_logged_and_mailed(self) -> None:
        """A failure is logged, and mailed under the request's subject: the error's text, the context, and JSON."""
        error = ScriptError("job.lua:1: oh no", file="job.lua", line=1, traceback=("job.lua:1: in main chunk",))
        self.scripts.outcomes[b"job"] = Outcome(error=error)
        self.start()
        self.ask("job", b"context", b"more")
        self.run_scripts()
        (delivery,) = self.got
        self.assertEqual((delivery.subject, delivery.content[:2]), ("job", (b"job.lua:1: oh no", b"context")))
        described = json.loads(delivery.content[2])
        self.assertEqual((described["file"], described["line"], described["message"]), ("job.lua", 1, "oh no"))
        self.assertEqual((described["sender"], described["attempt"], described["status"]), ("requester", 1, 502))
        self.assertEqual(len(delivery.content), 3)
        self.assertRegex(delivery.sender, rf"^EP::{HOST}::{os.getpid()}-[0-9A-F]{{4}}$")
        text = "job failed: job.lua:1: oh no\nstack traceback:\n\tjob.lua:1: in main chunk"
        self.assertEqual(self.logged(LogLevel.error), [text])

    def test_without_context(self) -> None:
        """A request without content has an empty context, and any octets may be its subject."""
        self.script(b"\xff", error="oh no")
        self.start()
        self.ask("\udcff")
        self.run_scripts()
        (delivery,) = self.got
        self.assertEqual((delivery.command.subject, delivery.content[:2]), (b"\xff", (b"oh no", b"")))
        self.assertEqual(json.loads(delivery.content[2])["subject"], r"\xff")

    def test_another_mailbox(self) -> None:
        """The mailbox is that of the settings."""
        self.worker = self.make_worker(errors_mailbox="größe")
        other = self.mailbox("größe")
        self.script(b"job", error="oh no")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual((len(self.got), len(other)), (0, 1))

    def test_no_mail(self) -> None:
        """Without notify a failure is logged, and mailed to nobody."""
        self.worker = self.make_worker(errors_notify=False)
        self.script(b"job", error="oh no")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual(self.got, [])
        self.assertEqual(self.logged(LogLevel.error), ["job failed: oh no"])

    def test_runner_fails(self) -> None:
        """A fault of the worker's own is a failure like that of a script, and the next request is served."""
        self.script(b"good", output=b"good")
        self.start()
        self.ask("unknown", b"context")
        self.ask("good")
        self.run_scripts()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        (delivery,) = self.got
        self.assertEqual(delivery.content[:2], (b"the worker failed to run it, its log says why", b"context"))
        self.assertEqual((self.worker.executed, self.worker.failed), (2, 1))

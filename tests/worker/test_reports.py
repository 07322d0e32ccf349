"""Reports of failed requests and of broken scripts."""

from __future__ import annotations

import json
import os
import re
import socket

from twisted.logger import LogLevel

from alaska.client import Delivery
from alaska.errors import ScriptBroken, ScriptError
from alaska.lua.files import Version
from alaska.lua.request import Broken, Outcome
from tests.worker.worker_case import ServedCase

HOST = re.escape(socket.gethostname())


class ErrorTests(ServedCase):
    """Reports of failed requests."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Delivery] = self.mailbox("aw.err")

    def test_logged_and_mailed(self) -> None:
        """A failure is logged and mailed with the request's subject: the error's text, the context, and JSON."""
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
        """The mail about a request without content has an empty context; its subject may be any octets."""
        self.script(b"\xff", error="oh no")
        self.start()
        self.ask("\udcff")
        self.run_scripts()
        (delivery,) = self.got
        self.assertEqual((delivery.command.subject, delivery.content[:2]), (b"\xff", (b"oh no", b"")))
        self.assertEqual(json.loads(delivery.content[2])["subject"], r"\xff")

    def test_another_mailbox(self) -> None:
        """Failures are mailed to the mailbox of the settings."""
        self.worker = self.make_worker(errors_mailbox="größe")
        other = self.mailbox("größe")
        self.script(b"job", error="oh no")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual((len(self.got), len(other)), (0, 1))

    def test_no_mail(self) -> None:
        """Without ``worker/errors/notify`` a failure is only logged."""
        self.worker = self.make_worker(errors_notify=False)
        self.script(b"job", error="oh no")
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual(self.got, [])
        self.assertEqual(self.logged(LogLevel.error), ["job failed: oh no"])

    def test_runner_fails(self) -> None:
        """An exception of the runner is reported like an error of a script, and the next request is served."""
        self.script(b"good", output=b"good")
        self.start()
        self.ask("unknown", b"context")
        self.ask("good")
        self.run_scripts()
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        (delivery,) = self.got
        self.assertEqual(delivery.content[:2], (b"the worker failed to run it; see the worker's log", b"context"))
        self.assertEqual((self.worker.measures.executed, self.worker.measures.failed), (2, 1))


class BrokenTests(ServedCase):
    """Scripts whose newest version is broken."""

    def test_reported_once(self) -> None:
        """Each broken version is logged and mailed once, however often the last good version runs."""
        got = self.mailbox("aw.err")
        self.start()
        for number in (1, 1, 2):
            error = ScriptBroken(f"job.lua:{number}: unexpected symbol", file="job.lua", line=number)
            self.scripts.outcomes[b"job"] = Outcome(broken=Broken(Version(number, 0, 0, 0), error))
            self.ask("job", b"context")
            self.run_scripts()
        self.assertEqual([each.content[1] for each in got], [b"context"] * 2)
        self.assertIn(b"job.lua:1: unexpected symbol\n(the last good version", got[0].content[0])
        self.assertEqual(len(self.logged(LogLevel.error)), 2)
        self.assertEqual((self.worker.measures.executed, self.worker.measures.failed), (3, 0))

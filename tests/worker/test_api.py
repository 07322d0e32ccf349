"""The worker's part of what scripts have: answers, requests, log lines and broken versions."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.client import Delivery
from alaska.errors import ScriptBroken
from alaska.lua.files import Version
from alaska.lua.request import Broken, LogLine, Outcome, Send, SendKind
from tests.worker.worker_case import ServedCase, mail


def reply(*content: bytes) -> Send:
    """Return a reply as scripts send it."""
    return Send(SendKind.REPLY, b"", b"", content, b"LU")


class ReplyTests(ServedCase):
    """Answers to a request."""

    def test_answer(self) -> None:
        """An answer comes to the requester's mailbox with the request's subject and tracker, before it is confirmed."""
        self.script(b"job", reply(b"one", b"\0"), reply(b"two"))
        self.start()
        asker = self.client("asker", credit=0)
        asked = asker.ask("default", "job", b"content")
        self.network.run()
        self.run_scripts()
        delivery = self.successResultOf(asked)
        self.assertEqual((delivery.subject, delivery.content), ("job", (b"one", b"\0")))

    def test_order(self) -> None:
        """Answers and other mail to the same mailbox keep their order, and without a tracker none is made up."""
        got = self.mailbox("me")
        me = self.client("me", got.append)
        self.script(b"job", mail(b"1", to=b"me"), reply(b"2"), mail(b"3", to=b"me"))
        self.start()
        me.send_for("default", "job")
        self.network.run()
        self.run_scripts()
        self.assertEqual([(each.subject, each.tracker) for each in got], [("1", ""), ("job", ""), ("3", "")])

    def test_without_address(self) -> None:
        """A sender without an address gets no answer; that is logged, and no fault of the script."""
        self.script(b"job", reply(b"x"))
        self.start()
        self.client("").send_for("default", "job")
        self.network.run()
        self.run_scripts()
        self.assertEqual(self.worker.failed, 0)
        self.assertIn("the answer of job is dropped: its sender has no address", self.logged(LogLevel.debug))
        self.assertEqual(self.logged(LogLevel.warn), [])

    def test_too_large(self) -> None:
        """An answer that is too much for the memory is lost, which is a failure of its script."""
        self.script(b"job", reply(bytes(257 * 2**20)))
        self.start()
        self.ask("job")
        self.run_scripts()
        self.assertEqual(self.worker.failed, 1)


class SendForTests(ServedCase):
    """Requests that scripts send."""

    def test_to_a_service(self) -> None:
        """A request goes to the service that is named, or to the one that was asked."""
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
        """A request for a service that is the broker's own is not sent, which is a failure of its script."""
        self.script(b"job", Send(SendKind.SERVICE, b"alaska.letters", b"drop", (b'{"position": 1}',), b"LU"))
        self.start()
        self.ask("job")
        self.run_scripts()
        (line,) = [line for line in self.logged(LogLevel.error) if "sandbox" in line and line.startswith("what")]
        self.assertRegex(line, "what a script sent to alaska.letters is lost: .* not for scripts in the sandbox")

    def test_answers_pile_up_nowhere(self) -> None:
        """What is answered to a request that a script sent is dropped: nobody waits for it."""
        self.script(b"job", Send(SendKind.SERVICE, b"", b"next", (b"x",), b"LU"))
        self.script(b"next", reply(b"answer"))
        self.start()
        self.ask("job")
        self.run_scripts()
        self.run_scripts()
        (line,) = [line for line in self.logged(LogLevel.debug) if "dropped" in line]
        self.assertRegex(line, r"dropped mail from LU::.*: nobody reads LU::")


class LogTests(ServedCase):
    """Lines of scripts in the log."""

    def test_levels(self) -> None:
        """A line is logged at its level behind the request's name, on one line whatever it holds."""
        self.scripts.outcomes[b"job"] = Outcome(log=(LogLine("warn", b"careful\nnow"), LogLine("info", b"\xff")))
        self.start()
        self.ask("job")
        self.run_scripts()
        (warning,) = self.logged(LogLevel.warn)
        self.assertRegex(warning, r"^default/job broker-\d+-\d+: careful\\nnow$")
        self.assertRegex(self.logged(LogLevel.info)[-1], r"^default/job broker-\d+-\d+: \\xff$")


class BrokenTests(ServedCase):
    """Scripts whose newest version is broken."""

    def test_reported_once(self) -> None:
        """A broken version is logged and mailed once, however often the last good one runs; the next one again."""
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
        self.assertEqual((self.worker.executed, self.worker.failed), (3, 0))


class RequestTests(ServedCase):
    """What the runner is told of the worker."""

    def test_worker(self) -> None:
        """A request has the address of the worker that took it."""
        self.script(b"job")
        self.start()
        self.ask("job")
        self.pool.run()
        self.assertRegex(self.scripts.requests[0].worker, rb"^AW::.+")

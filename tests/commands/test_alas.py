"""``alas``: what it says of a request, whom it says it to, and how it is let in."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.commands import send
from alaska.commands.credentials import Credentials
from alaska.commands.send import Outcome, Sending, main, parser
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from alaska.testing import ScriptedBroker
from tests.network_case import ENDPOINT, NetworkCase
from tests.programs.test_system import Program, SystemTestCase

UNREACHABLE, FULL, NO_PERMISSION = 69, 75, 77


class OutcomeCase(NetworkCase):
    """A request, and what alas makes of what is said of it."""

    def send(
        self, *arguments: str, content: bytes = b"x", environ: Mapping[str, str] | None = None
    ) -> Deferred[Outcome]:
        """Send a request."""
        options = parser().parse_args(list(arguments))
        sending = Sending(self.reactor, options, Credentials.of(options, environ or {}), self.network)
        sent = ensureDeferred(sending.send(content))
        self.network.run()
        return sent

    def outcome(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Outcome:
        """Return what becomes of a request by itself."""
        sent = self.send(*arguments, environ=environ)
        self.pass_time(2.0)
        return self.successResultOf(sent)


class OurBrokerTests(OutcomeCase):
    """A broker that confirms."""

    def worker(self, status: int | None = None, reason: str = "", credit: int | None = 10) -> list[Delivery]:
        """Let a worker confirm each request, or leave it; return the requests that come."""
        taken: list[Delivery] = []

        def take(delivery: Delivery) -> None:
            taken.append(delivery)
            if status is not None:
                client.confirm(delivery, status, reason)

        client = self.client("worker", take, credit=credit)
        client.offer("default")
        self.network.run()
        return taken

    def test_done(self) -> None:
        """A request that is done is known to be at once; it came without a sender's address."""
        self.start_broker()
        taken = self.worker(200)
        self.assertEqual(self.successResultOf(self.send("-s", "job")), (0, "Sent! It is done."))
        self.assertEqual([(each.subject, each.sender, each.content) for each in taken], [("job", "", (b"x",))])

    def test_script_that_runs_long(self) -> None:
        """A long request is waited for as long as is said, and no longer; the broker has it."""
        self.start_broker()
        self.worker()
        sent = self.send("-w", "300")
        self.pass_time(0.25)
        self.assertNoResult(sent)
        self.pass_time(0.1)
        self.assertEqual(self.successResultOf(sent), (0, "Sent! The broker has it."))

    def test_nobody_offers(self) -> None:
        """That nobody offers the service is said, and not waited for: the broker has the request."""
        self.start_broker()
        text = "Sent! The broker has it, and nobody offers the service yet."
        self.assertEqual(self.successResultOf(self.send()), (0, text))

    def test_plain_worker(self) -> None:
        """A worker that confirms nothing has the request."""
        self.start_broker()
        self.worker(credit=None)
        self.assertEqual(self.successResultOf(self.send()), (0, "Sent! A worker has it."))

    def test_failed(self) -> None:
        """What the worker refuses has failed, with its reason on one line."""
        self.start_broker()
        for status, reason in ((404, "there is no script\nof that name"), (502, "oh no")):
            self.worker(status, reason)
            shown = reason.replace("\n", "\\n")
            self.assertEqual(self.successResultOf(self.send()), (1, f"the request has failed: {shown} ({status})"))

    def test_no_room(self) -> None:
        """A request for which the broker has no room is not sent, and may be tried later."""
        limits = Limits(service=QueueLimits(5, None))
        service = BrokerService(self.reactor, self.process, MemoryStore, [ENDPOINT], limits)
        service.startService()
        self.network.run()
        sent = self.successResultOf(self.send(content=b"too large"))
        self.assertEqual(sent, (FULL, "the broker has no room for the request: there is no room for it (301)"))

    def test_leaves_no_mail(self) -> None:
        """What a worker answers to nobody does not wait anywhere."""
        service = self.start_broker()
        self.worker(200)
        self.send()
        assert service.broker is not None
        self.assertEqual([name for name in service.broker.queues._queues if name[0].name == "MAILBOX"], [])

    def test_no_confirm(self) -> None:
        """With --no-confirm the request is sent as ever."""
        self.start_broker()
        self.worker(404)
        self.assertEqual(self.successResultOf(self.send("--no-confirm")), (0, "Sent!"))


class ScriptedTests(OutcomeCase):
    """A broker in the test's hand."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = ScriptedBroker(self.network, ENDPOINT)

    def test_c_broker(self) -> None:
        """A broker that confirms nothing gets what the C program sends, but for the address."""
        sent = self.send("-a", "svc", "-s", "job")
        self.broker.send(mlm.Ok(200, b""))
        self.broker.send(mlm.Ok(200, b""))
        self.assertEqual(self.successResultOf(sent), (0, "Sent!"))
        expected = [mlm.ConnectionOpen(b""), mlm.ServiceSend(b"svc", b"job", b"", 0, (b"x",)), mlm.ConnectionClose()]
        self.assertEqual(self.broker.take(), expected)

    def test_never_confirmed(self) -> None:
        """A broker that says nothing of the request may not have it."""
        sent = self.send("-t", "700")
        self.broker.send(mlm.Ok(200, b"alaska/1 credit confirm replay"))
        self.pass_time(2.0)
        text = f"the broker at {ENDPOINT} did not say within 0.7 s that it has the request"
        self.assertEqual(self.successResultOf(sent), (UNREACHABLE, text))

    def test_no_broker(self) -> None:
        """Without a broker nothing is sent."""
        self.broker.stop()
        text = f"no broker answers at {ENDPOINT} within 0.3 s"
        self.assertEqual(self.outcome("-t", "300"), (UNREACHABLE, text))

    def test_name_too_long(self) -> None:
        """A name that does not fit is a wrong command line, whatever the broker confirms."""
        for reason in (b"", b"alaska/1 credit confirm replay"):
            sent = self.send("-s", "x" * 256)
            self.broker.send(mlm.Ok(200, reason))
            self.broker.send(mlm.Ok(200, b""))
            self.pass_time(2.0)
            self.assertEqual(self.successResultOf(sent).status, 2)


class CredentialsTests(OutcomeCase):
    """A broker that asks who is there."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker(lambda username, password: (username, password) == (b"alice", b"secret"))

    def test_each_way(self) -> None:
        """Options, a file and the environment let in; options go first."""
        path = Path(self.mktemp())
        path.write_bytes(b"secret\r\nmore\n")
        environ = {"ALASKA_USERNAME": "alice", "ALASKA_PASSWORD": "secret"}
        wrong = {"ALASKA_USERNAME": "bob", "ALASKA_PASSWORD": "wrong"}
        for arguments, given in (
            (("-u", "alice", "-p", "secret"), {}),
            (("--username", "alice", "--password", "secret"), wrong),
            (("-u", "alice", "--password-file", str(path)), wrong),
            ((), environ),
            (("-u", "alice"), environ),
        ):
            self.assertEqual(self.outcome(*arguments, environ=given).status, 0, arguments)

    def test_refused(self) -> None:
        """With wrong credentials, or none, alas says that it is not let in, and shows none."""
        for arguments in (("-u", "alice", "-p", "hush"), ()):
            outcome = self.outcome(*arguments)
            self.assertEqual(outcome.status, NO_PERMISSION)
            self.assertNotIn("hush", outcome.text)


class BreaksOff(io.RawIOBase):
    """A file on a disk that fails, behind its first octets."""

    def __init__(self) -> None:
        super().__init__()
        self._left = [b"first"]

    def readable(self) -> bool:
        """Return that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is left, then fail."""
        if not self._left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        octets = self._left.pop()
        buffer[: len(octets)] = octets
        return len(octets)


class CommandLineTests(SynchronousTestCase):
    """What is read of a command line, and what is shown of it."""

    def refused(self, *arguments: str) -> str:
        """Return what is said of a wrong command line."""
        octets = io.BytesIO()
        said = io.TextIOWrapper(octets, encoding="utf-8")
        with contextlib.redirect_stderr(said), self.assertRaises(SystemExit) as ended:
            parser().parse_args(list(arguments))
        self.assertEqual(ended.exception.code, 2)
        return octets.getvalue().decode()

    def test_shows_no_password(self) -> None:
        """A misspelt option is named without its value, which may be a password."""
        for arguments in (("--pass", "hush"), ("--pass=hush",), ("-Phush",), ("hush",), ("-u", "a", "-p", "x", "hush")):
            self.assertNotIn("hush", self.refused(*arguments))
        self.assertIn("unknown option --pass", self.refused("--pass=hush"))
        options = parser().parse_args(["-u", "alice", "-p", "hush"])
        self.assertNotIn("hush", repr(Credentials.of(options, {})))

    def test_half_of_credentials(self) -> None:
        """A user name and a password come together, and fit."""
        for arguments, environ in (
            (["-u", "alice"], {}),
            (["-p", "hush"], {}),
            ([], {"ALASKA_PASSWORD": "hush"}),
            (["-u", "alice", "-p", "hush" * 64], {}),
            (["-u", "alice", "-p", ""], {}),
            (["-u", "alice", "-p", "\udcffhush"], {}),
            (["-u", "alice", "--password-file", "/nowhere"], {}),
        ):
            with self.assertRaises(ValueError) as raised:
                Credentials.of(parser().parse_args(arguments), environ)
            self.assertNotIn("hush", str(raised.exception))

    def test_nothing_is_given(self) -> None:
        """Variables that are empty are none."""
        environ = {"ALASKA_USERNAME": "", "ALASKA_PASSWORD": ""}
        self.assertEqual(Credentials.of(parser().parse_args([]), environ), Credentials())

    def test_input_that_breaks_off(self) -> None:
        """Of an input that cannot be read to its end nothing is sent, and a sentence says why."""
        octets = io.BytesIO()
        self.patch(sys, "stdin", io.TextIOWrapper(io.BufferedReader(BreaksOff())))
        self.patch(sys, "stderr", io.TextIOWrapper(octets, encoding="utf-8"))
        with self.assertRaises(SystemExit) as ended:
            main(["-e", "tcp://127.0.0.1:1"])
        said = b"alas: nothing is sent, the standard input cannot be read: Input/output error\n"
        self.assertEqual((ended.exception.code, octets.getvalue()), (1, said))

    def test_endless_input(self) -> None:
        """Of an input that is more than a client keeps nothing is sent, and no more is read."""
        octets = io.BytesIO()
        self.patch(send, "MOST_OCTETS", 10)
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * 1000)))
        self.patch(sys, "stderr", io.TextIOWrapper(octets, encoding="utf-8"))
        with self.assertRaises(SystemExit) as ended:
            main(["-e", "tcp://127.0.0.1:1"])
        said = b"alas: nothing is sent, the standard input has more than 10 octets\n"
        self.assertEqual((ended.exception.code, octets.getvalue()), (1, said))

    def test_milliseconds(self) -> None:
        """Times are whole numbers that fit, and only the wait may be none."""
        for wrong in ("0", "-1", "1.5", "x", str(2**32), "9" * 5000):
            self.refused("-t", wrong)
        self.assertEqual(parser().parse_args(["-w", "0"]).wait, 0)


class StreamsTests(SystemTestCase):
    """Real programs, whose streams are closed, full or broken."""

    async def alas_with(self, redirections: str, before: str = "") -> Program:
        """Run alas in a shell to its end."""
        alas = f"{shlex.quote(sys.executable)} -m alaska.alas -e {self.endpoint}"
        command = f"set -o pipefail; {before} {alas} {redirections}"
        run = "import os, sys; os.execvp('bash', ['bash', '-c', sys.argv[1]])"
        program = self.run_program("-c", run, command, stdin=b"")
        await program.ended
        return program

    async def test_sends_whatever_its_streams_are(self) -> None:
        """Closed, full and broken streams, one or all, keep no request from being sent, and are no traceback."""
        await self.start_broker()
        taken: list[tuple[bytes, ...]] = []
        worker = Client(self.endpoint, "worker", deliver=lambda delivery: taken.append(delivery.content))
        self.clients.append(worker)
        await worker.connect(timeout=10)
        await worker.offer("default")
        large = "head -c 300000 /dev/zero |"
        for redirections, before, size in (
            ("<&-", "", 0),
            ("0>/dev/null", "", 0),
            ("", large, 300000),
            (">&-", large, 300000),
            ("2>&-", large, 300000),
            (">&- 2>&-", large, 300000),
            ("<&- >&- 2>&-", "", 0),
            (">/dev/full", large, 300000),
            (">/dev/full 2>&1", large, 300000),
            ("| true", large, 300000),
            ("2>&1 | true", large, 300000),
        ):
            program = await self.alas_with(redirections, before)
            self.assertEqual(program.status, 0, (redirections, program.said[-500:]))
            self.assertNotIn("Traceback", program.said)
            self.assertNotIn("Exception ignored", program.said)
            self.assertEqual([len(content[0]) for content in taken], [size], redirections)
            taken.clear()

    async def test_broken_streams_without_a_broker(self) -> None:
        """The status says what became of the request, also where nobody can read why."""
        for redirections in (">&- 2>&-", ">/dev/full 2>/dev/full", "-t 300 2>&1 | true"):
            program = await self.alas_with(f"-t 300 {redirections}")
            self.assertEqual((program.status, program.said), (UNREACHABLE, ""), redirections)

    async def test_missing_script(self) -> None:
        """That there is no script of that name is known, and so is a script that is done; neither fills the log."""
        self.script("hello", "return 'an answer that nobody can fetch'")
        worker = await self.start_worker(self.worker_config())
        alas = await self.alas("-s", "nothing", "-w", "20000")
        self.assertEqual(alas.status, 1, alas.said)
        self.assertIn("(404)\n", alas.said)
        self.assertNotIn("Sent!", alas.said)
        alas = await self.alas("-s", "hello", "-w", "20000")
        self.assertEqual(alas.status, 0, alas.said)
        self.assertIn("Sent! It is done.", alas.said)
        self.assertNotIn("no address", worker.said)

    async def test_environment(self) -> None:
        """Endpoint and credentials can be given by the environment alone, and are nowhere shown."""
        (self.folder / "passwords").write_text("alice=hush\n", encoding="utf-8")
        config = self.config(
            "malamute.cfg",
            f"""mlm_server
    bind
        endpoint = "{self.endpoint}"
    security
        mechanism = "plain"
server
    auth
        plain = "{self.folder}/passwords"
""",
        )
        await self.twistd("-n", "malamute", "--config", str(config)).until("Broker ready")
        given = {"ALASKA_ENDPOINT": self.endpoint, "ALASKA_USERNAME": "alice", "ALASKA_PASSWORD": "hush"}
        for name, value in given.items():
            self.patch_environment(name, value)
        for arguments in ((), ("-h",), ("-u", "bob")):
            program = self.run_program("-m", "alaska.commands.alas", *arguments, stdin=b"{}")
            await program.ended
            self.assertEqual(program.status, NO_PERMISSION if "bob" in arguments else 0, program.said)
            self.assertNotIn("hush", program.said)
            self.assertNotIn("alice", program.said)

    def patch_environment(self, name: str, value: str) -> None:
        """Set a variable for this test."""
        os.environ[name] = value
        self.addCleanup(os.environ.pop, name)

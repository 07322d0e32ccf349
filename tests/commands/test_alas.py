"""``alas send``: results, credentials, command line and streams."""

from __future__ import annotations

import errno
import io
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.commands import send
from alaska.commands.command import said
from alaska.commands.connection import Connection
from alaska.commands.credentials import Credentials
from alaska.commands.send import Outcome, Sending
from alaska.commands.speaking import own_address
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from alaska.testing import ScriptedBroker
from alaska.traces.context import TraceContext, read
from tests.commands.command_lines import connection_of, sent_of
from tests.network_case import ENDPOINT, NetworkCase
from tests.programs.system_case import Program, SystemTestCase

UNREACHABLE, FULL, NO_PERMISSION = 69, 75, 77


class OutcomeCase(NetworkCase):
    """Sends a request and checks the result."""

    trace: TraceContext | None = None

    def send(
        self, *arguments: str, content: bytes = b"x", environ: Mapping[str, str] | None = None
    ) -> Deferred[Outcome]:
        """Send a request."""
        connection = connection_of(*arguments, environ=environ)
        sending = Sending(self.reactor, sent_of(*arguments), connection, self.network, self.trace)
        sent = ensureDeferred(sending.send(content))
        self.network.run()
        return sent

    def outcome(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Outcome:
        """Send a request, let time pass, and return the result."""
        sent = self.send(*arguments, environ=environ)
        self.pass_time(2.0)
        return self.successResultOf(sent)


class OurBrokerTests(OutcomeCase):
    """Results with a broker that confirms."""

    def worker(self, status: int | None = None, reason: str = "", credit: int | None = 10) -> list[Delivery]:
        """Start a worker that confirms each request, or with None leaves it unconfirmed; return its deliveries."""
        taken: list[Delivery] = []

        def take(delivery: Delivery) -> None:
            taken.append(delivery)
            if status is not None:
                client.confirm(delivery, status, reason)

        client = self.client("worker", take, credit=credit)
        client.offer("default")
        self.network.run()
        return taken

    def test_trace(self) -> None:
        """A request has the trace context that is given, with and without confirmations."""
        self.trace = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b")
        self.start_broker()
        taken = self.worker(200)
        self.send("-s", "job")
        self.send("-s", "job", "--no-confirm")
        self.assertEqual([delivery.trace for delivery in taken], [self.trace, self.trace])

    def test_done(self) -> None:
        """A request that is done is reported at once; it has no sender address."""
        self.start_broker()
        taken = self.worker(200)
        self.assertEqual(self.successResultOf(self.send("-s", "job")), (0, "Sent! It is done."))
        self.assertEqual([(each.subject, each.sender, each.content) for each in taken], [("job", "", (b"x",))])

    def test_script_that_runs_long(self) -> None:
        """The wait for the end of a slow request is limited by --wait."""
        self.start_broker()
        self.worker()
        sent = self.send("-w", "300")
        self.pass_time(0.25)
        self.assertNoResult(sent)
        self.pass_time(0.1)
        self.assertEqual(self.successResultOf(sent), (0, "Sent! The broker has it."))

    def test_delayed(self) -> None:
        """A request that is due while --wait lasts is waited for, and one whose time has passed; others are not."""
        self.start_broker()
        self.worker(502, "oh no")
        later = (0, "Sent! The broker has it, and delivers it later.")
        self.assertEqual(self.outcome("--delay", "1s"), later)
        self.assertEqual(self.outcome("--at", "2100-01-01"), later)
        self.assertEqual(self.outcome("--at", "2020-01-01").status, 1)
        self.assertEqual(self.outcome("--delay", "1s", "--wait", "1500").status, 1)

    def test_progress(self) -> None:
        """With --progress, the progress of the script is printed to the standard error, and not without."""
        self.start_broker()
        taken: list[Delivery] = []
        client = self.client("worker", taken.append, credit=10)
        client.offer("default")
        self.network.run()
        printed = io.TextIOWrapper(io.BytesIO(), "utf-8")
        self.patch(sys, "stderr", printed)
        for option in ("--progress", "--no-progress", "-w1000"):
            sent = self.send(option)
            self.network.run()
            client.report_progress(taken[-1], 0.123, "so\nfar")
            client.report_progress(taken[-1], 1)
            client.confirm(taken[-1])
            self.pass_time(0.1)
            self.assertEqual(self.successResultOf(sent).status, 0)
        self.assertEqual(printed.buffer.getvalue(), b"alas: 12% so\\nfar\nalas: 100%\n")

    def test_id(self) -> None:
        """A second request with the same id is not run; what became of the first one is reported."""
        self.start_broker()
        taken = self.worker(200)
        self.assertEqual(self.outcome("--id", "a"), (0, "Sent! It is done."))
        known = "Known! The broker has had a request with this id"
        self.assertEqual(self.outcome("--id", "a"), (0, f"{known}, and it is done."))
        self.assertEqual(self.outcome("--id", "b", "--unique-for", "100ms")[0], 0)
        self.pass_time(0.2)
        self.assertEqual(self.outcome("--id", "b"), (0, "Sent! It is done."))
        self.assertEqual(len(taken), 3)

    def test_id_of_waiting(self) -> None:
        """If the first request with the id does not end in time, or has failed, that is reported."""
        self.start_broker()
        self.outcome("--id", "a")
        known = "Known! The broker has had a request with this id."
        self.assertEqual(self.outcome("--id", "a"), (0, known))
        sent = self.send("--id", "a", "-w", "5000")
        self.worker(502, "oh no")
        self.assertEqual(self.successResultOf(sent), (1, "the request has failed: oh no (502)"))

    def test_replace(self) -> None:
        """With --replace the newer request is run, and the sender of the older one, if it waits, is told."""
        self.start_broker()
        self.send("--id", "a", "-s", "old")
        self.send("--id", "a", "-s", "new", "--replace")
        taken = self.worker(200)
        self.assertEqual([each.subject for each in taken], ["new"])

    def test_bad_id(self) -> None:
        """An id has 1 to 255 octets, and the other options need one."""
        for arguments in (["--id", ""], ["--id", "x" * 256], ["--replace"], ["--unique-for", "1s"]):
            self.patch(sys, "stderr", io.TextIOWrapper(io.BytesIO(), "utf-8"))
            self.assertRaises(click.UsageError, sent_of, *arguments)

    def test_nobody_offers(self) -> None:
        """If nobody offers the service, this is reported at once."""
        self.start_broker()
        text = "Sent! The broker has it, and nobody offers the service yet."
        self.assertEqual(self.successResultOf(self.send()), (0, text))

    def test_plain_worker(self) -> None:
        """With a worker that does not confirm, the request counts as delivered."""
        self.start_broker()
        self.worker(credit=None)
        self.assertEqual(self.successResultOf(self.send()), (0, "Sent! A worker has it."))

    def test_failed(self) -> None:
        """A failed request is reported with the worker's reason on one line."""
        self.start_broker()
        for status, reason in ((404, "there is no script\nof that name"), (502, "oh no")):
            self.worker(status, reason)
            shown = reason.replace("\n", "\\n")
            self.assertEqual(self.successResultOf(self.send()), (1, f"the request has failed: {shown} ({status})"))

    def test_no_room(self) -> None:
        """A request that exceeds the broker's limits ends with the status for a temporary failure."""
        limits = Limits(service=QueueLimits(5, None))
        service = BrokerService(self.reactor, self.process, MemoryStore, [ENDPOINT], limits)
        service.startService()
        self.network.run()
        sent = self.successResultOf(self.send(content=b"too large"))
        self.assertEqual(sent, (FULL, "the broker has no room for the request: there is no room for it (301)"))

    def test_leaves_no_mail(self) -> None:
        """No mailbox is created for a request without a sender address."""
        service = self.start_broker()
        self.worker(200)
        self.send()
        assert service.broker is not None
        self.assertEqual([name for name in service.broker.queues.table if name[0].name == "MAILBOX"], [])

    def test_no_confirm(self) -> None:
        """With --no-confirm the result does not depend on confirmations."""
        self.start_broker()
        self.worker(404)
        self.assertEqual(self.successResultOf(self.send("--no-confirm")), (0, "Sent!"))


class ScriptedTests(OutcomeCase):
    """Results with a broker whose answers are sent by the test."""

    def setUp(self) -> None:
        super().setUp()
        self.broker = ScriptedBroker(self.network, ENDPOINT)

    def test_c_broker(self) -> None:
        """A broker that does not confirm gets the same commands as from the C program, without its address."""
        sent = self.send("-a", "svc", "-s", "job")
        self.broker.send(mlm.Ok(200, b""))
        self.broker.send(mlm.Ok(200, b""))
        self.assertEqual(self.successResultOf(sent), (0, "Sent!"))
        opening, *others = self.broker.take()
        assert isinstance(opening, mlm.ConnectionOpen)
        expected = [mlm.ServiceSend(b"svc", b"job", b"", 0, (b"x",)), mlm.ConnectionClose()]
        self.assertEqual((opening.address, others), (b"", expected))

    def test_never_confirmed(self) -> None:
        """A missing confirmation ends with the status for an unreachable broker."""
        sent = self.send("-t", "700")
        self.broker.send(mlm.Ok(200, b"alaska/1 credit confirm replay"))
        self.pass_time(2.0)
        text = f"the broker at {ENDPOINT} did not confirm the request within 0.7 s"
        self.assertEqual(self.successResultOf(sent), (UNREACHABLE, text))

    def test_no_broker(self) -> None:
        """Without a broker the status is that for an unreachable broker."""
        self.broker.stop()
        text = f"no broker answers at {ENDPOINT} within 0.3 s"
        self.assertEqual(self.outcome("-t", "300"), (UNREACHABLE, text))

    def test_name_too_long(self) -> None:
        """A subject that is too long ends with the status for a wrong command line, with any broker."""
        for reason in (b"", b"alaska/1 credit confirm replay"):
            sent = self.send("-s", "x" * 256)
            self.broker.send(mlm.Ok(200, reason))
            self.broker.send(mlm.Ok(200, b""))
            self.pass_time(2.0)
            self.assertEqual(self.successResultOf(sent).status, 2)


class CredentialsTests(OutcomeCase):
    """A broker that authenticates clients."""

    def setUp(self) -> None:
        super().setUp()
        self.start_broker(lambda username, password: (username, password) == (b"alice", b"secret"))

    def test_each_way(self) -> None:
        """Credentials may come from options, a file or the environment; options take precedence."""
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

    def test_own_address(self) -> None:
        """A command that waits for an answer has an address that begins with the user name."""
        for username, begins in (("alice", "alice/alas::"), (None, "alas::")):
            credentials = Credentials(username, username and "secret", None)
            self.assertTrue(own_address(Connection(ENDPOINT, credentials)).startswith(begins))

    def test_refused(self) -> None:
        """Wrong or missing credentials have their own status, and the text does not contain them."""
        for arguments in (("-u", "alice", "-p", "hush"), ()):
            outcome = self.outcome(*arguments)
            self.assertEqual(outcome.status, NO_PERMISSION)
            self.assertNotIn("hush", outcome.text)


class BreaksOff(io.RawIOBase):
    """A file that fails after its first octets."""

    def __init__(self) -> None:
        super().__init__()
        self._left = [b"first"]

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the first octets, then fail."""
        if not self._left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        octets = self._left.pop()
        buffer[: len(octets)] = octets
        return len(octets)


class CommandLineTests(SynchronousTestCase):
    """Parsing of the command line and of the standard input."""

    def refused(self, *arguments: str) -> str:
        """Return the error for a wrong command line."""
        return said(self.assertRaises(click.UsageError, sent_of, *arguments))

    def test_shows_no_password(self) -> None:
        """The error for an unknown option does not contain its value, which may be a password."""
        for arguments in (("--pass", "hush"), ("--pass=hush",), ("-Phush",), ("hush",), ("-u", "a", "-p", "x", "hush")):
            self.assertNotIn("hush", self.refused(*arguments))
        self.assertIn("--pass", self.refused("--pass=hush"))
        self.assertNotIn("hush", repr(connection_of("-u", "alice", "-p", "hush").credentials))

    def test_half_of_credentials(self) -> None:
        """User name and password must be given together and be valid; errors contain neither."""
        for arguments, environ in (
            (["-u", "alice"], {}),
            (["-p", "hush"], {}),
            ([], {"ALASKA_PASSWORD": "hush"}),
            (["-u", "alice", "-p", "hush" * 64], {}),
            (["-u", "alice", "-p", ""], {}),
            (["-u", "alice", "-p", "\udcffhush"], {}),
            (["-u", "alice", "--password-file", "/nowhere"], {}),
        ):
            error = self.assertRaises(click.UsageError, connection_of, *arguments, environ=environ)
            self.assertNotIn("hush", said(error))

    def test_nothing_is_given(self) -> None:
        """Empty environment variables are ignored."""
        environ = {"ALASKA_USERNAME": "", "ALASKA_PASSWORD": ""}
        self.assertEqual(connection_of(environ=environ).credentials, Credentials())

    def test_input_that_breaks_off(self) -> None:
        """If the standard input cannot be read to its end, nothing is sent, and the error is printed."""
        octets = io.BytesIO()
        self.patch(sys, "stdin", io.TextIOWrapper(io.BufferedReader(BreaksOff())))
        self.patch(sys, "stderr", io.TextIOWrapper(octets, encoding="utf-8"))
        with self.assertRaises(SystemExit) as ended:
            send.send.main(["-e", "tcp://127.0.0.1:1"], standalone_mode=False)
        printed = b"alas: nothing is sent, the standard input cannot be read: Input/output error\n"
        self.assertEqual((ended.exception.code, octets.getvalue()), (1, printed))

    def test_endless_input(self) -> None:
        """If the standard input is larger than the client's limit, nothing is sent, and reading stops."""
        octets = io.BytesIO()
        self.patch(send, "MOST_OCTETS", 10)
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * 1000)))
        self.patch(sys, "stderr", io.TextIOWrapper(octets, encoding="utf-8"))
        with self.assertRaises(SystemExit) as ended:
            send.send.main(["-e", "tcp://127.0.0.1:1"], standalone_mode=False)
        printed = b"alas: nothing is sent, the standard input has more than 10 octets\n"
        self.assertEqual((ended.exception.code, octets.getvalue()), (1, printed))

    def test_milliseconds(self) -> None:
        """Times are integers in range, and only --wait may be 0."""
        for wrong in ("0", "-1", "1.5", "x", str(2**32), "9" * 5000):
            self.refused("-t", wrong)
        self.assertEqual(sent_of("-w", "0").wait, 0)


class StreamsTests(SystemTestCase):
    """Real programs with closed, full or broken streams."""

    async def alas_with(self, redirections: str, before: str = "") -> Program:
        """Run alas in a shell, and wait for its end."""
        alas = f"{shlex.quote(sys.executable)} -m alaska.commands.alas -e {self.endpoint}"
        command = f"set -o pipefail; {before} {alas} {redirections}"
        run = "import os, sys; os.execvp('bash', ['bash', '-c', sys.argv[1]])"
        program = self.run_program("-c", run, command, stdin=b"")
        await program.ended
        return program

    async def test_sends_whatever_its_streams_are(self) -> None:
        """A request is sent and no traceback is printed, even if streams are closed, full or broken."""
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
            self.assertEqual(program.status, 0, (redirections, program.output[-500:]))
            self.assertNotIn("Traceback", program.output)
            self.assertNotIn("Exception ignored", program.output)
            self.assertEqual([len(content[0]) for content in taken], [size], redirections)
            taken.clear()

    async def test_broken_streams_without_a_broker(self) -> None:
        """The exit status is correct even if the error cannot be printed."""
        for redirections in (">&- 2>&-", ">/dev/full 2>/dev/full", "-t 300 2>&1 | true"):
            program = await self.alas_with(f"-t 300 {redirections}")
            self.assertEqual((program.status, program.output), (UNREACHABLE, ""), redirections)

    async def test_missing_script(self) -> None:
        """A missing script and a finished script have different results, and the worker does not warn about replies."""
        self.script("hello", "return 'an answer that nobody can fetch'")
        worker = await self.start_worker(self.worker_config())
        alas = await self.alas("-s", "nothing", "-w", "20000")
        self.assertEqual(alas.status, 1, alas.output)
        self.assertIn("(404)\n", alas.output)
        self.assertNotIn("Sent!", alas.output)
        alas = await self.alas("-s", "hello", "-w", "20000")
        self.assertEqual(alas.status, 0, alas.output)
        self.assertIn("Sent! It is done.", alas.output)
        self.assertNotIn("no address", worker.output)

    async def test_environment(self) -> None:
        """Endpoint and credentials can be given by the environment; credentials are never printed."""
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
            self.assertEqual(program.status, NO_PERMISSION if "bob" in arguments else 0, program.output)
            self.assertNotIn("hush", program.output)
            self.assertNotIn("alice", program.output)

    def patch_environment(self, name: str, value: str) -> None:
        """Set a variable for this test."""
        os.environ[name] = value
        self.addCleanup(os.environ.pop, name)

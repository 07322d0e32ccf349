"""The whole system: real twistd, real sockets, real kills."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from alaska.client import Client, Delivery
from alaska.errors import ClientError
from alaska.interfaces import Reactor
from alaska.links import Network
from tests import PROJECT
from tests.ports import free_endpoint
from tests.processes import children_of, is_alive

reactor = cast("Reactor", global_reactor)
SECONDS_TO_START = 20


class Program(ProcessProtocol):
    """A program that runs, and what it has said."""

    def __init__(self) -> None:
        self.said = ""
        self.status: int | None = None
        self.ended: Deferred[int] = Deferred()
        self._waiting: list[tuple[Callable[[str], bool], Deferred[None]]] = []

    @property
    def pid(self) -> int:
        """The process."""
        assert self.transport is not None
        return int(self.transport.pid)

    def outReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        self.said += data.decode("utf-8", "replace")
        for enough, waiting in list(self._waiting):
            if enough(self.said):
                self._waiting.remove((enough, waiting))
                waiting.callback(None)

    errReceived = outReceived  # noqa: N815  # Twisted's name

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  # Twisted's name
        value = cast("ProcessDone", reason.value)
        self.status = value.exitCode if value.exitCode is not None else -(value.signal or 0)
        for _, waiting in self._waiting:
            waiting.errback(AssertionError(f"ended with {self.status}:\n{self.said}"))
        self._waiting.clear()
        self.ended.callback(self.status)

    def until(self, words: str, count: int = 1, seconds: float = SECONDS_TO_START) -> Deferred[None]:
        """Fire when the program has said these words so many times."""
        waiting: Deferred[None] = Deferred()

        def enough(said: str) -> bool:
            return said.count(words) >= count

        if enough(self.said):
            waiting.callback(None)
            return waiting
        self._waiting.append((enough, waiting))
        return waiting.addTimeout(seconds, reactor, lambda _failure, _time: self._too_late(words, count))

    def _too_late(self, words: str, count: int) -> None:
        raise AssertionError(f"waited in vain for {count} times {words!r} in:\n{self.said}")

    def send_signal(self, number: int) -> None:
        """Send a signal, if the program still runs."""
        if self.status is None:
            os.kill(self.pid, number)


class SystemTestCase(TestCase):
    """A folder of its own, and programs that are ended after the test."""

    timeout = 120

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.services = self.folder / "services"
        self.services.mkdir()
        self.endpoint = free_endpoint()
        self.clients: list[Client] = []
        self.programs: list[Program] = []
        self.addCleanup(lambda: ensureDeferred(self.end_all()))

    async def end_all(self) -> None:
        """Close the clients, and kill what still runs."""
        for client in self.clients:
            await client.close(timeout=2).addErrback(lambda failure: failure.trap(ClientError) and None)
        for program in self.programs:
            if program.status is None:
                program.send_signal(signal.SIGKILL)
                await program.ended

    def script(self, name: str, text: str) -> None:
        """Write a script."""
        (self.services / f"{name}.lua").write_text(text, encoding="utf-8")

    def config(self, name: str, text: str) -> Path:
        """Write a configuration file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def worker_config(self, embedded: bool = True, more: str = "") -> Path:
        """Write the configuration of a worker."""
        return self.config(
            f"alaska{embedded:d}.cfg",
            f"""worker
    scripts
        dir = "{self.services}"
    broker
        endpoint = "{self.endpoint}"
        embedded = "{embedded:d}"
    errors
        mailbox = "awerr"
{more}""",
        )

    def run_program(self, *arguments: str, stdin: bytes | None = None) -> Program:
        """Start a program with the Python that runs the tests."""
        program = Program()
        cast("IReactorProcess", reactor).spawnProcess(
            program,
            sys.executable,
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
            path=str(self.folder),
        )
        self.programs.append(program)
        if stdin is not None and program.transport is not None:
            program.transport.write(stdin)
            program.transport.closeStdin()
        return program

    def twistd(self, *arguments: str) -> Program:
        """Start twistd."""
        return self.run_program("-c", "from twisted.scripts.twistd import run; run()", *arguments)

    async def start_worker(self, config: Path) -> Program:
        """Start a worker, and wait until it is ready."""
        program = self.twistd("-n", "alaska", "--config", str(config))
        await program.until("Alaska worker ready")
        return program

    async def start_broker(self) -> Program:
        """Start a broker, and wait until it is ready."""
        config = self.config("malamute.cfg", f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n')
        program = self.twistd("-n", "malamute", "--config", str(config))
        await program.until("Broker ready")
        return program

    async def alas(self, *arguments: str, stdin: bytes = b"{}") -> Program:
        """Run alas to its end."""
        program = self.run_program("-m", "alaska.commands.alas", "-e", self.endpoint, *arguments, stdin=stdin)
        await program.ended
        return program

    async def client(self, address: str, deliver: Callable[[Delivery], None] | None = None) -> Client:
        """Return a client that is connected."""
        client = Client(self.endpoint, address, deliver=deliver)
        self.clients.append(client)
        await client.connect(timeout=10)
        return client


class DemoTests(SystemTestCase):
    """What a newcomer sees."""

    async def test_from_alas_to_script_and_back(self) -> None:
        """One twistd is a whole system: requests by alas are dumped, and pi arrives by mail and by stream."""
        for name in ("dump", "pi"):
            self.script(name, (PROJECT / "services" / f"{name}.lua").read_text(encoding="utf-8"))
        worker = await self.start_worker(self.worker_config())
        for run in range(1, 6):
            alas = await self.alas(stdin=b'{"c":%d}' % run)
            self.assertEqual(alas.status, 0)
            self.assertIn("Sent!", alas.said)
        await worker.until("Context dump from Lua:", 5)
        await worker.until("c = 5")
        rule = "-" * 80
        dumped = re.sub(r"(?m)^\S+ \[\S+\] default/dump \S+: ", "", worker.said)
        self.assertIn(f"\n{rule}\nContext dump from Lua:\n{{\n  c = 1\n}}\n{rule}\n", dumped)
        mailbox = await self.client("aw.res.pi")
        stream = await self.client("reader")
        await stream.consume("numbers", ".*")
        await self.alas("-s", "pi")
        for client in (mailbox, stream):
            delivery = await client.__anext__().addTimeout(10, reactor)
            self.assertEqual((delivery.subject, delivery.content), ("pi.28", (b"3.1415824182477",)))
            self.assertTrue(re.fullmatch(r"LU::.+::\d+-[0-9A-F]{4}", delivery.sender), delivery.sender)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)

    async def test_second_worker_is_the_same_command(self) -> None:
        """A second worker with the same configuration joins the first one's broker, and both get requests."""
        self.script("who", "print('done by me')")
        config = self.worker_config()
        first = await self.start_worker(config)
        second = await self.start_worker(config)
        self.assertIn("joining the broker", second.said)
        for _ in range(4):
            await self.alas("-s", "who")
        for worker in (first, second):
            await worker.until("done by me", 2)

    async def test_alas_without_broker(self) -> None:
        """Without a broker alas says so in one sentence and ends with status 69."""
        alas = await self.alas("-t", "300")
        self.assertEqual(alas.status, 69)
        self.assertIn(f"alas: no broker answers at {self.endpoint} within 0.3 s\n", alas.said)
        self.assertNotIn("Traceback", alas.said)


class ErrorTests(SystemTestCase):
    """What goes wrong, and who hears of it."""

    async def test_errors_are_mailed(self) -> None:
        """A missing script, a syntax error and a run-time error each come to the error mailbox, with the context."""
        self.script("syntax", "this is not Lua")
        self.script("broken", "local function f() error('oh no') end\nf()")
        worker = await self.start_worker(self.worker_config())
        errors = await self.client("awerr")
        wanted = {"syntax": b"syntax.lua:1:", "broken": b"oh no", "missing": b"missing", "../etc/passwd": b""}
        for subject, part in wanted.items():
            await self.alas("-s", subject, stdin=b"context of " + subject.encode())
            delivery = await errors.__anext__().addTimeout(10, reactor)
            self.assertEqual(delivery.subject, subject)
            text, context, described = delivery.content
            self.assertIn(json.loads(described)["message"], text.decode())
            self.assertIn(part, text)
            self.assertEqual(context, b"context of " + subject.encode())
        self.assertTrue(delivery.sender.startswith("EP::"))
        self.assertIn("stack traceback", worker.said)

    async def test_exit_does_not_end_the_daemon(self) -> None:
        """A script that calls os.exit ends itself alone."""
        self.script("exit", "os.exit(7)")
        self.script("hello", "print('still here')")
        worker = await self.start_worker(self.worker_config())
        await self.alas("-s", "exit")
        await self.alas("-s", "hello")
        await worker.until("still here")

    async def test_garbage_at_broker_and_worker(self) -> None:
        """Thousands of frames that are no command, at the broker and from another client to the worker: both serve."""
        self.script("hello", "print('still here')")
        worker = await self.start_worker(self.worker_config())
        network = Network(reactor)
        self.addCleanup(network.close)
        up: Deferred[Any] = Deferred()
        link = network.dealer(self.endpoint)
        link.start(lambda _frames: None, lambda state: None if up.called else up.callback(state))
        await up
        for number in range(5000):
            link.send([b"\xaa\xa8" + bytes((number % 256,)) * (number % 50), b"x" * (number % 7)][: 1 + number % 2])
        sender = await self.client("sender")
        for number in range(500):
            sender.send_for("default", os.urandom(number % 20), os.urandom(30))
        sender.send_for("default", "hello")
        await worker.until("still here")


class RestartTests(SystemTestCase):
    """Broker and worker that end and start."""

    async def test_broker_restarts(self) -> None:
        """A worker serves again within two heartbeats of a killed broker's return, and nothing sent is lost."""
        self.script("count", "print('done ' .. alaskaContext)")
        broker = await self.start_broker()
        worker = await self.start_worker(self.worker_config(embedded=False))
        sender = await self.client("sender")
        sender.send_for("default", "count", b"1")
        await worker.until("done 1")
        broker.send_signal(signal.SIGKILL)
        await broker.ended
        sender.send_for("default", "count", b"2")
        await self.start_broker()
        sender.send_for("default", "count", b"3")
        await worker.until("done 3", seconds=2)
        await worker.until("done 2", seconds=2)

    async def test_worker_waits_for_its_broker(self) -> None:
        """A worker that starts before its broker says so, and works when that comes."""
        worker = self.twistd("-n", "alaska", "--config", str(self.worker_config(embedded=False)))
        await worker.until("no broker answers")
        await self.start_broker()
        await worker.until("Alaska worker ready")

    async def test_stop_costs_nothing(self) -> None:
        """A worker that is stopped ends what it has begun and hands back the rest, which the next one does."""
        self.script("slow", "local t = os.clock() while os.clock() - t < 0.05 do end sendTo('r', alaskaContext, 'box')")
        await self.start_broker()
        config = self.worker_config(embedded=False)
        worker = await self.start_worker(config)
        got: list[Delivery] = []
        await self.client("box", got.append)
        sender = await self.client("sender")
        for number in range(20):
            sender.send_for("default", "slow", b"%d" % number)
        await worker.until("[SREQ]", 4)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)
        await self.start_worker(config)
        await until(lambda: len(got) >= 20)
        self.assertEqual(sorted(int(delivery.content[0]) for delivery in got), list(range(20)))

    async def test_killed_worker(self) -> None:
        """Requests that a killed worker had taken go to another one."""
        self.script("slow", "local t = os.clock() while os.clock() - t < 0.05 do end sendTo('r', alaskaContext, 'box')")
        await self.start_broker()
        config = self.worker_config(embedded=False)
        worker = await self.start_worker(config)
        await self.start_worker(config)
        got: list[Delivery] = []
        await self.client("box", got.append)
        sender = await self.client("sender")
        for number in range(40):
            sender.send_for("default", "slow", b"%d" % number)
        await worker.until("[SREQ]", 4)
        worker.send_signal(signal.SIGKILL)
        await until(lambda: len({delivery.content[0] for delivery in got}) == 40)


class IsolationTests(SystemTestCase):
    """Scripts that are stuck, in processes and in threads."""

    PATTERN = "string.find(('a'):rep(200), ('a-'):rep(60) .. 'b')"

    def isolated_config(self, isolation: str, timeout: int) -> Path:
        """Write the configuration of a worker with this isolation and trusted scripts, whose patterns may not end."""
        settings = (("SCRIPTS_TIMEOUT", str(timeout)), ("POOL_ISOLATION", isolation), ("SCRIPTS_SANDBOX", "0"))
        for name, value in settings:
            os.environ[f"ALASKA_WORKER_{name}"] = value
            self.addCleanup(os.environ.pop, f"ALASKA_WORKER_{name}", None)
        return self.worker_config()

    async def test_no_orphans(self) -> None:
        """Of a worker that is killed no child is left a second later, whether it had something to do or not."""
        self.script("endless", self.PATTERN)
        self.script("hello", "print('hello')")
        worker = await self.start_worker(self.isolated_config("process", 60_000))
        await self.alas("-s", "endless")
        await worker.until("[SREQ]")
        await self.alas("-s", "hello")
        await worker.until("hello\n")
        children = children_of(worker.pid)
        self.assertGreater(len(children), 1)
        worker.send_signal(signal.SIGKILL)
        await worker.ended
        await until(lambda: not any(map(is_alive, children)), seconds=1)

    async def test_stuck(self) -> None:
        """In threads and in processes alike, stuck scripts are reported, others served, and the worker can stop."""
        self.script("endless", self.PATTERN)
        self.script("hello", "print('hello')")
        for isolation in ("thread", "process"):
            worker = await self.start_worker(self.isolated_config(isolation, 300))
            errors = await self.client("awerr")
            for _ in range(4):
                await self.alas("-s", "endless")
            await self.alas("-s", "hello")
            await worker.until("hello\n")
            for _ in range(4):
                delivery = await errors.__anext__().addTimeout(10, reactor)
                self.assertIn(b"(worker/scripts/timeout)", delivery.content[0])
            await errors.close()
            worker.send_signal(signal.SIGTERM)
            await worker.ended.addTimeout(8, reactor)

    async def test_stop_while_one_runs(self) -> None:
        """A worker that stops lets the script that runs in a child come to its end, and leaves no child."""
        self.script("slow", "local t = os.clock() while os.clock() - t < 1 do end sendTo('r', 'done', 'box')")
        await self.start_broker()
        self.isolated_config("process", 5000)
        worker = await self.start_worker(self.worker_config(embedded=False))
        got: list[Delivery] = []
        await self.client("box", got.append)
        await self.alas("-s", "slow")
        await worker.until("[SREQ]")
        await until(lambda: bool(children_of(worker.pid)))
        children = children_of(worker.pid)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)
        self.assertFalse(any(map(is_alive, children)))
        await until(lambda: len(got) == 1)


class LoadTests(SystemTestCase):
    """Many requests."""

    async def test_twenty_thousand(self) -> None:
        """Of 20 000 requests each is executed once: none is lost, none comes twice."""
        log = self.folder / "executed"
        self.script("note", f"local f = io.open('{log}', 'a') f:write(alaskaContext, '\\n') f:close()")
        # The script is trusted: it writes to a file.
        self.patch(os, "environ", {**os.environ, "ALASKA_WORKER_SCRIPTS_SANDBOX": "0"})
        await self.start_worker(self.worker_config())
        sender = await self.client("sender")
        count = 20_000
        for number in range(count):
            sender.send_for("default", "note", b"%d" % number)
        await until(lambda: log.exists() and log.read_bytes().count(b"\n") >= count, seconds=90)
        executed = sorted(map(int, log.read_text(encoding="ascii").split()))
        self.assertEqual(executed, list(range(count)))


class ConfigurationTests(SystemTestCase):
    """Configuration files, as twistd meets them."""

    async def test_missing_file_is_created(self) -> None:
        """The default file is created if it is missing, and the broker goes on and says so."""
        os.environ["MALAMUTE_MLM_SERVER_BIND_ENDPOINT"] = self.endpoint
        self.addCleanup(os.environ.pop, "MALAMUTE_MLM_SERVER_BIND_ENDPOINT")
        broker = self.twistd("-n", "malamute")
        await broker.until("Broker ready")
        self.assertIn("'malamute.cfg' is missing, created with the defaults", broker.said)
        self.assertIn('timeout = "5000"', (self.folder / "malamute.cfg").read_text(encoding="utf-8"))

    async def test_given_file_is_missing(self) -> None:
        """A file that --config names and that is not there ends either program with a sentence and status 78."""
        for name in ("alaska", "malamute"):
            program = self.twistd("-n", name, "--config", "new.cfg")
            self.assertEqual(await program.ended, 78)
            self.assertEqual(program.said, "there is no configuration file 'new.cfg'\n")
            self.assertFalse((self.folder / "new.cfg").exists())

    async def test_no_scripts(self) -> None:
        """A scripts directory that is not there ends the worker with a sentence and status 78."""
        config = self.config("none.cfg", 'worker\n    scripts\n        dir = "none"\n')
        program = self.twistd("-n", "alaska", "--config", str(config))
        self.assertEqual(await program.ended, 78)
        self.assertEqual(program.said, f"worker/scripts/dir: there is no folder {self.folder / 'none'}\n")

    async def test_bad_file(self) -> None:
        """A bad file ends either program with one sentence that names file and line, and a status that is not 0."""
        config = self.config("bad.cfg", "worker\n  pool = 3\n")
        for name in ("alaska", "malamute"):
            program = self.twistd("-n", name, "--config", str(config))
            self.assertEqual(await program.ended, 78)
            self.assertRegex(program.said, r"^\S*bad\.cfg:2: [^\n]*\n$")

    async def test_taken_endpoint(self) -> None:
        """A broker whose endpoint is taken ends with a sentence and status 1."""
        await self.start_broker()
        second = self.twistd("-n", "malamute", "--config", str(self.folder / "malamute.cfg"))
        self.assertEqual(await second.ended, 1)
        self.assertIn(f"cannot serve {self.endpoint}", second.said)
        self.assertNotIn("Traceback", second.said)

    async def test_daemon(self) -> None:
        """With background = 1 the worker is a daemon with a pid file and a log, and ends at TERM."""
        self.script("hello", "print('from the daemon')")
        config = self.worker_config(more='    background = "1"\n')
        starter = self.twistd("alaska", "--config", str(config))
        self.assertEqual(await starter.ended, 0)
        pid_file, log = self.folder / "twistd.pid", self.folder / "twistd.log"
        pid = int(pid_file.read_text(encoding="ascii"))
        self.addCleanup(kill_quietly, pid)
        await until(lambda: "Alaska worker ready" in log.read_text(encoding="utf-8"))
        await self.alas("-s", "hello")
        await until(lambda: "from the daemon" in log.read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not pid_file.exists())


def kill_quietly(pid: int) -> None:
    """Kill a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something outside this process holds."""
    deadline = reactor.seconds() + seconds
    while not holds():
        if reactor.seconds() > deadline:
            raise AssertionError("waited in vain")
        await deferLater(reactor, 0.05, lambda: None)

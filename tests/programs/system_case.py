"""What the tests of whole programs share: starting, watching and killing real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

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
from tests import PROJECT
from tests.ports import free_endpoint

reactor = cast("Reactor", global_reactor)
SECONDS_TO_START = 20


class Program(ProcessProtocol):
    """A running program and its output."""

    def __init__(self) -> None:
        self.output = ""
        self.status: int | None = None
        self.ended: Deferred[int] = Deferred()
        self._waiting: list[tuple[Callable[[str], bool], Deferred[None]]] = []

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.transport is not None
        return int(self.transport.pid)

    def outReceived(self, data: bytes) -> None:  # noqa: N802  # Twisted's name
        self.output += data.decode("utf-8", "replace")
        for holds, waiting in list(self._waiting):
            if holds(self.output):
                self._waiting.remove((holds, waiting))
                waiting.callback(None)

    errReceived = outReceived  # noqa: N815  # Twisted's name

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  # Twisted's name
        value = cast("ProcessDone", reason.value)
        self.status = value.exitCode if value.exitCode is not None else -(value.signal or 0)
        for _, waiting in self._waiting:
            waiting.errback(AssertionError(f"ended with {self.status}:\n{self.output}"))
        self._waiting.clear()
        self.ended.callback(self.status)

    def until(self, words: str, count: int = 1, seconds: float = SECONDS_TO_START) -> Deferred[None]:
        """Fire when the output contains these words this many times."""
        waiting: Deferred[None] = Deferred()

        def holds(output: str) -> bool:
            return output.count(words) >= count

        if holds(self.output):
            waiting.callback(None)
            return waiting
        self._waiting.append((holds, waiting))
        return waiting.addTimeout(seconds, reactor, lambda _failure, _time: self._timed_out(words, count))

    def _timed_out(self, words: str, count: int) -> None:
        raise AssertionError(f"timeout while waiting for {count} times {words!r} in:\n{self.output}")

    def send_signal(self, number: int) -> None:
        """Send a signal, if the program still runs."""
        if self.status is None:
            os.kill(self.pid, number)


class SystemTestCase(TestCase):
    """A temporary directory, and programs that are killed after the test."""

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
        """Close the clients, and kill the programs that still run."""
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

    def run_program(self, *arguments: str, stdin: bytes | None = None, on_terminal: bool = False) -> Program:
        """Start a program with the Python that runs the tests, on a terminal if that is wanted."""
        program = Program()
        cast("IReactorProcess", reactor).spawnProcess(
            program,
            sys.executable,
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
            path=str(self.folder),
            usePTY=on_terminal,
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
        """Run alas, and wait for its end."""
        program = self.run_program("-m", "alaska.commands.alas", "-e", self.endpoint, *arguments, stdin=stdin)
        await program.ended
        return program

    async def client(self, address: str, deliver: Callable[[Delivery], None] | None = None) -> Client:
        """Return a connected client."""
        client = Client(self.endpoint, address, deliver=deliver)
        self.clients.append(client)
        await client.connect(timeout=10)
        return client


def kill_quietly(pid: int) -> None:
    """Kill a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until a condition holds, by polling."""
    deadline = reactor.seconds() + seconds
    while not holds():
        if reactor.seconds() > deadline:
            raise AssertionError("timeout")
        await deferLater(reactor, 0.05, lambda: None)

"""The runner for isolation by process, with real children and real crashes."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from alaska.errors import InterpreterLost, LimitExceeded
from alaska.lua.request import Outcome, Request
from alaska.lua.runner import SETTINGS, ScriptSettings
from alaska.pool.isolated import IsolatedRunner
from alaska.pool.process import child_command, child_environment
from tests.pool.isolated_case import ODD, HastyRunner
from tests.processes import children_of, ends, is_alive

TEN_MEGABYTES = 10 * 1024 * 1024


class ChildCase(SynchronousTestCase):
    """A runner whose child is a :class:`tests.pool.children.Odd`, with a log of the requests that it has begun."""

    limit: ClassVar[float | None] = 20.0

    def setUp(self) -> None:
        self.log = Path(self.mktemp()).absolute()
        self.others = children_of(os.getpid())
        self.calls: list[tuple[bytes, bytes]] = []
        self.runner = self.make_runner()

    def make_runner(self, limit: float | None = None, address_space: int = 0) -> IsolatedRunner:
        """Return a runner that is closed after the test."""
        runner = HastyRunner(ODD, str(self.log).encode(), limit or self.limit, address_space, self.answer)
        self.addCleanup(runner.close)
        return runner

    def answer(self, request: Request, octets: bytes) -> bytes:
        """Answer a call with its question in capitals."""
        self.calls.append((request.subject, octets))
        return octets.upper()

    def request(self, subject: bytes, context: bytes = b"") -> Request:
        """Return a request."""
        return Request(b"sender", b"default", subject, b"tracker", (context,))

    def outcome(self, subject: bytes, context: bytes = b"") -> Outcome:
        """Run a request."""
        return self.runner.run(self.request(subject, context))

    def output(self, subject: bytes, context: bytes = b"") -> bytes:
        """Run a request that must succeed, and return the output."""
        outcome = self.outcome(subject, context)
        self.assertIsNone(outcome.error, str(outcome.error))
        return outcome.output

    def error(self, subject: bytes, context: bytes = b"") -> str:
        """Run a request that must end its process, and return its error; check that the next request is served."""
        outcome = self.outcome(subject, context)
        self.assertIsInstance(outcome.error, InterpreterLost)
        self.assertEqual(self.output(b"next"), b"NEXT")
        return str(outcome.error)

    def pid(self) -> int:
        """Return the process id of the child."""
        return int(self.output(b"pid"))


class ServiceTests(ChildCase):
    """Normal operation of a child."""

    def test_one_child(self) -> None:
        """One child process serves all requests."""
        pids = {self.pid() for _ in range(20)}
        self.assertEqual(len(pids), 1)
        self.assertNotIn(os.getpid(), pids)

    def test_ten_megabytes(self) -> None:
        """Contexts and outputs of ten megabytes pass through the pipes, also between small ones."""
        context = os.urandom(TEN_MEGABYTES)
        for _ in range(2):
            self.assertEqual(self.output(b"same", context), context)
            self.assertEqual(self.output(b"small"), b"SMALL")
        self.assertEqual(self.output(b"much", b"%d" % TEN_MEGABYTES), b"x" * TEN_MEGABYTES)

    def test_standard_descriptors(self) -> None:
        """A child inherits only its pipes from the worker: no terminal, no file, no socket."""
        with self.log.open("ab"):
            found = json.loads(self.output(b"descriptors"))
        pipes = [target for target in found.values() if target.startswith("pipe:")]
        files = sorted(target for target in found.values() if not target.startswith("pipe:"))
        self.assertEqual(len(pipes), 4)
        self.assertEqual(files, sorted(["/dev/null"] * 3 + [str(self.log)]))

    def test_session(self) -> None:
        """A child has its own session and process group, so signals of the worker's terminal do not reach it."""
        self.assertEqual(self.output(b"session"), b"%d %d" % (self.pid(), self.pid()))

    def test_memory(self) -> None:
        """The memory of a child is known while it lives."""
        self.assertEqual(self.runner.memory, 0)
        self.pid()
        self.assertGreater(self.runner.memory, 2**20)
        self.runner.close()
        self.assertEqual(self.runner.memory, 0)

    def test_quiet(self) -> None:
        """A child ignores SIGTERM: the worker decides when it ends."""
        self.assertEqual(self.output(b"signal", b"%d" % signal.SIGTERM), b"lives")

    def test_imports(self) -> None:
        """A child imports neither Twisted nor ZeroMQ nor re2, so that it starts fast and is small."""
        names = "print(sorted({name.partition('.')[0] for name in sys.modules} & {'twisted', 'zmq', 'txzmq', 're2'}))"
        *python, places = child_command(f"import alaska.pool.child; {names}")
        out = Path(self.mktemp())
        with out.open("wb") as file:
            pid = os.posix_spawn(
                python[0], [*python, places], {}, file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), 1)]
            )
            _, status = os.waitpid(pid, 0)
        self.assertEqual((status, out.read_text(encoding="ascii")), (0, "[]\n"))


class CallTests(ChildCase):
    """Calls of scripts to the worker."""

    def test_call(self) -> None:
        """The worker answers a call, and the script continues with the answer."""
        self.assertEqual(self.output(b"call", b"question"), b"QUESTION")
        self.assertEqual(self.calls, [(b"call", b"question")])

    def test_large(self) -> None:
        """Questions and answers may be large."""
        question = b"x" * TEN_MEGABYTES
        self.assertEqual(self.output(b"call", question), question.upper())

    def test_answer_fails(self) -> None:
        """An exception while answering is raised by the runner, and another child serves the next request."""
        runner = HastyRunner(ODD, b"", 20.0, 0, lambda _request, octets: b"%d" % int(octets))
        self.addCleanup(runner.close)
        self.assertRaises(ValueError, runner.run, self.request(b"call", b"no number"))
        self.assertEqual(runner.run(self.request(b"call", b"1")).output, b"1")

    def test_nobody_answers(self) -> None:
        """A child that makes a call is ended if the runner cannot answer calls."""
        runner = HastyRunner(ODD, b"")
        self.addCleanup(runner.close)
        self.assertIn("made a call that cannot be answered", str(runner.run(self.request(b"call")).error))

    def test_time(self) -> None:
        """The time until the answer counts towards the time limit."""

        def answer(_request: Request, octets: bytes) -> bytes:
            time.sleep(0.5)
            return octets

        runner = HastyRunner(ODD, b"", 0.1, 0, answer)
        self.addCleanup(runner.close)
        # The script may end before its process is killed.
        outcome = runner.run(self.request(b"call", b"late"))
        self.assertTrue(outcome.output == b"late" or isinstance(outcome.error, LimitExceeded), outcome)


class CrashTests(ChildCase):
    """A crash fails the request that the child had begun, with an error that says how the child ended."""

    def test_abort(self) -> None:
        """An abort in C is reported as its signal."""
        self.assertIn("was ended by signal 6 (SIGABRT)", self.error(b"abort"))

    def test_segmentation_fault(self) -> None:
        """A segmentation fault is reported as its signal."""
        self.assertIn("was ended by signal 11 (SIGSEGV)", self.error(b"signal", b"%d" % signal.SIGSEGV))

    def test_killed_by_itself(self) -> None:
        """SIGKILL is reported as its signal."""
        self.assertIn("was ended by signal 9 (SIGKILL)", self.error(b"signal", b"%d" % signal.SIGKILL))

    def test_exit(self) -> None:
        """An exit in C is reported with its status, even if that is 0."""
        for status in (0, 7):
            self.assertIn(f"ended with status {status}", self.error(b"exit", b"%d" % status))

    def test_runner_fails(self) -> None:
        """An exception of the runner in the child is reported, and its stack trace is logged."""
        events: list[str] = []

        @implementer(ILogObserver)
        def observer(event: LogEvent) -> None:
            events.append(formatEvent(event))

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.assertIn("failed: ValueError: invalid literal for int()", self.error(b"raise"))
        self.assertIn("Traceback", "".join(events))

    def test_killed_while_idle(self) -> None:
        """Killing an idle child fails no request."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.output(b"next"), b"NEXT")
        self.assertFalse(is_alive(pid))

    def test_leaves_a_process(self) -> None:
        """The end of a child is noticed even if another process holds its pipes, and that process is killed."""
        self.assertIn("ended with status 3", self.error(b"forks"))
        (left,) = [int(line) for line in self.log.read_bytes().split() if line.isdigit()]
        self.assertTrue(ends(left))

    def test_reaped(self) -> None:
        """A closed runner leaves no child process, no zombie and no descriptor."""
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            self.error(b"abort")
            os.kill(self.pid(), signal.SIGKILL)
        self.runner.close()
        self.assertLessEqual(set(children_of(os.getpid())), set(self.others))
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_restart_interval(self) -> None:
        """There is a minimum interval between two starts of a child."""
        self.runner.restart_interval = 0.2
        started = time.monotonic()
        for _ in range(4):
            self.assertIsInstance(self.outcome(b"abort").error, InterpreterLost)
        self.assertGreaterEqual(time.monotonic() - started, 3 * 0.2)

    def test_cannot_start(self) -> None:
        """If no child can be started, requests fail after a few attempts."""
        for command in (["/no/such/python"], ["/bin/false"], child_command("import no_such_module")):
            runner = HastyRunner(command, b"")
            self.addCleanup(runner.close)
            error = runner.run(self.request(b"any")).error
            self.assertIsInstance(error, InterpreterLost)
            self.assertRegex(str(error), "cannot be started: No such file|ended with status 1")


class LimitTests(ChildCase):
    """Limits that are enforced from outside the child."""

    limit = 0.2

    def test_sleeps(self) -> None:
        """A script that does not end is killed at the limit, which the error names, and the next request is served."""
        pid = self.pid()
        started = time.monotonic()
        error = self.outcome(b"sleep").error
        assert isinstance(error, LimitExceeded)
        self.assertEqual(str(error), "it did not end within 0.2 s, and its process was killed (worker/scripts/timeout)")
        self.assertLess(time.monotonic() - started, 5)
        self.assertFalse(is_alive(pid))
        self.assertEqual(self.output(b"next"), b"NEXT")

    def test_programs_of_scripts(self) -> None:
        """A program that the script waits for is killed with it."""
        self.assertIsInstance(self.outcome(b"program").error, LimitExceeded)
        (program,) = [int(line) for line in self.log.read_bytes().split() if line.isdigit()]
        self.assertTrue(ends(program))

    def test_stopped(self) -> None:
        """A child that was stopped by SIGSTOP is killed at the limit."""
        self.assertIsInstance(self.outcome(b"signal", b"%d" % signal.SIGSTOP).error, LimitExceeded)

    def test_memory(self) -> None:
        """A request that allocates more memory than the limit fails with MemoryError."""
        self.runner = self.make_runner(20.0, address_space=64 * 1024 * 1024)
        self.assertIn("MemoryError", self.error(b"much", b"%d" % (128 * 1024 * 1024)))
        self.assertEqual(len(self.output(b"much", b"%d" % (4 * 1024 * 1024))), 4 * 1024 * 1024)


class HostileTests(ChildCase):
    """Children that are controlled by a hostile script."""

    def test_garbage(self) -> None:
        """Frames that are too large or have an unexpected kind or number end the child."""
        self.assertIn("a frame of", self.error(b"garbage", b"\xff" * 1000))
        for kind in (0, 1, 2, 3, 4, 5, 6, 8, 255):
            self.assertIn("sent an unexpected frame", self.error(b"garbage", b"\0\0\0\0%c" % kind + b"\xff" * 8))

    def test_no_outcome(self) -> None:
        """An ENDED frame without a valid outcome ends the child."""
        self.pid()
        frame = b"\x03\0\0\0\x05\x01\0\0\0\0\0\0\0abc"
        self.assertIn("sent an invalid Outcome", self.error(b"garbage", frame))

    def test_rings(self) -> None:
        """A child that rings the bell without end is killed at the limit."""
        self.runner = self.make_runner(0.3)
        self.assertIsInstance(self.outcome(b"rings").error, LimitExceeded)
        self.assertEqual(self.output(b"next"), b"NEXT")

    def test_closes(self) -> None:
        """A child that closes its pipes is killed."""
        pid = self.pid()
        self.assertIn("was ended by signal 9", self.error(b"closes"))
        self.assertFalse(is_alive(pid))

    def test_tickets(self) -> None:
        """If a child fills the pipe of tickets, the next requests are run by another child."""
        self.runner = self.make_runner(1.0)
        self.assertEqual(self.output(b"tickets"), b"full")
        self.assertEqual((self.output(b"next"), self.output(b"other")), (b"NEXT", b"OTHER"))

    def test_deaf(self) -> None:
        """If a child stops reading after a request, the next request is run by another child."""
        for subject, context in ((b"small", b""), (b"same", b"x" * TEN_MEGABYTES)):
            self.runner = self.make_runner(1.0)
            self.assertEqual(self.output(b"deaf"), b"deaf")
            outcome = self.outcome(subject, context)
            self.assertIn(outcome.output, (b"SMALL", context))


class ScriptTests(SynchronousTestCase):
    """Real scripts in real children."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.runner = self.make_runner(0.3)

    def make_runner(self, limit: float) -> IsolatedRunner:
        """Make a runner with a time limit in seconds."""
        settings = SETTINGS.encode(ScriptSettings(os.fsencode(self.directory)))
        runner = HastyRunner(child_command(), settings, limit)
        self.addCleanup(runner.close)
        return runner

    def outcome(self, name: str, source: str, context: bytes = b"") -> Outcome:
        """Run a script."""
        (self.directory / f"{name}.lua").write_text(source, encoding="utf-8")
        return self.runner.run(Request(b"", b"", name.encode(), b"", (context,)))

    def test_backtracking(self) -> None:
        """A pattern match that no hook in Lua can stop is killed with its process, and the next request is served."""
        self.outcome("hello", "print('hello')")
        outcome = self.outcome("pattern", "print(string.find(('a'):rep(200), ('a-'):rep(60) .. 'b'))")
        self.assertIsInstance(outcome.error, LimitExceeded)
        self.assertEqual(self.outcome("hello", "print('hello')").output, b"hello\n")

    def test_context_of_ten_megabytes(self) -> None:
        """A script can receive and send a context of ten megabytes."""
        self.runner = self.make_runner(60.0)
        context = os.urandom(TEN_MEGABYTES)
        outcome = self.outcome("send", "sendTo('subject', alaskaContext)", context)
        self.assertIsNone(outcome.error)
        self.assertEqual(outcome.sends[0].content, (context,))

    def test_no_secrets(self) -> None:
        """Settings in the worker's environment are not passed to its children."""
        environ = {"PATH": "/bin", "ALASKA_WORKER_AUTH_PLAIN_PASSWORD": "secret", "MALAMUTE_SERVER_TIMEOUT": "1"}
        self.assertEqual(child_environment(environ), {"PATH": "/bin"})

    def test_errors(self) -> None:
        """Errors of scripts and missing scripts are reported as in a thread."""
        self.assertIn("bad.lua:2: oh no", str(self.outcome("bad", "\nerror('oh no')").error))
        missing = self.runner.run(Request(b"", b"", b"missing", b"", ()))
        self.assertIn("No script serves the subject 'missing'", str(missing.error))

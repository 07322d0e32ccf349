"""Scripts in a process of their own: real children, real crashes."""

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
from tests.pool import children
from tests.processes import children_of, ends, is_alive

ODD = child_command(children.program("odd"))
TEN_MEGABYTES = 10 * 1024 * 1024


class HastyRunner(IsolatedRunner):
    """A runner that a test does not wait for."""

    pace = 0.01
    begin_within = 0.3


class ChildCase(SynchronousTestCase):
    """A runner whose child does what subjects say (:class:`tests.pool.children.Odd`), and a log of what it began."""

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
        """Answer a call with what it asks in capitals."""
        self.calls.append((request.subject, octets))
        return octets.upper()

    def request(self, subject: bytes, context: bytes = b"") -> Request:
        """Return a request."""
        return Request(b"sender", b"default", subject, b"tracker", (context,))

    def outcome(self, subject: bytes, context: bytes = b"") -> Outcome:
        """Run a request."""
        return self.runner.run(self.request(subject, context))

    def output(self, subject: bytes, context: bytes = b"") -> bytes:
        """Run a request that must end well, and return the output."""
        outcome = self.outcome(subject, context)
        self.assertIsNone(outcome.error, str(outcome.error))
        return outcome.output

    def error(self, subject: bytes, context: bytes = b"") -> str:
        """Run a request that its process must not outlive, and return its error; the next one is served."""
        outcome = self.outcome(subject, context)
        self.assertIsInstance(outcome.error, InterpreterLost)
        self.assertEqual(self.output(b"next"), b"NEXT")
        return str(outcome.error)

    def pid(self) -> int:
        """Return the process that the child is."""
        return int(self.output(b"pid"))


class ServiceTests(ChildCase):
    """What a child does when nothing goes wrong."""

    def test_one_child(self) -> None:
        """One child serves request after request; it is not this process."""
        pids = {self.pid() for _ in range(20)}
        self.assertEqual(len(pids), 1)
        self.assertNotIn(os.getpid(), pids)

    def test_ten_megabytes(self) -> None:
        """Contexts and outputs of ten megabytes go through, one after the other and between small ones."""
        context = os.urandom(TEN_MEGABYTES)
        for _ in range(2):
            self.assertEqual(self.output(b"same", context), context)
            self.assertEqual(self.output(b"small"), b"SMALL")
        self.assertEqual(self.output(b"much", b"%d" % TEN_MEGABYTES), b"x" * TEN_MEGABYTES)

    def test_standard_descriptors(self) -> None:
        """A child has its pipes and nothing else of the worker's: no terminal, no file, no socket."""
        with self.log.open("ab"):
            found = json.loads(self.output(b"descriptors"))
        pipes = [target for target in found.values() if target.startswith("pipe:")]
        files = sorted(target for target in found.values() if not target.startswith("pipe:"))
        self.assertEqual(len(pipes), 4)
        self.assertEqual(files, sorted(["/dev/null"] * 3 + [str(self.log)]))

    def test_session(self) -> None:
        """A child is in a session and a group of its own: keys and signals for the worker's terminal are not for it."""
        self.assertEqual(self.output(b"session"), b"%d %d" % (self.pid(), self.pid()))

    def test_quiet(self) -> None:
        """A signal that asks the whole service to end leaves the child to the worker, which lets it finish."""
        self.assertEqual(self.output(b"signal", b"%d" % signal.SIGTERM), b"lives")

    def test_imports(self) -> None:
        """A child imports neither Twisted nor ZeroMQ, so that it starts fast and is small."""
        names = "print(sorted({name.partition('.')[0] for name in sys.modules} & {'twisted', 'zmq', 'txzmq', 're2'}))"
        *python, places = child_command(f"import alaska.worker.child; {names}")
        out = Path(self.mktemp())
        with out.open("wb") as file:
            pid = os.posix_spawn(
                python[0], [*python, places], {}, file_actions=[(os.POSIX_SPAWN_DUP2, file.fileno(), 1)]
            )
            _, status = os.waitpid(pid, 0)
        self.assertEqual((status, out.read_text(encoding="ascii")), (0, "[]\n"))


class CallTests(ChildCase):
    """What a script asks while it runs."""

    def test_call(self) -> None:
        """What is asked is answered by the worker, and the script goes on with the answer."""
        self.assertEqual(self.output(b"call", b"question"), b"QUESTION")
        self.assertEqual(self.calls, [(b"call", b"question")])

    def test_large(self) -> None:
        """Questions and answers may be large."""
        question = b"x" * TEN_MEGABYTES
        self.assertEqual(self.output(b"call", question), question.upper())

    def test_answer_fails(self) -> None:
        """Who answers and raises has failed as a runner does: it is raised here, and another child goes on."""
        runner = HastyRunner(ODD, b"", 20.0, 0, lambda _request, octets: b"%d" % int(octets))
        self.addCleanup(runner.close)
        self.assertRaises(ValueError, runner.run, self.request(b"call", b"no number"))
        self.assertEqual(runner.run(self.request(b"call", b"1")).output, b"1")

    def test_nobody_answers(self) -> None:
        """A child that asks where nobody answers is ended."""
        runner = HastyRunner(ODD, b"")
        self.addCleanup(runner.close)
        self.assertIn("asks what nobody answers", str(runner.run(self.request(b"call")).error))

    def test_time(self) -> None:
        """The time until the answer counts."""

        def answer(_request: Request, octets: bytes) -> bytes:
            time.sleep(0.5)
            return octets

        runner = HastyRunner(ODD, b"", 0.1, 0, answer)
        self.addCleanup(runner.close)
        # The script may have ended before its process could be killed.
        outcome = runner.run(self.request(b"call", b"late"))
        self.assertTrue(outcome.output == b"late" or isinstance(outcome.error, LimitExceeded), outcome)


class CrashTests(ChildCase):
    """Whatever ends a child costs the request that it had begun, and says so."""

    def test_abort(self) -> None:
        """An abort in C."""
        self.assertIn("was ended by signal 6 (SIGABRT)", self.error(b"abort"))

    def test_segmentation_fault(self) -> None:
        """A segmentation fault."""
        self.assertIn("was ended by signal 11 (SIGSEGV)", self.error(b"signal", b"%d" % signal.SIGSEGV))

    def test_killed_by_itself(self) -> None:
        """A kill that no process can refuse."""
        self.assertIn("was ended by signal 9 (SIGKILL)", self.error(b"signal", b"%d" % signal.SIGKILL))

    def test_exit(self) -> None:
        """An exit in C, with a status that means well or not."""
        for status in (0, 7):
            self.assertIn(f"ended with status {status}", self.error(b"exit", b"%d" % status))

    def test_runner_fails(self) -> None:
        """A failure of what runs scripts there: the trace is in the log."""
        events: list[str] = []

        @implementer(ILogObserver)
        def observer(event: LogEvent) -> None:
            events.append(formatEvent(event))

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.assertIn("failed: ValueError: invalid literal for int()", self.error(b"raise"))
        self.assertIn("Traceback", "".join(events))

    def test_killed_at_rest(self) -> None:
        """A child that somebody kills while it has nothing to do costs no request at all."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.output(b"next"), b"NEXT")
        self.assertFalse(is_alive(pid))

    def test_leaves_a_process(self) -> None:
        """A child that ends and leaves a process which holds its pipes is missed at once, and that process killed."""
        self.assertIn("ended with status 3", self.error(b"forks"))
        (left,) = [int(line) for line in self.log.read_bytes().split() if line.isdigit()]
        self.assertTrue(ends(left))

    def test_reaped(self) -> None:
        """Of children that have ended nothing is left when the runner is closed, no process and no descriptor."""
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            self.error(b"abort")
            os.kill(self.pid(), signal.SIGKILL)
        self.runner.close()
        self.assertLessEqual(set(children_of(os.getpid())), set(self.others))
        self.assertEqual(os.listdir("/proc/self/fd"), before)

    def test_pace(self) -> None:
        """Children are not started faster than at a pace, however often they end."""
        self.runner.pace = 0.2
        started = time.monotonic()
        for _ in range(4):
            self.assertIsInstance(self.outcome(b"abort").error, InterpreterLost)
        self.assertGreaterEqual(time.monotonic() - started, 3 * 0.2)

    def test_cannot_start(self) -> None:
        """Where no child can be started, requests are reported and not tried for ever."""
        for command in (["/no/such/python"], ["/bin/false"], child_command("import no_such_module")):
            runner = HastyRunner(command, b"")
            self.addCleanup(runner.close)
            error = runner.run(self.request(b"any")).error
            self.assertIsInstance(error, InterpreterLost)
            self.assertRegex(str(error), "cannot be started: No such file|ended with status 1")


class LimitTests(ChildCase):
    """Limits that no script can get around."""

    limit = 0.2

    def test_sleeps(self) -> None:
        """What does not end is killed at the limit, which the error names, and the next request is served."""
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
        """A child that is stopped by a signal is killed at the limit like any other."""
        self.assertIsInstance(self.outcome(b"signal", b"%d" % signal.SIGSTOP).error, LimitExceeded)

    def test_memory(self) -> None:
        """Memory beyond the limit is refused to the child, and costs the request that wanted it."""
        self.runner = self.make_runner(20.0, address_space=64 * 1024 * 1024)
        self.assertIn("MemoryError", self.error(b"much", b"%d" % (128 * 1024 * 1024)))
        self.assertEqual(len(self.output(b"much", b"%d" % (4 * 1024 * 1024))), 4 * 1024 * 1024)


class HostileTests(ChildCase):
    """Children in the hands of whoever wrote the script."""

    def test_garbage(self) -> None:
        """Octets that are no frames, a frame too large, and frames of the wrong kind or number."""
        self.assertIn("a frame of", self.error(b"garbage", b"\xff" * 1000))
        for kind in (0, 1, 2, 3, 4, 5, 6, 8, 255):
            self.assertIn("says what nobody asked", self.error(b"garbage", b"\0\0\0\0%c" % kind + b"\xff" * 8))

    def test_no_outcome(self) -> None:
        """A frame that says that the request has ended, and holds no outcome."""
        self.pid()
        frame = b"\x03\0\0\0\x05\x01\0\0\0\0\0\0\0abc"
        self.assertIn("says no Outcome", self.error(b"garbage", frame))

    def test_rings(self) -> None:
        """A child that rings and rings is killed at the limit."""
        self.runner = self.make_runner(0.3)
        self.assertIsInstance(self.outcome(b"rings").error, LimitExceeded)
        self.assertEqual(self.output(b"next"), b"NEXT")

    def test_closes(self) -> None:
        """A child that closes its pipes and lives on does not live on."""
        pid = self.pid()
        self.assertIn("was ended by signal 9", self.error(b"closes"))
        self.assertFalse(is_alive(pid))

    def test_deaf(self) -> None:
        """A child that reads no more, after a request that ended well, costs the next one no more than a second."""
        for subject, context in ((b"small", b""), (b"same", b"x" * TEN_MEGABYTES)):
            self.runner = self.make_runner(1.0)
            self.assertEqual(self.output(b"deaf"), b"deaf")
            outcome = self.outcome(subject, context)
            self.assertIn(outcome.output, (b"SMALL", context))


class ScriptTests(SynchronousTestCase):
    """Real scripts, in the child that the worker starts."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.runner = self.make_runner(0.3)

    def make_runner(self, limit: float) -> IsolatedRunner:
        """Make a runner whose scripts have so many seconds."""
        settings = SETTINGS.encode(ScriptSettings(os.fsencode(self.directory)))
        runner = HastyRunner(child_command(), settings, limit)
        self.addCleanup(runner.close)
        return runner

    def outcome(self, name: str, source: str, context: bytes = b"") -> Outcome:
        """Run a script."""
        (self.directory / f"{name}.lua").write_text(source, encoding="utf-8")
        return self.runner.run(Request(b"", b"", name.encode(), b"", (context,)))

    def test_backtracking(self) -> None:
        """A pattern that no hook in Lua ends is ended with its process, and the next request is served."""
        self.outcome("hello", "print('hello')")
        outcome = self.outcome("pattern", "print(string.find(('a'):rep(200), ('a-'):rep(60) .. 'b'))")
        self.assertIsInstance(outcome.error, LimitExceeded)
        self.assertEqual(self.outcome("hello", "print('hello')").output, b"hello\n")

    def test_context_of_ten_megabytes(self) -> None:
        """A script gets a context of ten megabytes, and sends it."""
        self.runner = self.make_runner(60.0)
        context = os.urandom(TEN_MEGABYTES)
        outcome = self.outcome("send", "sendTo('subject', alaskaContext)", context)
        self.assertIsNone(outcome.error)
        self.assertEqual(outcome.sends[0].content, (context,))

    def test_no_secrets(self) -> None:
        """A child knows nothing of the settings that the worker has from its environment."""
        environ = {"PATH": "/bin", "ALASKA_WORKER_AUTH_PLAIN_PASSWORD": "secret", "MALAMUTE_SERVER_TIMEOUT": "1"}
        self.assertEqual(child_environment(environ), {"PATH": "/bin"})

    def test_errors(self) -> None:
        """Errors of scripts, and scripts that are missing, are reported as from a thread."""
        self.assertIn("bad.lua:2: oh no", str(self.outcome("bad", "\nerror('oh no')").error))
        missing = self.runner.run(Request(b"", b"", b"missing", b"", ()))
        self.assertIn("No script serves the subject 'missing'", str(missing.error))

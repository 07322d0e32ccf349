"""Hot reload: which version of a script runs when its file changes, and when the newest does not compile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import ScriptBroken, ScriptNotFound
from alaska.lua.interpreter import LuaRunner
from alaska.lua.questions import NONE, Frames
from alaska.lua.request import Outcome, Request
from alaska.lua.runner import ScriptRunner, Versions
from alaska.lua.scripts import BROKEN_SECONDS, MAX_WAIT_SECONDS, OPEN_SECONDS, SETTLE_SECONDS, Scripts
from alaska.store.kv import KeyValues
from alaska.worker.calls import Calls
from tests.asking import AnswersEach
from tests.lua.lua_case import SANDBOXED

REQUEST = Request(b"sender", b"default", b"job", b"", ())


class ReloadCase(SynchronousTestCase):
    """A folder, and a fake clock that advances in sleep, where it runs the test's next action."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.file = self.directory / "job.lua"
        self.now = time.time() + 1000
        self.slept: list[float] = []
        self.actions: list[Callable[[], object]] = []

    def sleep(self, seconds: float) -> None:
        """Advance the clock, and run the next action."""
        self.slept.append(seconds)
        self.now += seconds
        if self.actions:
            self.actions.pop(0)()

    def make_scripts(self) -> Scripts:
        """Return the scripts as a runner finds them."""
        return Scripts(self.directory, now=lambda: self.now, sleep=self.sleep)

    def write(self, source: str) -> None:
        """Write the script, and set the clock to its time."""
        self.file.write_text(source, encoding="utf-8")
        self.now = max(self.file.stat().st_mtime, self.file.stat().st_ctime)


class SettleTests(ReloadCase):
    """Files that are being written."""

    def test_old_file(self) -> None:
        """A script that has not changed lately is read at once."""
        self.file.write_text("print(1)", encoding="utf-8")
        self.assertEqual(self.make_scripts().find(b"job").source, b"print(1)")
        self.assertEqual(self.slept, [])

    def test_written_in_pieces(self) -> None:
        """A script that is being written is read when it has stopped changing, so that no half of it runs."""
        self.write("print(1)")
        self.actions = [lambda: self.write("print(1) print(2)"), lambda: self.write("print(1) print(2) print(3)")]
        self.assertEqual(self.make_scripts().find(b"job").source, b"print(1) print(2) print(3)")
        self.assertGreaterEqual(len(self.slept), 3)

    def test_open_for_writing(self) -> None:
        """A script that is open for writing is read when it is closed, or unchanged for a second."""
        self.write("print(1)")
        writer = self.file.open("a", encoding="utf-8")
        self.addCleanup(writer.close)
        self.now += 2 * SETTLE_SECONDS
        self.actions = [lambda: None, writer.close]
        self.assertEqual(self.make_scripts().find(b"job").source, b"print(1)")
        self.assertEqual(len(self.slept), 2)

    def test_open_for_long(self) -> None:
        """A file that an editor keeps open is read after a second without changes."""
        self.write("print(1)")
        writer = self.file.open("a", encoding="utf-8")
        self.addCleanup(writer.close)
        # File times are rounded.
        self.now += OPEN_SECONDS + 0.01
        self.assertEqual(self.make_scripts().find(b"job").source, b"print(1)")
        self.assertEqual(self.slept, [])

    def test_edit_serves_the_next_request(self) -> None:
        """An edit takes effect with the next request, however soon."""
        scripts = self.make_scripts()
        self.write("print(1)")
        scripts.find(b"job")
        self.write("print(2)")
        self.assertEqual(scripts.find(b"job").source, b"print(2)")

    def test_replaced_by_renaming(self) -> None:
        """A known script that is missing for a moment, while it is replaced, is waited for; an unknown one is not."""
        scripts = self.make_scripts()
        self.write("print(1)")
        scripts.find(b"job")
        self.file.unlink()
        self.actions = [lambda: self.write("print(2)")]
        self.assertEqual(scripts.find(b"job").source, b"print(2)")
        self.slept.clear()
        self.assertRaises(ScriptNotFound, scripts.find, b"other")
        self.assertEqual(self.slept, [])

    def test_deleted(self) -> None:
        """A deleted script is missing."""
        scripts = self.make_scripts()
        self.write("print(1)")
        scripts.find(b"job")
        self.file.unlink()
        self.assertRaises(ScriptNotFound, scripts.find, b"job")

    def test_never_settles(self) -> None:
        """A file that changes constantly is refused after a while, with that reason."""
        self.write("print(1)")
        self.actions = [lambda: self.write("print(1)")] * 1000
        error = self.assertRaises(ScriptNotFound, self.make_scripts().find, b"job")
        self.assertIn("its file changes all the time", str(error))
        self.assertLess(len(self.slept), 2 * MAX_WAIT_SECONDS / SETTLE_SECONDS)

    def test_clock_that_is_behind(self) -> None:
        """A file with a time in the future is read at once."""
        self.write("print(1)")
        os.utime(self.file, (self.now + 5000, self.now + 5000))
        self.make_scripts().find(b"job")
        self.assertEqual(self.slept, [])


class BrokenTests(AnswersEach, ReloadCase):
    """Scripts that do not compile."""

    def setUp(self) -> None:
        super().setUp()
        self.kv = KeyValues(None)
        self.addCleanup(self.kv.close)
        self.calls = Calls(self.kv, self)

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: object = None) -> Frames:
        """Return no answer."""
        return (NONE, b"")

    def runner(self, keep_last_good: bool = False) -> ScriptRunner:
        """Return a runner like those of the worker."""
        versions = Versions(self.make_scripts(), keep_last_good, self.calls)
        runner = ScriptRunner(versions, LuaRunner(SANDBOXED, self.calls))
        self.addCleanup(runner.close)
        return runner

    def test_half_written(self) -> None:
        """A version that does not compile is replaced by the next one if that appears within a second."""
        runner = self.runner()
        self.write("print(")
        self.now += SETTLE_SECONDS
        self.actions = [lambda: None, lambda: None, lambda: self.write("print(1)")]
        outcome = runner.run(REQUEST)
        self.assertEqual((outcome.output, outcome.error), (b"1\n", None))

    def test_broken(self) -> None:
        """A version that stays broken is an error with file and line, after a second at most."""
        runner = self.runner()
        self.write("\nprint(")
        outcome = runner.run(REQUEST)
        self.assertIsInstance(outcome.error, ScriptBroken)
        self.assertRegex(str(outcome.error), r"job\.lua:2: ")
        self.assertLess(sum(self.slept), BROKEN_SECONDS + 2 * SETTLE_SECONDS)
        self.slept.clear()
        self.assertIsInstance(runner.run(REQUEST).error, ScriptBroken)
        self.assertEqual(self.slept, [])

    def outcomes(self, runner: ScriptRunner, *sources: str) -> list[Outcome]:
        """Return the outcomes of requests to successive versions."""
        outcomes = []
        for source in sources:
            self.write(source)
            self.now += BROKEN_SECONDS
            outcomes.append(runner.run(REQUEST))
        return outcomes

    def test_last_good_is_not_kept(self) -> None:
        """By default, a broken version is an error although an older one was good."""
        _, outcome = self.outcomes(self.runner(), "print(1)", "print(")
        self.assertEqual(outcome.output, b"")
        self.assertIsInstance(outcome.error, ScriptBroken)

    def test_last_good_runs(self) -> None:
        """If enabled, the last good version runs until there is a new one, and the outcome names the broken one."""
        runner = self.runner(keep_last_good=True)
        _, second, third = self.outcomes(runner, "print(1)", "print(2)", "print(")
        self.assertEqual((second.output, second.broken), (b"2\n", None))
        self.assertEqual((third.output, third.error), (b"2\n", None))
        again = runner.run(REQUEST)
        self.assertEqual((again.output, again.broken), (b"2\n", third.broken))
        assert third.broken is not None
        self.assertRegex(str(third.broken.error), r"job\.lua:1: ")
        (last,) = self.outcomes(runner, "print(4)")
        self.assertEqual((last.output, last.broken), (b"4\n", None))

    def test_last_good_of_another_thread(self) -> None:
        """A runner that has never run the script uses the last good version of another runner."""
        self.outcomes(self.runner(keep_last_good=True), "print(1)")
        (outcome,) = self.outcomes(self.runner(keep_last_good=True), "print(")
        self.assertEqual((outcome.output, outcome.error), (b"1\n", None))
        self.assertIsNotNone(outcome.broken)

    def test_never_good(self) -> None:
        """A script without any good version is an error."""
        (outcome,) = self.outcomes(self.runner(keep_last_good=True), "print(")
        self.assertIsInstance(outcome.error, ScriptBroken)

    def test_error_is_not_broken(self) -> None:
        """A version that compiles but fails replaces the older ones."""
        _, outcome = self.outcomes(self.runner(keep_last_good=True), "print(1)", "error('oh no')")
        self.assertIn("oh no", str(outcome.error))
        self.assertIsNone(outcome.broken)

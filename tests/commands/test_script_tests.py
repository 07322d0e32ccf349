"""``alas test``, ``alas new`` and ``alas run --watch``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.script_tests import Result, run_tests
from alaska.commands.tap_and_junit import as_tap, junit
from alaska.config import WorkerSettings
from alaska.lua.files import MAX_OCTETS
from tests import PROJECT
from tests.commands.test_commands import CommandCase

SCRIPT = """
local order = alaska.json.decode(alaskaContext)
sendTo('greeting', 'Hello, ' .. order.name, 'greetings')
alaska.log.info('greeted')
print('seen', alaska.headers.color, alaska.kv.get('count'))
alaska.kv.incr('count')
if order.asks then
  return { price = alaska.request('prices', 'lamp', 'x') }
elseif order.again then
  alaska.retry(5, 'later')
end
"""


class ScriptTestCase(SynchronousTestCase):
    """A script, and tests of it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        (self.folder / "hello.lua").write_text(SCRIPT)

    def run_them(self, text: str, name: str = "hello_test.lua") -> list[Result]:
        """Run the tests in a file."""
        file = self.folder / name
        file.write_text(text)
        results: list[Result] = []
        run_tests(file, WorkerSettings(), results.append)
        return results

    def why(self, body: str) -> str:
        """Return why a test with this body fails; empty if it passes."""
        (result,) = self.run_them(f"test('it', function()\n{body}\nend)")
        self.assertEqual(result.name, "it")
        return result.why


class GivenTests(ScriptTestCase):
    """What a test gives to a script, and gets back."""

    def test_messages(self) -> None:
        """The result has messages, log lines and output."""
        body = """local content = { { name = 'me' } }
        local r = expect_ok(given { content = content, headers = { color = 'red' }, kv = { count = 4 } })
        expect(r.kv, { count = 5 })
        expect(#r.sent, 1) expect(r.sent[1].kind, 'mail') expect(r.sent[1].to, 'greetings')
        expect(r.sent[1].content, 'Hello, me') expect(r.logged, { { level = 'info', text = 'greeted' } })
        expect(r.output, 'seen\\tred\\t4\\n')"""
        self.assertEqual(self.why(body), "")

    def test_answers(self) -> None:
        """Other services answer what the test says, and the test sees what they were asked."""
        body = """local r = given { content = '{"name":"a","asks":true}', requests = { ['prices lamp'] = '7' } }
        expect(alaska.json.decode(r.answer), { price = '7' }) expect(r.asked[1].content, 'x')"""
        self.assertEqual(self.why(body), "")
        refused = """local r = given { content = '{"name":"a","asks":true}', requests = { prices = { error = 'no' } } }
        expect(r.answer, '{}')"""
        self.assertEqual(self.why(refused), "")

    def test_verdict(self) -> None:
        """A script that wants to be run again has a verdict."""
        body = """expect(given { content = '{"name":"a","again":true}' }.verdict,
            { kind = 'retry', seconds = 5, why = 'later' })"""
        self.assertEqual(self.why(body), "")

    def test_octets(self) -> None:
        """Content of any octets arrives as it is."""
        (self.folder / "hello.lua").write_text("return alaskaContext")
        self.assertEqual(self.why("local s = '\\0\\255\\n' expect(given { content = s }.answer, s)"), "")

    def test_each_is_new(self) -> None:
        """Each run has a key-value store of its own, and the limits of a worker."""
        (self.folder / "hello.lua").write_text(
            "if alaskaContext == 'loop' then while true do end end return alaska.kv.incr('n')"
        )
        self.assertEqual(self.why("given() expect(given().answer, '1')"), "")
        file = self.folder / "hello_test.lua"
        file.write_text(
            "test('it', function() expect_match(given { content = 'loop' }.error, 'ran longer than 50 ms') end)"
        )
        results: list[Result] = []
        run_tests(file, WorkerSettings(scripts_timeout=50), results.append)
        self.assertEqual([result.why for result in results], [""])


class FailureTests(ScriptTestCase):
    """How tests fail."""

    def test_expectations(self) -> None:
        """The text has the line, what was expected, and what there was."""
        why = self.why("expect({ 1, a = { 'x' } }, { 1, a = { 'y' } }, 'both')")
        self.assertEqual(why, 'hello_test.lua:2: both: expected {1, a = {"y"}}, got {1, a = {"x"}}')
        self.assertIn("expected a text that matches", self.why("expect_match(nil, 'x')"))
        self.assertIn("the script failed: ", self.why("expect_ok(given { content = '[' })"))
        self.assertIn("given{} has no field 'contents'", self.why("given { contents = 1 }"))

    def test_others_go_on(self) -> None:
        """A test that fails does not keep the others from running."""
        results = self.run_them("test('a', function() error('x') end) test('b', function() end)")
        self.assertEqual([result.has_passed for result in results], [False, True])

    def test_files(self) -> None:
        """A file that does not compile, has no tests, or no script, has failed."""
        self.assertIn("hello_test.lua:1:", self.run_them("test(")[0].why)
        self.assertEqual(self.run_them("x = 1")[0].why, "there are no tests in it")
        self.assertEqual(
            self.run_them("test('a', function() end)", "no_test.lua")[0].why, "there is no no.lua beside it"
        )
        self.assertIn("hello_test.lua:2: attempt", self.run_them("test('a', function() end)\nlocal x = nil + 1")[1].why)

    def test_odd_files(self) -> None:
        """A FIFO, which would block, is a test that has failed, and so is a file that is too large."""
        os.mkfifo(self.folder / "hello_test.lua")
        (self.folder / "large_test.lua").write_bytes(b"-" * (MAX_OCTETS + 1))
        for name in ("hello_test.lua", "large_test.lua"):
            results: list[Result] = []
            run_tests(self.folder / name, WorkerSettings(), results.append)
            self.assertIn("file", results[0].why)

    def test_time(self) -> None:
        """A file whose tests do not end fails after its time limit."""
        file = self.folder / "hello_test.lua"
        file.write_text("test('it', function() while true do end end)")
        results: list[Result] = []
        run_tests(file, WorkerSettings(), results.append, 0.2)
        self.assertFalse(any(result.has_passed for result in results))
        self.assertIn("0.2", results[-1].why)

    def test_no_worlds(self) -> None:
        """Tests have the sandbox of a script, and cannot reach the tester in another way."""
        self.assertEqual(self.why("expect(io, nil) expect(os.execute, nil)"), "")
        self.assertEqual(
            self.why("local a, why = alaska.request('other', 'x') expect(a, nil) expect_match(why, 'asks no')"), ""
        )


class ReportTests(SynchronousTestCase):
    """TAP, and the format of JUnit."""

    results = (Result(Path("a_test.lua"), "one # two", "", 0.01), Result(Path("a_test.lua"), "", "oh\x00\nno", 0.0))

    def test_tap(self) -> None:
        """Each result is a line, with the reason below."""
        lines = as_tap(self.results).split("\n")
        self.assertEqual(lines[:3], ["TAP version 14", "1..2", r"ok 1 - a_test.lua: one \# two"])
        self.assertEqual(lines[3], "not ok 2 - a_test.lua: ")

    def test_junit(self) -> None:
        """The document is XML, whatever the texts are."""
        root = ElementTree.fromstring(junit(self.results))  # our own document
        self.assertEqual((root.get("tests"), root.get("failures")), ("2", "1"))
        self.assertEqual([case.get("name") for case in root.iter("testcase")], ["one # two", "(file)"])

    def test_junit_of_odd_files(self) -> None:
        """Also the names of files have no effect on that."""
        root = ElementTree.fromstring(junit([Result(Path("a\x1b\udcff_test.lua"), "one", "", 0.01)]))
        self.assertEqual([case.get("classname") for case in root.iter("testcase")], ["a\ufffd\ufffd_test"])


class CommandTests(CommandCase):
    """The commands."""

    def test_new_and_test(self) -> None:
        """A new script has a test that passes, is found by the default folder, and passes the check."""
        self.assertEqual(self.alas("new", "greet").returncode, 0)
        done = self.alas("test", "--junit", "report.xml")
        self.assertEqual((done.returncode, done.stderr), (0, "2 passed, 0 failed\n"))
        self.assertIn("testsuite", (self.folder / "report.xml").read_text())
        self.assertEqual(self.alas("check", "services").returncode, 0)
        self.assertEqual(self.alas("new", "greet").returncode, 1)
        self.assertEqual(self.alas("new", "../greet").returncode, 2)

    def test_first(self) -> None:
        """Where there are no scripts yet, the first one is made with their folder; before, that is what to do."""
        (self.folder / "services").rmdir()
        done = self.alas("test")
        said = "alas: there is no services; alas new NAME makes a script with its test\n"
        self.assertEqual((done.returncode, done.stderr), (1, said))
        self.assertEqual(self.alas("new", "greet").returncode, 0)
        self.assertEqual(self.alas("test").stderr, "2 passed, 0 failed\n")

    def test_folder(self) -> None:
        """If the folder cannot be made, a sentence says why."""
        (self.folder / "services").rmdir()
        (self.folder / "services").write_text("")
        done = self.alas("new", "greet")
        self.assertEqual((done.returncode, done.stderr), (1, "alas: the folder services cannot be made: File exists\n"))

    def test_status(self) -> None:
        """A test that fails, and no tests at all, have the status 1."""
        self.assertEqual(self.alas("test").returncode, 1)
        self.write("services/a.lua", "return 1")
        self.write("services/a_test.lua", "test('a', function() expect(given().answer, '2') end)")
        done = self.alas("test", "services", "--tap")
        self.assertEqual((done.returncode, done.stdout.split("\n")[2]), (1, "not ok 1 - services/a_test.lua: a"))

    def test_watch(self) -> None:
        """With --watch, a script is run again when it has changed."""
        self.write("services/a.lua", "print('one')")
        program = subprocess.Popen(
            [sys.executable, "-m", "alaska.commands.alas", "run", "services/a.lua", "--watch"],
            cwd=self.folder,
            env={"PYTHONPATH": str(PROJECT), "PATH": ""},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert program.stdout is not None
            self.assertEqual(program.stdout.readline(), "one\n")
            self.assertIn("time:", program.stdout.readline())
            time.sleep(0.01)  # so that the file has another time
            self.write("services/a.lua", "print('two')")
            self.assertEqual(program.stdout.readline(), "two\n")
        finally:
            program.kill()
            program.communicate()

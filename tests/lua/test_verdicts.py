"""alaska.retry, alaska.snooze and alaska.reject."""

from __future__ import annotations

from alaska.lua.request import Outcome, Verdict, VerdictKind
from alaska.lua.values import OUTCOMES
from tests.lua.lua_case import SANDBOXED, LuaCase

RETRY, SNOOZE, REJECT = VerdictKind.RETRY, VerdictKind.SNOOZE, VerdictKind.REJECT
ANYWHERE = (
    "{0} print('after')",
    "pcall(function() {0} end) print('after')",
    "pcall(pcall, function() {0} end) print('after')",
    "xpcall(function() {0} end, function() end) print('after')",
    "coroutine.wrap(function() {0} end)() print('after')",
    "coroutine.resume(coroutine.create(function() pcall(function() {0} end) end)) print('after')",
    "coroutine.wrap(function() coroutine.wrap(function() {0} end)() end)() print('after')",
    "load([[{0}]])() print('after')",
    "local x = setmetatable({{}}, {{ __index = function() {0} end }}).x print('after')",
    "pcall(string.gsub, 'x', 'x', function() {0} end) pcall(print, 'after') pcall(send, 'a', 'b')",
    "pcall(table.sort, {{ 1, 2 }}, function() {0} end) pcall(print, 'after') pcall(os.exit)",
    "pcall(table.sort, {{ 1, 2 }}, function() {0} end) pcall(alaska.reject, 'other') pcall(error, 'other')",
    "error(setmetatable({{}}, {{ __tostring = function() {0} end }}))",
)
"""Scripts that end by a verdict, wherever they give it; none of them prints."""


class VerdictTests(LuaCase):
    """How scripts end their runs."""

    options = SANDBOXED

    def verdict(self, source: str) -> Verdict:
        """Return the verdict of a script that has no error."""
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        assert outcome.verdict is not None
        return outcome.verdict

    def test_verdicts(self) -> None:
        """Each function ends the run with its verdict."""
        for call, verdict in [
            ("alaska.retry(2.5, 'no stock')", Verdict(RETRY, 2.5, b"no stock")),
            ("alaska.retry(0)", Verdict(RETRY, 0.0, b"")),
            ("alaska.retry()", Verdict(RETRY, None, b"")),
            ("alaska.retry(nil, 7)", Verdict(RETRY, None, b"7")),
            ("alaska.snooze(2592000)", Verdict(SNOOZE, 2592000.0, b"")),
            ("alaska.reject()", Verdict(REJECT, None, b"")),
            ("alaska.reject 'no such item'", Verdict(REJECT, None, b"no such item")),
        ]:
            self.assertEqual(self.verdict(call), verdict)

    def test_ends_at_once(self) -> None:
        """Neither pcall nor a coroutine nor a C function lets the script go on."""
        for script in ANYWHERE:
            source = script.format("alaska.retry(5, 'why')")
            outcome = self.outcome(source)
            self.assertEqual((outcome.verdict, outcome.output, outcome.sends), (Verdict(RETRY, 5.0, b"why"), b"", ()))
            self.assertIsNone(outcome.error, source)

    def test_penlight(self) -> None:
        """Functions of Penlight that call back do not catch a verdict."""
        self.use(system_modules=True)
        if "True" not in self.output("print(pcall(require, 'pl.tablex') and 'True')"):
            return  # it is not installed
        source = """
            local tablex, List = require 'pl.tablex', require 'pl.List'
            pcall(tablex.map, function() List { 1 }:foreach(function() alaska.snooze(1) end) end, { 1 })
            print 'after'"""
        self.assertEqual((self.verdict(source), self.outcome(source).output), (Verdict(SNOOZE, 1.0, b""), b""))

    def test_output_is_kept(self) -> None:
        """What a script has sent and printed before is kept."""
        outcome = self.outcome("print('before') sendTo('a', 'b') alaska.log.info('c') alaska.reject('why')")
        self.assertEqual((outcome.output, len(outcome.log), len(outcome.sends)), (b"before\n", 1, 1))
        self.assertEqual(outcome.verdict, Verdict(REJECT, None, b"why"))

    def test_no_verdict_for_the_next_script(self) -> None:
        """The next script in the same interpreter has no verdict."""
        self.verdict("alaska.reject()")
        self.assertIsNone(self.outcome("print(alaska.subject)").verdict)

    def test_bad_seconds(self) -> None:
        """Seconds that are no number, or out of range, are an error at the call, which the script may catch."""
        for call, least in [("retry", "0"), ("snooze", "0.1")]:
            values = ["'5'", "-1", "0/0", "math.huge", "2592000.5", "{}"]
            for value in [*values, "0", "nil"] if call == "snooze" else values:
                message = self.error(f"\nalaska.{call}({value})")
                expected = f"a number of seconds from {least} to 2592000, which is 30 days, is expected"
                self.assertIn(f"script.lua:2: bad argument #1 to '{call}' ({expected})", message)
        self.assertEqual(self.output("print(pcall(alaska.snooze, -1) == false)"), "true\n")

    def test_bad_reason(self) -> None:
        """A reason that is neither text nor number is an error at the call."""
        self.assertIn("script.lua:2: bad argument #2 to 'retry' (the reason must", self.error("\nalaska.retry(1, {})"))
        self.assertIn("script.lua:2: bad argument #1 to 'reject' (the reason must", self.error("\nalaska.reject(true)"))

    def test_long_reason(self) -> None:
        """A long reason is cut."""
        self.assertEqual(len(self.verdict("alaska.reject(('x'):rep(1e6))").why), 32 * 1024)

    def test_snoozes(self) -> None:
        """A script sees how often its request was put off."""
        self.assertEqual(self.output("print(alaska.snoozes)"), "0\n")

    def test_record(self) -> None:
        """A script sees from which record its request was made; other requests were made from none."""
        source = "print(alaska.stream, alaska.position)"
        self.assertEqual(self.output(source), "nil\tnil\n")

    def test_coded(self) -> None:
        """A verdict passes from a child process to the worker."""
        outcome = Outcome(verdict=Verdict(RETRY, None, b"\xff"))
        self.assertEqual(OUTCOMES.decode(OUTCOMES.encode(outcome)), outcome)

"""alaska.cancelled, and scripts that are ended because their request is cancelled."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from alaska.config.entries import Section
from alaska.lua.request import Request
from alaska.worker.calls import Calls
from tests.lua.lua_case import limit_of
from tests.lua.test_delivery import DeliveryCase

ENDLESS = "while true do end"


class CancellingCase(DeliveryCase):
    """Scripts whose request is cancelled when they have asked a number of times."""

    level = 0
    after = 0

    def use(self, config: Section = (), **changes: Any) -> None:
        """See :meth:`LuaCase.use`."""
        self.questions = 0
        call = Calls(self.kv, self, lambda: self.now, self.record, cancelled=self.cancelled)
        options = replace(self.options, **{"partial_results": True, "timeout": 5000, **changes})
        self.runner = self.make_runner(options, call, config)
        self.addCleanup(self.runner.close)

    def output(self, source: str | bytes, *frames: bytes) -> str:
        """Return what a script prints that must succeed."""
        self.deliveries.clear()
        outcome = self.outcome(source, *frames)
        self.assertIsNone(outcome.error, str(outcome.error))
        return b"\n".join(self.lines(outcome)).decode()

    def cancelled(self, _request: Request) -> int:
        """Return whether the request is cancelled."""
        self.questions += 1
        return self.level if self.questions > self.after else 0


class CancelledTests(CancellingCase):
    """alaska.cancelled."""

    def test_not_cancelled(self) -> None:
        """It returns false, and the worker is asked now and then only."""
        self.assertEqual(self.output("local c for i = 1, 200000 do c = alaska.cancelled() end print(c)"), "false")
        self.assertIn(self.questions, range(1, 60))

    def test_cancelled(self) -> None:
        """It turns true, and stays so without another question."""
        self.level, self.after = 1, 2
        self.assertEqual(self.output("while not alaska.cancelled() do end print(alaska.cancelled())"), "true")
        self.assertEqual(self.questions, 3)

    def test_next_run(self) -> None:
        """It is false again in the next run."""
        self.level = 1
        self.assertEqual(self.output("print(alaska.cancelled())"), "true")
        self.level = 0
        self.assertEqual(self.output("print(alaska.cancelled())"), "false")

    def test_after_a_wait(self) -> None:
        """It is asked again after the script has waited."""
        self.level, self.after = 1, 1
        source = "print(alaska.cancelled()) alaska.request('svc', 'job') print(alaska.cancelled())"
        self.assertEqual(self.output(source), "false\ntrue")

    def test_where_lua_cannot_yield(self) -> None:
        """Where Lua cannot yield, it returns what is known."""
        self.level = 1
        source = "table.sort({{2, 1}}, function(a, b) print(alaska.cancelled()) return a < b end)"
        self.assertEqual(self.output(source.replace("{{", "{").replace("}}", "}")), "false")

    def test_without_a_worker(self) -> None:
        """Without a worker that could know, as with alas run, it returns false."""
        self.level = 2
        self.use(partial_results=False)
        self.assertEqual(self.output("print(alaska.cancelled())"), "false")
        self.assertEqual(self.questions, 0)


class ForcedTests(CancellingCase):
    """Scripts that are ended."""

    level = 2

    def end(self, source: str) -> str:
        """Return the error of a script that is ended, soon."""
        started = time.monotonic()
        outcome = self.outcome(source)
        self.assertLess(time.monotonic() - started, 3.0)
        self.assertEqual(limit_of(outcome), "cancel")
        return str(outcome.error)

    def test_loop(self) -> None:
        """A script that calculates is ended at a check, at the place where it was."""
        self.assertIn("script.lua:2: the request was cancelled", self.end(f"\n{ENDLESS}"))

    def test_caught(self) -> None:
        """The script cannot prevent it."""
        self.end(f"while true do pcall(function() {ENDLESS} end) end")
        self.end(f"coroutine.wrap(function() {ENDLESS} end)()")

    def test_cancelled_ends(self) -> None:
        """alaska.cancelled does not return then."""
        self.end("print(alaska.cancelled())")

    def test_callback(self) -> None:
        """A script that works in functions that are called by C is ended between them."""
        self.end("while true do ('x'):rep(100):gsub('x', function() end) end")

    def test_short_script(self) -> None:
        """A short script is not asked about, and finishes."""
        self.assertEqual(self.output("print(1)"), "1")
        self.assertEqual(self.questions, 0)

    def test_next_run(self) -> None:
        """The next run is not affected."""
        self.end(ENDLESS)
        self.level = 0
        self.assertEqual(self.output("print(1)"), "1")

    def test_not_cancelled(self) -> None:
        """A script that calculates for long is asked about about ten times a second."""
        self.level = 0
        started = time.monotonic()
        self.output("local till = os.clock() + 0.5 while os.clock() < till do end")
        # The script waits for processor time, which may take longer than that.
        self.assertIn(self.questions, range(1, 2 + round(10 * (time.monotonic() - started))))

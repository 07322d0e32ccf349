"""alaska.progress: only the newest progress is delivered, now and then and at the end."""

from __future__ import annotations

import time

from alaska.lua.questions import OK
from tests.lua.test_delivery import DeliveryCase


class ProgressCase(DeliveryCase):
    """Scripts that tell their progress."""

    def delivered(self, source: str) -> list[bytes]:
        """Return what a script has told, in order: what was delivered while it ran, and with its results."""
        self.deliveries.clear()
        outcome = self.outcome(source)
        self.assertIsNone(outcome.error, str(outcome.error))
        return [each.progress for each in (*self.deliveries, outcome) if each.progress]


class ProgressTests(ProgressCase):
    """Scripts whose worker accepts partial results."""

    def test_first_at_once(self) -> None:
        """The first progress is delivered at once, and the last one with the results."""
        told = self.delivered("alaska.progress(0.25) alaska.progress(0.5, 'half') alaska.progress(1, 'all')")
        self.assertEqual((told, len(self.deliveries)), ([b"0.25 ", b"1 all"], 1))

    def test_tight_loop(self) -> None:
        """A script that calls it all the time costs little: few deliveries, and the last value is not lost."""
        started = time.monotonic()
        told = self.delivered("for i = 1, 300000 do alaska.progress(i / 300000, i) end")
        self.assertEqual(told[-1], b"1 300000")
        self.assertLessEqual(len(told), 3 + 4 * (time.monotonic() - started))

    def test_calculation_after_the_last_call(self) -> None:
        """What was told last is delivered while the script goes on without another call."""
        work = "local till = os.clock() + 0.4 while os.clock() < till do end"
        self.delivered(f"alaska.progress(0) alaska.progress(0.5, 'here') {work} sendTo('later', '')")
        self.assertEqual([each.progress for each in self.deliveries if each.progress], [b"0 ", b"0.5 here"])

    def test_with_other_output(self) -> None:
        """Messages and progress do not disturb each other."""
        source = "for i = 1, 100 do sendTo('s' .. i, '') alaska.progress(i / 100) end"
        self.assertEqual(self.all_of(source), [b"s%d" % number for number in range(1, 101)])

    def test_before_a_wait(self) -> None:
        """A script that waits has told its first progress before."""
        self.answers = [(OK, b"")]
        self.delivered("alaska.progress(0.5) alaska.kv.get('k')")
        self.assertEqual([each.progress for each in self.deliveries], [b"0.5 "])

    def test_where_lua_cannot_yield(self) -> None:
        """Where Lua cannot yield, it is delivered later."""
        told = self.delivered("table.sort({2, 1}, function(a, b) alaska.progress(0.5) return a < b end)")
        self.assertEqual(told, [b"0.5 "])

    def test_next_run(self) -> None:
        """Nothing remains for the next run."""
        self.error("alaska.progress(0.5) alaska.progress(0.6) error('oh')")
        self.assertEqual(self.delivered("print(1)"), [])

    def test_failed_run(self) -> None:
        """The last progress of a script that fails is not lost."""
        outcome = self.outcome("alaska.progress(0.5) alaska.progress(0.6, 'so far') error('oh')")
        self.assertEqual(outcome.progress, b"0.6 so far")

    def test_bad_arguments(self) -> None:
        """Invalid arguments are errors at the position of the call."""
        for arguments in ("", "'x'", "-0.1", "1.1", "0/0", "{}"):
            text = self.error(f"\nalaska.progress({arguments})")
            self.assertIn("script.lua:2: bad argument #1 to 'progress' (a number from 0 to 1", text)
        self.assertIn("bad argument #2 to 'progress' (the text must be", self.error("alaska.progress(1, {})"))

    def test_long_text(self) -> None:
        """Of a long text, the beginning is delivered."""
        (told,) = self.delivered("alaska.progress(0.5, ('x'):rep(1e6))")
        self.assertEqual(told, b"0.5 " + b"x" * 244)


class UnacceptedTests(ProgressCase):
    """The same where the worker accepts nothing during the run, as with alas run."""

    is_accepted = False

    def test_with_the_results(self) -> None:
        """Only the newest progress is in the results."""
        self.assertEqual(self.delivered("alaska.progress(0.25) alaska.progress(1, 'all')"), [b"1 all"])

    def test_tight_loop(self) -> None:
        """A script that calls it all the time needs no memory for it."""
        told = self.delivered("for i = 1, 300000 do alaska.progress(i / 300000) end collectgarbage()")
        self.assertEqual(told, [b"1 "])

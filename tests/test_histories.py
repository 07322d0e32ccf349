"""The output for a history that fails."""

from __future__ import annotations

from enum import Enum

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from twisted.trial.unittest import SynchronousTestCase

from tests.histories import try_histories


class Size(Enum):
    """An enumeration, as an argument of a step."""

    SMALL = "small"
    LARGE = "large"


class Faulty(RuleBasedStateMachine):
    """A machine that fails when the second number is large."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Size] = []

    @rule(size=st.sampled_from(Size))
    def see(self, size: Size) -> None:
        """Fail if the second number is large."""
        self.seen.append(size)
        assert self.seen[1:2] != [Size.LARGE], "large"


class HistoriesTests(SynchronousTestCase):
    """The program that reproduces a failure."""

    def test_program(self) -> None:
        """A history that fails is printed as a program that fails in the same way."""
        error = self.assertRaises(AssertionError, try_histories, Faulty, 50, 10, "limit = 1")
        text, _, program = str(error).partition("\n\nTo reproduce:\n\n")
        self.assertEqual(text, "large")
        self.assertEqual(program.splitlines()[:2], ["from tests.test_histories import *", "limit = 1"])
        self.assertEqual(str(self.assertRaises(AssertionError, exec, program, {})), "large")

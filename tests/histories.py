"""Runs state machines of Hypothesis; a history that fails is printed as a program that reproduces it."""

from __future__ import annotations

import re

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests import examples

_TOO_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
_FIRST = "state = "
_ENUM = re.compile(r"<(\w+\.\w+): [^>]*>")


def try_histories(machine: type[RuleBasedStateMachine], count: int, steps: int, before: str = "") -> None:
    """Run a state machine with ``count`` histories of at most ``steps`` steps; a search multiplies the count.

    :raises AssertionError: a history failed; the text ends with the shortest program found that reproduces it. The
        program imports all names of the machine's module, and begins with the lines ``before``.
    """
    tried = settings(
        max_examples=examples(count),
        stateful_step_count=steps,
        report_multiple_bugs=False,
        suppress_health_check=_TOO_SLOW,
    )
    try:
        run_state_machine_as_test(machine, settings=tried)
    except Exception as error:
        raise AssertionError(f"{error}\n\nTo reproduce:\n\n{_program(machine, error, before)}") from error


def _program(machine: type[RuleBasedStateMachine], error: Exception, before: str) -> str:
    notes = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
    first = next((at for at, line in enumerate(notes) if line.startswith(_FIRST)), len(notes))
    steps = [line for line in notes[first:] if line.startswith(("state", " ", ")", "]"))]
    steps = [_ENUM.sub(r"\1", line) for line in steps]
    return "\n".join([f"from {machine.__module__} import *", *before.splitlines(), *steps])

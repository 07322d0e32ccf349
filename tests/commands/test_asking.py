"""How commands that ask a broker end."""

from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.commands.asking import error_of


class ErrorTests(SynchronousTestCase):
    """Errors that end a command."""

    def test_known(self) -> None:
        """An error of the client is the one that is printed."""
        error = errors.ConnectTimeout("no answer")
        self.assertIs(error_of(Failure(error)), error)

    def test_answer_that_cannot_be_shown(self) -> None:
        """An answer for which nothing is prepared is one sentence, and no traceback."""
        error = error_of(Failure(OverflowError("too large")))
        self.assertEqual(str(error), "the answer of the broker cannot be shown: OverflowError: too large")

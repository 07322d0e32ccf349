"""What errors say that there is to do, and how wrong uses of ``alas`` end."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.advice import NO_BROKER, OTHER_LOGIN, RULES, advised
from tests.commands.test_commands import CommandCase
from tests.ports import free_endpoint


class AdviceTests(SynchronousTestCase):
    """What follows an error."""

    def test_advised(self) -> None:
        """It depends on the exit status, and on whether access rules have refused something."""
        for text, status, advice in (
            ("no broker answers", os.EX_UNAVAILABLE, f"; {NO_BROKER}"),
            ("the broker does not accept this user name and password", os.EX_NOPERM, f"; {OTHER_LOGIN}"),
            ("user ann may not admin operate", os.EX_NOPERM, f"; {RULES}"),
            ("access to dead letters is refused: there are no rules", os.EX_NOPERM, ""),
            (
                "there is no such message, or it has ended",
                1,
                "; alas messages lists those that wait, are delayed, or run",
            ),
            ("there is no dead letter 9", 1, "; alas letters list shows those that there are"),
            ("there is no such binding", 1, ""),
        ):
            self.assertEqual(advised(text, status), text + advice)


class WrongUseTests(CommandCase):
    """Wrong command lines: one sentence of the standard error, which says what to do, and no traceback."""

    def test_sentences(self) -> None:
        """Each of them ends with its status, and the sentence has what helps."""
        nobody = free_endpoint()
        for line, status, text in (
            (f"status -e {nobody}", 69, "is it running? alas doctor looks for the reason"),
            (f"-t 100 -e {nobody}", 69, "is it running?"),
            ("status -e nowhere", 2, "it must be tcp://host:port"),
            ("-e tcp://127.0.0.1:1 status", 2, "options follow the name of a command"),
            ("--context home request default pi", 2, "options follow the name of a command"),
            ("servces", 2, "did you mean services?"),
            ("cancel order-17", 2, "--position names a message by its position"),
            ("pause one two", 2, "there are too many arguments; try alas pause -h"),
            ("services -u ann", 2, "must be given together"),
            ("services --password-file none -u ann", 2, "the password file none cannot be read"),
            ("services --key none --server-key none", 2, "none: cannot be read"),
            ("services --context none", 2, "has no context none"),
            ("services -n 0", 2, "expected a number from 1"),
            ("cancel", 2, "one of --id, --tracker, --position must be given"),
            ("messages --delayed --waiting", 2, "only one of --delayed, --waiting"),
            ("letters list --older yesterday", 2, "such as 90s, 10m"),
            ("letters resend", 2, "or --all"),
            ("schedule add n 99 s x", 2, "cron expression"),
            ("access test ann fly x", 2, "it is none of open, ask"),
            ("access test ann ask x -c none.cfg", 78, "there is no file none.cfg"),
            ("keygen none/ann", 73, "none/ann.cert_secret cannot be written"),
            ("restore none --store x.db", 1, "none is not a file"),
            ("send --lines none", 1, "none cannot be read"),
            ("send --rate 5/s", 2, "need --lines or --json-lines"),
            ("run x", 2, "no .lua file"),
            ("check --waiting lots", 2, "such as 100:1000"),
            ("doctor --user no-such-user", 2, "no such user"),
            ("context use none", 1, "has no context none"),
        ):
            done = self.alas(*line.split())
            self.assertEqual(done.returncode, status, (line, done.stderr))
            sentence = done.stderr.splitlines()[-1]
            self.assertIn(text, sentence, line)
            self.assertTrue(sentence.startswith("alas"), sentence)
            self.assertNotIn("Traceback", done.stderr)

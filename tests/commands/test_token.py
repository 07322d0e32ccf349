"""Making tokens for HTTP."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.http.users import Role, User, digest, parse
from alaska.commands.token import main


def captured() -> io.TextIOWrapper:
    """Return a stream that keeps what is written to it."""
    return io.TextIOWrapper(io.BytesIO(), "utf-8")


def text_of(stream: io.TextIOWrapper) -> str:
    """Return what was written to a stream."""
    stream.flush()
    stream.seek(0)
    return stream.read()


class TokenTests(SynchronousTestCase):
    """The command ``alas token``."""

    def test_token(self) -> None:
        """It prints a line of the file of tokens, and apart from it the token that fits."""
        output, errors = captured(), captured()
        with redirect_stdout(output), redirect_stderr(errors):
            main(["shop", "send"])
        users, faults = parse(text_of(output))
        self.assertEqual((list(users.values()), faults), ([User("shop", Role.SEND)], []))
        token = text_of(errors).split()[-1]
        self.assertEqual([key.value for key in users], [digest(token)])
        self.assertGreaterEqual(len(token), 43)

    def test_bad_arguments(self) -> None:
        """A name that does not fit into the file, and an unknown role, are refused."""
        for arguments in (["a b", "view"], ["#a", "view"], ["", "view"], ["a", "none"], ["a"]):
            with redirect_stderr(captured()):
                self.assertEqual(self.assertRaises(SystemExit, main, arguments).code, 2)

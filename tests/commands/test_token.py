"""Making tokens for HTTP."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout

import click
from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.http.users import Role, User, digest, parse
from alaska.commands.token import token
from tests.commands.json_fits import check_fits


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
            token.main(["shop", "send"], standalone_mode=False)
        users, faults = parse(text_of(output))
        self.assertEqual((list(users.values()), faults), ([User("shop", Role.SEND)], []))
        made = text_of(errors).split()[-1]
        self.assertEqual([key.value for key in users], [digest(made)])
        self.assertGreaterEqual(len(made), 43)

    def test_json(self) -> None:
        """In JSON, token and line are members of an object, and nothing else is printed."""
        output, errors = captured(), captured()
        with redirect_stdout(output), redirect_stderr(errors):
            token.main(["shop", "send", "--json"], standalone_mode=False)
        found = json.loads(text := text_of(output))
        check_fits(["token", "--json"], text)
        self.assertIn(digest(found["token"]), found["line"])
        self.assertEqual(text_of(errors), "")

    def test_bad_arguments(self) -> None:
        """A name that does not fit into the file, and an unknown role, are refused."""
        for arguments in (["a b", "view"], ["#a", "view"], ["", "view"], ["a", "none"], ["a"]):
            self.assertRaises(click.UsageError, token.main, arguments, standalone_mode=False)

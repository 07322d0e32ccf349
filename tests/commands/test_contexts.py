"""Contexts: what they give to commands, and ``alas context``."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import click
from twisted.trial.unittest import SynchronousTestCase

from alaska.commands import context, contexts
from alaska.commands.connection import Connection, take_connection
from alaska.commands.credentials import Credentials
from alaska.commands.send import send
from tests.commands.command_lines import options_of


class ContextCase(SynchronousTestCase):
    """A folder for the configuration of a user."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.environ = {"XDG_CONFIG_HOME": str(self.folder)}
        self.patch(os, "environ", self.environ)
        self.file = self.folder / "alaska/contexts.toml"

    def write(self, text: str, mode: int = 0o600) -> None:
        """Write the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text)
        self.file.chmod(mode)

    def connection(self, *arguments: str) -> Connection:
        """Return the connection of a command."""
        return take_connection(options_of(send, *arguments), self.environ)

    def refused(self, *arguments: str) -> str:
        """Return why a command has no connection."""
        error: click.UsageError = self.assertRaises(click.UsageError, self.connection, *arguments)
        return error.message


TEXT = """default = "local"
[local]
endpoint = "tcp://127.0.0.1:7"
[staging]
endpoint = "tcp://staging:9"
username = "ann"
password = "hush"
"""


class ContextsTests(ContextCase):
    """Which endpoint and credentials a command uses."""

    def test_chosen(self) -> None:
        """The option names the context, or else the environment, or else the file."""
        self.write(TEXT)
        self.assertEqual(self.connection().endpoint, "tcp://127.0.0.1:7")
        staging = Connection("tcp://staging:9", Credentials("ann", "hush"))
        self.assertEqual(self.connection("--context", "staging"), staging)
        self.environ["ALASKA_CONTEXT"] = "staging"
        self.assertEqual(self.connection(), staging)
        self.assertEqual(self.connection("--context", "local").credentials, Credentials())

    def test_precedence(self) -> None:
        """Options and variables precede the context: the endpoint alone, and credentials as a whole."""
        self.write(TEXT)
        self.environ["ALASKA_CONTEXT"] = "staging"
        self.environ["ALASKA_ENDPOINT"] = "tcp://other:9"
        self.assertEqual(self.connection(), Connection("tcp://other:9", Credentials("ann", "hush")))
        self.assertEqual(self.connection("-e", "tcp://mine:9").endpoint, "tcp://mine:9")
        self.assertEqual(self.connection("-u", "bob", "-p", "x").credentials, Credentials("bob", "x"))
        self.assertIn("given together", self.refused("-u", "bob"))

    def test_no_file(self) -> None:
        """Without a file there is no context, and one that is named is missing."""
        self.assertEqual(self.connection(), Connection("tcp://127.0.0.1:9999", Credentials()))
        self.assertIn("has no context staging; it has none", self.refused("--context", "staging"))

    def test_wrong_file(self) -> None:
        """A file that is not valid is named, with what is wrong."""
        for text, why in (
            ("[a", "is not valid"),
            ("a = 1", "a must be a table"),
            ("default = 1", "default must be the name of a context"),
            ("[a]\nendpont = ''", "[a] has the unknown key endpont"),
            ("[a]\nusername = 1", "username of [a] must be a text"),
            ("default = 'b'\n[a]\n", "has no context b; it has a"),
            ("x" * (contexts.MOST_OCTETS + 1), "has more than"),
        ):
            self.write(text)
            self.assertIn(why, self.refused())
            self.assertIn(str(self.file), self.refused())

    def test_changed_by_anybody(self) -> None:
        """A file that anybody can change is refused: with another endpoint, somebody else would get the password."""
        self.write("[a]\nendpoint = 'tcp://127.0.0.1:1'\n", 0o666)
        self.assertIn("chmod o-w", self.refused())

    def test_secret(self) -> None:
        """A file with a password that others can read is refused, and the password is never shown."""
        self.write(TEXT, 0o640)
        self.assertIn("chmod 600", self.refused())
        self.write(TEXT.replace("username", "user"))
        self.assertNotIn("hush", self.refused())


class CommandTests(ContextCase):
    """``alas context``."""

    def setUp(self) -> None:
        super().setUp()
        self.output, self.errors = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)

    def call(self, *arguments: str) -> str:
        """Run the command, and return what it prints."""
        before = self.output.buffer.tell()
        context.context.main(list(arguments), standalone_mode=False)
        self.output.buffer.seek(before)
        return self.output.buffer.read().decode()

    def test_life(self) -> None:
        """Contexts are added, shown, chosen and removed; only the user can read the file."""
        self.call("set", "local", "-e", "tcp://127.0.0.1:7")
        self.call("set", "staging", "-e", "tcp://staging:9", "--key", "a.cert_secret", "--server-key", "b.cert")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.connection().endpoint, "tcp://127.0.0.1:9999")
        self.assertEqual(self.connection("--context", "local").endpoint, "tcp://127.0.0.1:7")
        self.call("use", "staging")
        found = [json.loads(line) for line in self.call("list", "--json").splitlines()]
        self.assertEqual([(each["name"], each["default"]) for each in found], [("local", False), ("staging", True)])
        self.assertEqual(found[1]["security"], "curve")
        self.call("remove", "staging")
        self.assertEqual(self.call("list").splitlines()[1].split(), ["local", "tcp://127.0.0.1:7", "none"])
        self.assertEqual(self.connection().endpoint, "tcp://127.0.0.1:9999")

    def test_chosen(self) -> None:
        """No context applies where none is named until it is chosen; what is wrong with it names it."""
        self.assertIn("alas context use other chooses it", self.call("set", "other", "-e", "tcp://a:1"))
        said = self.call("set", "staging", "--key", "missing.cert_secret", "--server-key", "b.cert", "--use")
        self.assertIn("staging now; it applies where none is named", said)
        self.assertFalse(json.loads(self.call("set", "other", "-e", "tcp://a:1", "--json"))["default"])
        self.assertIn("(context staging; see alas context list)", self.refused())
        self.assertNotIn("context", self.refused("--key", "none.cert_secret", "--server-key", "b.cert"))

    def test_comments_stay(self) -> None:
        """What the user has written in the file stays."""
        self.write("# mine\n[local]\nendpoint = 'tcp://a:1' # first\n")
        self.call("set", "other", "-e", "tcp://b:1")
        self.assertIn("# first", self.file.read_text())

    def test_unknown(self) -> None:
        """A context that does not exist cannot be chosen or removed."""
        for command in ("use", "remove"):
            ended: SystemExit = self.assertRaises(SystemExit, self.call, command, "none")
            self.assertEqual(ended.code, 1)
        self.assertRaises(click.UsageError, self.call, "set", "default", "-e", "tcp://a:1")
        self.assertRaises(click.UsageError, self.call, "set", "empty")
        self.assertFalse(self.file.exists())

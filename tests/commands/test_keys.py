"""``alas keygen`` and ``alas password``, and keys on the command line of ``alas send``."""

from __future__ import annotations

import os
import stat
import unittest
from pathlib import Path

import click
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from alaska.authentication import KeyPair
from alaska.client.keys import load
from alaska.commands import keygen
from alaska.commands.credentials import Credentials
from alaska.config.certificates import read_client_keys, read_pair, read_public_key
from alaska.config.password_hashes import PasswordHash
from alaska.config.passwords import parse
from alaska.errors import ConfigurationError
from alaska.sockets import curve
from tests.commands.command_lines import connection_of
from tests.commands.test_commands import CommandCase
from tests.network_case import LogCase

NEEDS_CURVE = unittest.skipUnless(curve.is_available(), curve.NO_CURVE)


@NEEDS_CURVE
class KeygenTests(CommandCase):
    """``alas keygen``."""

    def test_files(self) -> None:
        """Both files are written, the secret one for its owner only, and the advice does not show the secret key."""
        done = self.alas("keygen", "ann")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        public, secret = self.folder / "ann.cert", self.folder / "ann.cert_secret"
        pair = read_pair(secret)
        curve.check_pair(pair, "")
        self.assertEqual(read_public_key(public), pair.public)
        self.assertNotIn(pair.secret, public.read_text())
        self.assertEqual(stat.S_IMODE(secret.stat().st_mode), 0o600)
        self.assertEqual(read_client_keys(self.folder).names, {pair.public: "ann"})
        self.assertIn(pair.public, done.stdout)
        self.assertNotIn(pair.secret, done.stdout)

    def test_never_overwrites(self) -> None:
        """If one of the files exists, nothing is written."""
        for existing in ("ann.cert", "ann.cert_secret"):
            self.write(existing, "mine")
            done = self.alas("keygen", "ann")
            self.assertEqual(done.returncode, os.EX_CANTCREAT)
            self.assertEqual(
                done.stderr, f"alas: {existing} exists already, and is not overwritten; give another name\n"
            )
            self.assertEqual([path.name for path in self.folder.glob("ann*")], [existing])
            self.assertEqual((self.folder / existing).read_text(), "mine")
            (self.folder / existing).unlink()

    def test_names(self) -> None:
        """A name may have a path; a name that is not that of a file is refused."""
        self.assertEqual(self.alas("keygen", "services/bob.cert").returncode, 0)
        self.assertTrue((self.folder / "services" / "bob.cert_secret").exists())
        self.assertEqual(self.alas("keygen", "missing/bob").returncode, os.EX_CANTCREAT)
        for name in ("", "services/", "a\nb"):
            self.assertEqual(self.alas("keygen", name).returncode, 2)


class WriteTests(SynchronousTestCase):
    """Writing a key pair."""

    def test_secret_is_not_left(self) -> None:
        """If the public file cannot be written, the secret one is removed."""
        folder = Path(self.mktemp())
        folder.mkdir()
        secret = folder / "secret"
        self.assertRaises(OSError, keygen.write_pair, folder / "none" / "public", secret, KeyPair("p", "s"))
        self.assertEqual(list(folder.iterdir()), [])


class PasswordTests(CommandCase):
    """``alas password``."""

    def test_line(self) -> None:
        """The line that is printed has the user and a hash of the first line of the input."""
        done = self.alas("password", "ann", stdin=b"s3cret\r\nmore\n")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        ((user, known),) = parse(done.stdout.encode()).items()
        assert isinstance(known, PasswordHash)
        self.assertEqual(user, b"ann")
        self.assertTrue(known.matches(b"s3cret"))
        self.assertNotIn("s3cret", done.stdout)

    def test_refused(self) -> None:
        """Names that the file cannot contain, and empty or long passwords, are refused."""
        for name in ("", "a=b", "#a", "a\nb", "a" * 256):
            self.assertEqual(self.alas("password", name, stdin=b"x").returncode, 2, name)
        for password in (b"", b"\n", b"x" * 256):
            done = self.alas("password", "ann", stdin=password)
            self.assertEqual((done.returncode, done.stdout), (1, ""))


@NEEDS_CURVE
class CredentialsTests(LogCase):
    """Keys for ``alas send`` and for client programs."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.public, self.secret = folder / "a.cert", folder / "a.cert_secret"
        self.pair = curve.new_pair()
        keygen.write_pair(self.public, self.secret, self.pair)

    def of(self, *arguments: str, **environ: str) -> Credentials:
        """Return the credentials of a command line and an environment."""
        return connection_of(*arguments, environ=environ).credentials

    def test_keys(self) -> None:
        """Keys may come from options or the environment, and options for one mechanism replace those of the other."""
        options = "--key", str(self.secret), "--server-key", str(self.public)
        variables = {"ALASKA_KEY": str(self.secret), "ALASKA_SERVER_KEY": str(self.public)}
        login = {"ALASKA_USERNAME": "joe", "ALASKA_PASSWORD": "secret"}
        for given in (self.of(*options), self.of(**variables), self.of(*options, **login)):
            self.assertEqual(given, Credentials(curve=load(self.secret, self.public)))
        self.assertNotIn(self.pair.secret, repr(given))
        self.assertEqual(self.of("-u", "joe", "-p", "x", **variables), Credentials("joe", "x"))

    def test_incomplete(self) -> None:
        """One key without the other, both mechanisms, and files without keys are refused."""
        for arguments in (
            ("--key", str(self.secret)),
            ("--server-key", str(self.public)),
            ("--key", str(self.secret), "--server-key", str(self.public), "-u", "joe"),
            ("--key", str(self.public), "--server-key", str(self.public)),
            ("--key", str(self.secret), "--server-key", "missing"),
        ):
            self.assertRaises(click.UsageError, self.of, *arguments)

    def test_mixed(self) -> None:
        """A file with keys that do not belong together is refused."""
        other = curve.new_pair()
        self.secret.write_text(self.secret.read_text().replace(self.pair.secret, other.secret))
        self.assertRaises(ConfigurationError, load, self.secret, self.public)

    def test_readable_by_others(self) -> None:
        """A secret key that other users of the machine can read is used, with a warning that does not show it."""
        load(self.secret, self.public)
        self.assertEqual(self.logged(LogLevel.warn), [])
        self.secret.chmod(0o644)
        load(self.secret, self.public)
        (warning,) = self.logged(LogLevel.warn)
        self.assertIn(f"{self.secret} can be read by other users", warning)
        self.assertNotIn(self.pair.secret, warning)

"""The password file for PLAIN."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import LogLevel

from alaska.authentication import Attempt, Entry, Mechanism, Verdict
from alaska.broker.credentials import Credentials
from alaska.broker.passwords import PasswordFile
from alaska.broker.security import Security
from tests.network_case import LogCase


class PasswordFileTests(LogCase):
    """Checking logins of users in a password file."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp()).absolute()
        self.path.write_bytes(b"joe=secret\nann=\xff\n")
        self.security = self.started()

    def started(self, is_verbose: bool = False) -> Security:
        """Return what decides by the file."""
        security = Security(lambda: Credentials(PasswordFile(self.path)), is_verbose=is_verbose)
        security.start()
        return security

    def accept(self, username: bytes, password: bytes, security: Security | None = None) -> bool:
        """Return whether a login is accepted."""
        verdicts: list[Verdict] = []
        attempt = Attempt(Mechanism.PLAIN, "192.0.2.1", username, password)
        # Each an hour after the last, so that none is delayed.
        self.now += 3600
        (security or self.security).decide(attempt, self.now, verdicts.append)
        (verdict,) = verdicts
        return verdict.entry is Entry.GRANTED

    now = 0.0

    def test_accepted(self) -> None:
        """A user of the file is accepted with its password, which may have any octets."""
        self.assertTrue(self.accept(b"joe", b"secret"))
        self.assertTrue(self.accept(b"ann", b"\xff"))

    def test_not_accepted(self) -> None:
        """A wrong or empty password, or an unknown user, is refused."""
        for name, password in (
            (b"joe", b"Secret"),
            (b"joe", b"secret "),
            (b"joe", b""),
            (b"ann", b"secret"),
            (b"eve", b"secret"),
            (b"eve", b""),
            (b"", b""),
        ):
            self.assertFalse(self.accept(name, password), (name, password))

    def test_file_changes(self) -> None:
        """A change of the file takes effect at the next login."""
        self.accept(b"joe", b"secret")
        self.path.write_bytes(b"joe=another\n")
        self.assertFalse(self.accept(b"joe", b"secret"))
        self.assertTrue(self.accept(b"joe", b"another"))

    def test_file_is_replaced(self) -> None:
        """A file that replaces it takes effect, even if size and modification time are the same."""
        self.accept(b"joe", b"secret")
        found = self.path.stat()
        other = Path(self.mktemp())
        other.write_bytes(b"joe=sEcReT\nann=\xff\n")
        os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
        other.replace(self.path)
        self.assertEqual(self.path.stat().st_mtime_ns, found.st_mtime_ns)
        self.assertFalse(self.accept(b"joe", b"secret"))

    def test_file_goes_and_comes(self) -> None:
        """While the file cannot be read, logins are refused and the error is logged once; later they are accepted."""
        self.accept(b"joe", b"secret")
        aside = self.path.with_suffix(".aside")
        self.path.rename(aside)
        for _ in range(3):
            self.assertFalse(self.accept(b"joe", b"secret"))
        self.assertEqual(
            self.logged(LogLevel.error), [f"cannot read the password file {self.path}: No such file or directory"]
        )
        aside.rename(self.path)
        self.assertTrue(self.accept(b"joe", b"secret"))

    def test_invalid_version(self) -> None:
        """A version of the file with an invalid line is not used, which is logged once; the next one is."""
        self.path.write_bytes(b"joe=$scrypt$x\nbob=1\n")
        for _ in range(3):
            self.assertTrue(self.accept(b"joe", b"secret"))
        (line,) = self.logged(LogLevel.error)
        self.assertIn(f"the passwords are left as they are: {self.path}:1: a hash must be", line)
        self.path.write_bytes(b"joe=another\n")
        self.assertTrue(self.accept(b"joe", b"another"))

    def test_verbose(self) -> None:
        """With ``is_verbose`` each login is logged with the escaped user and without the password."""
        verbose = self.started(is_verbose=True)
        self.accept(b"joe", b"secret", verbose)
        self.accept(b"joe\n", b"secret", verbose)
        self.assertEqual(self.logged(), ["joe is accepted", r"joe\n is refused"])
        self.events.clear()
        self.accept(b"joe", b"secret")
        self.assertEqual(self.logged(), [])

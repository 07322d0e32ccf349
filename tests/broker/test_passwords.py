"""The password file for PLAIN."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.passwords import Passwords, parse
from tests.network_case import LogCase

WORDS = st.binary(min_size=1).filter(lambda word: not {*b"\r\n=#"} & {*word})


class ParseTests(SynchronousTestCase):
    """Parsing the file, as CZMQ's zhash_load does, except for CR."""

    def test_users(self) -> None:
        """A line is ``user=password``; the password may contain ``=``, or be empty."""
        self.assertEqual(parse(b"joe=secret\nann=a=b=\nbob="), {b"joe": b"secret", b"ann": b"a=b=", b"bob": b""})

    def test_ignored_lines(self) -> None:
        """Comments, empty lines, and lines without ``=`` or without a user are ignored."""
        self.assertEqual(parse(b"# all=users\n\n   \njoe\n=secret\n"), {})

    def test_blanks(self) -> None:
        """Blanks are part of users and passwords, as in C."""
        self.assertEqual(parse(b" joe = two words \n"), {b" joe ": b" two words "})

    def test_last_counts(self) -> None:
        """If a user has two lines, the last one counts."""
        self.assertEqual(parse(b"joe=1\njoe=2\n"), {b"joe": b"2"})

    def test_line_ends(self) -> None:
        """Lines may end with CR LF."""
        self.assertEqual(parse(b"joe=1\r\nann=2\r\n"), {b"joe": b"1", b"ann": b"2"})

    @given(st.dictionaries(WORDS, WORDS))
    def test_any_users(self, users: dict[bytes, bytes]) -> None:
        """Any users that were written are read back."""
        self.assertEqual(parse(b"".join(b"%s=%s\n" % each for each in users.items())), users)


class AcceptTests(LogCase):
    """Checking logins."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.path.write_bytes(b"joe=secret\nann=\xff\n")
        self.passwords = Passwords(self.path)

    def test_accepted(self) -> None:
        """A user of the file is accepted with its password, which may have any octets."""
        self.assertTrue(self.passwords.accept(b"joe", b"secret"))
        self.assertTrue(self.passwords.accept(b"ann", b"\xff"))

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
            self.assertFalse(self.passwords.accept(name, password), (name, password))

    def test_no_file(self) -> None:
        """Without a file, logins are refused, and no error is logged."""
        self.assertFalse(Passwords(None).accept(b"joe", b"secret"))
        self.assertEqual(self.logged(), [])

    def test_file_changes(self) -> None:
        """A change of the file takes effect at the next login."""
        self.passwords.accept(b"joe", b"secret")
        self.path.write_bytes(b"joe=another\n")
        self.assertFalse(self.passwords.accept(b"joe", b"secret"))
        self.assertTrue(self.passwords.accept(b"joe", b"another"))

    def test_file_is_replaced(self) -> None:
        """A file that replaces it takes effect, even if size and modification time are the same."""
        self.passwords.accept(b"joe", b"secret")
        found = self.path.stat()
        other = Path(self.mktemp())
        other.write_bytes(b"joe=sEcReT\nann=\xff\n")
        os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
        other.replace(self.path)
        self.assertEqual(self.path.stat().st_mtime_ns, found.st_mtime_ns)
        self.assertFalse(self.passwords.accept(b"joe", b"secret"))

    def test_file_goes_and_comes(self) -> None:
        """While the file cannot be read, logins are refused and the error is logged once; later they are accepted."""
        self.passwords.accept(b"joe", b"secret")
        aside = self.path.with_suffix(".aside")
        self.path.rename(aside)
        for _ in range(3):
            self.assertFalse(self.passwords.accept(b"joe", b"secret"))
        self.assertEqual(
            self.logged(LogLevel.error), [f"cannot read the password file {self.path}: No such file or directory"]
        )
        aside.rename(self.path)
        self.assertTrue(self.passwords.accept(b"joe", b"secret"))

    def test_verbose(self) -> None:
        """With ``is_verbose`` each login is logged with the escaped user and without the password."""
        passwords = Passwords(self.path, is_verbose=True)
        passwords.accept(b"joe", b"secret")
        passwords.accept(b"joe\n", b"secret")
        self.assertEqual(self.logged(), ["joe is accepted", r"joe\n is refused"])
        self.events.clear()
        self.passwords.accept(b"joe", b"secret")
        self.assertEqual(self.logged(), [])

"""The format of the password file, and of the hashes in it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config.password_hashes import MOST_MEMORY, MOST_WORK, PREFIX, PasswordHash
from alaska.config.passwords import parse, plain_count, read_users
from alaska.errors import ConfigurationError

WORDS = st.binary(min_size=1).filter(lambda word: not {*b"\r\n=#"} & {*word} and not word.startswith(PREFIX))
QUICK = b"$scrypt$ln=4,r=1,p=1$"
SENTENCES = (
    "a hash must be $scrypt$ln=…,r=…,p=…$SALT$HASH, as `alas password` writes it",
    "a check of this hash would take more than N MiB, or more than N steps (N**ln * r * p)",
)
SALT, DIGEST = b"c2FsdHNhbHRzYWx0c2E", b"/".rjust(43, b"A")


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

    def test_hashes(self) -> None:
        """A password that begins with ``$scrypt$`` is a hash; the others are counted."""
        users = parse(b"joe=" + QUICK + SALT + b"$" + DIGEST + b"\nann=secret\n")
        self.assertIsInstance(users[b"joe"], PasswordHash)
        self.assertEqual(plain_count(users), 1)

    def test_invalid_hashes(self) -> None:
        """Each invalid hash is reported with file and line, and without its text."""
        text = b"joe=$scrypt$secret\nann=ok\nbob=$scrypt$ln=40,r=8,p=1$" + SALT + b"$" + DIGEST
        error = self.assertRaises(ConfigurationError, parse, text, "users")
        first, second = str(error).split("\n")
        self.assertTrue(first.startswith("users:1: a hash must be $scrypt$"), first)
        self.assertTrue(second.startswith("users:3: a check of this hash would take more than"), second)
        self.assertNotIn("secret", str(error))

    def test_unreadable(self) -> None:
        """A file that is missing, or not a regular file, is reported."""
        for path in (Path("missing"), Path()):
            error = self.assertRaises(ConfigurationError, read_users, path)
            self.assertTrue(str(error).startswith(f"{path}: "), str(error))


class HashTests(SynchronousTestCase):
    """Hashes of passwords."""

    def test_round_trip(self) -> None:
        """A new hash matches its password alone, also after it was written and read."""
        new = PasswordHash.of(b"secret")
        again = PasswordHash.parse(bytes(new))
        self.assertEqual(again, new)
        self.assertTrue(again.matches(b"secret"))
        self.assertFalse(again.matches(b"Secret"))
        self.assertNotEqual(PasswordHash.of(b"secret").salt, new.salt)

    def test_other_programs(self) -> None:
        """A hash is that of scrypt (RFC 7914) with the parameters of the text."""
        digest = hashlib.scrypt(b"secret", salt=b"saltsaltsaltsa", n=16, r=1, p=1, dklen=32)
        self.assertTrue(PasswordHash(4, 1, 1, b"saltsaltsaltsa", digest).matches(b"secret"))

    def test_decoy(self) -> None:
        """A decoy has the same parameters and matches nothing."""
        known = PasswordHash.parse(QUICK + SALT + b"$" + DIGEST)
        decoy = known.decoy()
        self.assertEqual((decoy.log_cost, decoy.block, decoy.parallel), (4, 1, 1))
        self.assertFalse(decoy.matches(b""))

    @given(st.integers(0, 99), st.integers(0, 999), st.integers(0, 9999))
    def test_bounds(self, log_cost: int, block: int, parallel: int) -> None:
        """Whatever the parameters are, a hash that is accepted takes a limited amount of memory and time."""
        text = b"$scrypt$ln=%d,r=%d,p=%d$%s$%s" % (log_cost, block, parallel, SALT, DIGEST)
        try:
            found = PasswordHash.parse(text)
        except ValueError:
            return
        self.assertLessEqual(128 * found.block * 2**found.log_cost, MOST_MEMORY)
        self.assertLessEqual(found.block * found.parallel * 2**found.log_cost, MOST_WORK)

    @given(st.binary() | st.binary(max_size=40).map(lambda text: PREFIX + text))
    def test_any_octets(self, text: bytes) -> None:
        """Any octets are a hash or not a hash."""
        try:
            PasswordHash.parse(text)
        except ValueError as error:
            # The sentences are fixed, so that they do not show the text.
            self.assertIn(re.sub("[0-9]+", "N", str(error)), SENTENCES)

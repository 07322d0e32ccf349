"""Who may ask what: roles, and the file of tokens.

A line of the file is ``USER ROLE KEY``. The key is the SHA-256 of a random token, in hexadecimal digits, or the word
``password`` or ``certificate`` for a user who logs in with the password, or whose TLS certificate has this name.
A plain hash is right for tokens: they are random, so that there is nothing to guess, and a slow hash would only cost
time on each request.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from twisted.logger import Logger

from alaska.names import printable
from alaska.system.file_version import Version

MAX_FILE_OCTETS = 2**20
PASSWORD = "password"  # noqa: S105  # a word of the file
CERTIFICATE = "certificate"
UNKNOWN = "the token is not known"
NO_TOKENS = f"{UNKNOWN}: this program was started without http/tokens"
_DIGEST_DIGITS = 64
_HEX = frozenset("0123456789abcdef")


class Role(IntEnum):
    """What a user may do; each role includes those before it."""

    NONE = 0
    VIEW = 1
    """See snapshots and metrics, and read streams."""
    SEND = 2
    """Also send requests, mail and messages to streams."""
    OPERATE = 3
    """Also change what runs: pause, resume, purge, replay dead letters."""
    ALL = 4
    """Also what cannot be undone or concerns the whole system: drain, close clients, back up."""

    @property
    def word(self) -> str:
        """The role as it is written in the file."""
        return self.name.lower()


class User(NamedTuple):
    """Who sends a request; without a name, somebody on this machine who has not logged in."""

    name: str
    role: Role


NOBODY = User("", Role.NONE)


class Key(NamedTuple):
    """What proves who a user is: the digest of a token, or a word with the user's name."""

    kind: str
    value: str


def digest(token: str) -> str:
    """Return the hash under which the file has a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Users:
    """The users of a file, which is read again when it has changed. Without a file there are none."""

    _log = Logger()

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._version: Version | None = None
        self._users: dict[Key, User] = {}
        self._complaint = ""

    @property
    def has_file(self) -> bool:
        """Whether there is a file, so that tokens can be known."""
        return self._path is not None

    def with_token(self, token: str) -> tuple[Key, User] | None:
        """Return the user of a token, and the key by which :meth:`with_key` finds the user again."""
        # The time of the lookup depends on the digest, which does not tell what to change in the token.
        key = Key("token", digest(token))
        user = self.with_key(key)
        return None if user is None else (key, user)

    def with_key(self, key: Key) -> User | None:
        """Return the user of a key, if the file still has it."""
        self._refresh()
        return self._users.get(key)

    def with_name(self, kind: str, name: str) -> tuple[Key, User]:
        """Return a user who has shown a password or a certificate; the role is ``view`` if the file names none."""
        key = Key(kind, name)
        return key, self.with_key(key) or User(name, Role.VIEW)

    def _refresh(self) -> None:
        if self._path is None:
            return
        try:
            version = Version.of(self._path)
            if version == self._version:
                return
            with self._path.open("rb") as file:
                text = file.read(MAX_FILE_OCTETS + 1)
        except OSError as error:
            self._users, self._version = {}, None
            self._complain(f"cannot read {self._path}: {error.strerror}")
            return
        self._version, self._complaint = version, ""
        self._users, faults = parse(text[:MAX_FILE_OCTETS].decode("utf-8", "replace"))
        if len(text) > MAX_FILE_OCTETS:
            faults.append(f"only the first {MAX_FILE_OCTETS} octets are read")
        for fault in faults[:10]:
            self._log.error("{path}: {fault}", path=self._path, fault=fault)

    def _complain(self, sentence: str) -> None:
        if sentence != self._complaint:
            self._complaint = sentence
            self._log.error("{sentence}; nobody can log in by HTTP with a token", sentence=sentence)


def parse(text: str) -> tuple[dict[Key, User], list[str]]:
    """Return the users of a file by their keys, and a sentence for each line that is wrong; it has no effect."""
    users: dict[Key, User] = {}
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 3:
            faults.append(f"line {number} must be USER ROLE KEY")
            continue
        name, word, key = words
        role = next((role for role in Role if role and role.word == word), None)
        if role is None:
            faults.append(f"line {number}: the role must be view, send, operate or all, not {printable(word[:40])}")
        elif key in (PASSWORD, CERTIFICATE):
            users[Key(key, name)] = User(name, role)
        elif len(key) == _DIGEST_DIGITS and not set(key.lower()) - _HEX:
            users[Key("token", key.lower())] = User(name, role)
        else:
            # Not shown: it may be a token instead of its hash.
            faults.append(f"line {number}: the key must be a SHA-256 in hexadecimal digits, password or certificate")
    return users, faults

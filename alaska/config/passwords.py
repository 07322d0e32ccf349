"""The format of the password file for PLAIN: lines ``user=password``, as the C broker reads them, or ``user=hash``."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from alaska.config.certificates import MOST_FAULTS, MOST_LIST_OCTETS, read_bounded
from alaska.config.password_hashes import PREFIX, PasswordHash
from alaska.errors import ConfigurationError

Secret: TypeAlias = "bytes | PasswordHash"  # noqa: S105  # it is a type
"""What proves a user's identity: a password, or the hash of one."""
Users: TypeAlias = "dict[bytes, Secret]"


def read_users(path: Path) -> Users:
    """Return the users of a password file.

    :raises ConfigurationError: it cannot be read, or has an invalid line.
    """
    return parse(read_bounded(path, MOST_LIST_OCTETS), str(path))


def parse(text: bytes, source: str = "") -> Users:
    """Return the passwords by user. Blanks are part of both; if a user has several lines, the last one counts.

    A line is ignored if it begins with ``#`` or has no ``=``, or no user before it. A password that begins with
    ``$scrypt$`` is a hash.

    :raises ConfigurationError: a hash is not valid. The text has a line for each of them, with source and number.
    """
    users: Users = {}
    faults = []
    for number, line in enumerate(text.split(b"\n"), 1):
        name, equals, password = line.removesuffix(b"\r").partition(b"=")
        if not name or not equals or line.startswith(b"#"):
            continue
        try:
            users[name] = PasswordHash.parse(password) if password.startswith(PREFIX) else password
        except ValueError as error:
            faults.append(f"{source}:{number}: {error}")
    if faults:
        raise ConfigurationError("\n".join(faults[:MOST_FAULTS]))
    return users


def plain_count(users: Users) -> int:
    """Return how many users have a password that is not hashed."""
    return sum(isinstance(secret, bytes) for secret in users.values())

"""Hashes of passwords by scrypt (RFC 7914), in the form ``$scrypt$ln=14,r=8,p=5$SALT$HASH`` (PHC string format).

The parameters are part of the text, so that they can be raised later without making older hashes invalid. They are
bounded when they are read: nobody can make the broker take gigabytes or minutes by a line of the password file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

PREFIX: Final = b"$scrypt$"
LOG_COST, BLOCK, PARALLEL = 14, 8, 5
"""The parameters of new hashes: 16 MiB of memory, and an eighth of a second on a processor of 2023."""
SALT_OCTETS: Final = 16
HASH_OCTETS: Final = 32
MOST_MEMORY: Final = 128 * 2**20
MOST_WORK: Final = 2**22
"""The maximum of 2**ln * r * p: six times that of new hashes, and less than two seconds."""
_TEXT: Final = re.compile(
    rb"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,3}),p=([0-9]{1,4})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})"
)
_EXPECTED: Final = "a hash must be $scrypt$ln=…,r=…,p=…$SALT$HASH, as `alas password` writes it"


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """The hash of a password with its salt and parameters; ``log_cost`` is the binary logarithm of scrypt's N."""

    log_cost: int
    block: int
    parallel: int
    salt: bytes
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: bytes) -> PasswordHash:
        """Return a new hash of a password; this takes as long as a check."""
        salt = secrets.token_bytes(SALT_OCTETS)
        empty = cls(LOG_COST, BLOCK, PARALLEL, salt, bytes(HASH_OCTETS))
        return cls(LOG_COST, BLOCK, PARALLEL, salt, empty._calculate(password))

    @classmethod
    def parse(cls, text: bytes) -> PasswordHash:
        """Return the hash of a text.

        :raises ValueError: the text is not valid, or a check would take too much time or memory. The message does not
            contain the text.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(_EXPECTED)
        log_cost, block, parallel = (int(found[number]) for number in (1, 2, 3))
        if not (log_cost and block and parallel):
            raise ValueError(_EXPECTED)
        if 128 * block * 2**log_cost > MOST_MEMORY or block * parallel * 2**log_cost > MOST_WORK:
            raise ValueError(
                f"a check of this hash would take more than {MOST_MEMORY // 2**20} MiB, or more than "
                f"{MOST_WORK} steps (2**ln * r * p)"
            )
        try:
            salt, digest = (base64.b64decode(_padded(found[number]), validate=True) for number in (4, 5))
        except binascii.Error:
            raise ValueError(_EXPECTED) from None
        return cls(log_cost, block, parallel, salt, digest)

    def decoy(self) -> PasswordHash:
        """Return a hash of no known password with the same parameters."""
        digest = secrets.token_bytes(len(self.digest))
        return PasswordHash(self.log_cost, self.block, self.parallel, secrets.token_bytes(len(self.salt)), digest)

    def __bytes__(self) -> bytes:
        salt, digest = (base64.b64encode(part).rstrip(b"=") for part in (self.salt, self.digest))
        return b"$scrypt$ln=%d,r=%d,p=%d$%s$%s" % (self.log_cost, self.block, self.parallel, salt, digest)

    def matches(self, password: bytes) -> bool:
        """Return whether this is the hash of a password; to be called outside the reactor's thread."""
        try:
            return hmac.compare_digest(self._calculate(password), self.digest)
        except (MemoryError, ValueError):
            # Too little memory at the moment.
            return False

    def _calculate(self, password: bytes) -> bytes:
        n = 2**self.log_cost
        # What OpenSSL counts, and a little more.
        memory = 128 * self.block * (n + self.parallel + 2) + 2**20
        return hashlib.scrypt(
            password, salt=self.salt, n=n, r=self.block, p=self.parallel, maxmem=memory, dklen=len(self.digest)
        )


def _padded(text: bytes) -> bytes:
    return text + b"=" * (-len(text) % 4)

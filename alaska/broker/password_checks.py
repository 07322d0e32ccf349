"""Checks of hashed passwords: in threads, of a bounded number, each only once, with remembered results.

A check takes a tenth of a second of processor time. So the number of waiting checks is bounded, for all and for each
address, and the addresses take turns. Connections that give the same user name and password share one check. Its result
is remembered, so that a thousand workers that connect again do not need a thousand checks.

What is remembered is a keyed hash, with a random key that never leaves the process, of user name, password and stored
hash: a password that was changed in the file does not match any more.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from alaska.config.password_hashes import PasswordHash

MOST_WAITING: Final = 1000
MOST_WAITING_OF_ADDRESS: Final = 50
MOST_SHARING: Final = 10_000
"""The maximum number of connections that wait for the same check."""
MOST_REMEMBERED: Final = 10_000
RIGHT_SECONDS: Final = 3600.0
"""How long a right password is remembered after it was last given."""
WRONG_SECONDS: Final = 60.0
"""How long a wrong one is remembered: clients with an old password repeat it."""

Answer: TypeAlias = Callable[["bool | None"], None]
"""Called once: with whether the password is right, or with None if there was no room to check it."""
Run: TypeAlias = Callable[[Callable[[], bool], Callable[[bool], None]], None]
"""Calls the first function in a thread, and the second one with its result in the reactor's thread."""


class PasswordChecks:
    """Checks passwords with ``run``, of which at most ``threads`` calls are in progress; times are in seconds."""

    def __init__(self, run: Run, threads: int) -> None:
        self._run = run
        self._free = threads
        self._key = secrets.token_bytes(32)
        # In the order of the last use.
        self._remembered: dict[bytes, tuple[bool, float]] = {}
        self._sharing: dict[bytes, list[Answer]] = {}
        # In the order in which the addresses have their turns.
        self._waiting: dict[str, deque[tuple[bytes, PasswordHash, bytes]]] = {}
        self.waiting = 0
        """The number of checks that wait for a thread."""

    def check(
        self, username: bytes, password: bytes, known: PasswordHash, address: str, now: float, answer: Answer
    ) -> None:
        """Check a password, at once or in a thread, and call ``answer``."""
        fields = (username, password, bytes(known))
        text = b"".join(len(each).to_bytes(4, "big") + each for each in fields)
        digest = hmac.digest(self._key, text, "sha256")
        remembered = self._recall(digest, now)
        if remembered is not None:
            answer(remembered)
        elif digest in self._sharing:
            sharing = self._sharing[digest]
            if len(sharing) < MOST_SHARING:
                sharing.append(answer)
            else:
                answer(None)
        elif self._free or self._make_room(address):
            self._sharing[digest] = [answer]
            self._waiting.setdefault(address, deque()).append((digest, known, password))
            self.waiting += 1
            self._start(now)
        else:
            answer(None)

    def _make_room(self, address: str) -> bool:
        """Return whether a check of an address may wait; it may take the place of one of an address with more."""
        of_address = len(self._waiting.get(address, ()))
        if of_address >= MOST_WAITING_OF_ADDRESS:
            return False
        if self.waiting < MOST_WAITING:
            return True
        most = max(self._waiting.values(), key=len)
        if len(most) <= of_address + 1:
            return False
        digest, _known, _password = most.pop()
        self.waiting -= 1
        for answer in self._sharing.pop(digest):
            answer(None)
        return True

    def _recall(self, digest: bytes, now: float) -> bool | None:
        is_right, until = self._remembered.pop(digest, (False, float("-inf")))
        if until <= now:
            return None
        self._remembered[digest] = is_right, max(until, now + RIGHT_SECONDS) if is_right else until
        return is_right

    def _start(self, now: float) -> None:
        """Begin checks while threads are free: one of the address whose turn it is, which then is the last."""
        while self._free and self._waiting:
            address = next(iter(self._waiting))
            waiting = self._waiting.pop(address)
            digest, known, password = waiting.popleft()
            self.waiting -= 1
            if waiting:
                self._waiting[address] = waiting
            self._free -= 1
            self._run(partial(known.matches, password), partial(self._checked, digest, now))

    def _checked(self, digest: bytes, now: float, is_right: bool) -> None:
        self._free += 1
        self._remembered[digest] = is_right, now + (RIGHT_SECONDS if is_right else WRONG_SECONDS)
        if len(self._remembered) > MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        answers = self._sharing.pop(digest)
        self._start(now)
        for answer in answers:
            answer(is_right)

    def forget(self) -> None:
        """Forget all results."""
        self._remembered.clear()

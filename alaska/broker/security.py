"""Who may connect to the broker: decides about each connection by passwords and keys, which can be replaced.

A decision has no side effects on connections that exist. :meth:`Security.is_valid` says whether the password or key
with which such a connection was accepted is still valid.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Final, TypeVar

from twisted.logger import Logger

from alaska.authentication import Attempt, Entry, KeyPair, Mechanism, Verdict
from alaska.broker.connection_log import ConnectionLog, Reason, SecurityCounters
from alaska.broker.credentials import Credentials, read_credentials
from alaska.broker.login_throttle import LoginThrottle, throttle_key
from alaska.broker.password_checks import PasswordChecks, Run
from alaska.broker.passwords import is_same
from alaska.config import BrokerSettings
from alaska.config.certificates import KEY_CHARACTERS
from alaska.config.password_hashes import PasswordHash
from alaska.config.passwords import Secret, Users
from alaska.daemon.reload import Change
from alaska.names import printable

K = TypeVar("K")
V = TypeVar("V")

THREADS: Final = 2
"""The number of threads that check hashed passwords."""
_CURVE: Final = "curve:"
_PLAIN: Final = "plain:"


def run_here(function: Callable[[], bool], done: Callable[[bool], None]) -> None:
    """Call both functions in this thread: for passwords that are not hashed, and for tests."""
    done(function())


class Security:
    """Decides about connections by credentials, which ``load`` returns; nobody is accepted before :meth:`start`.

    ``run`` calls functions in threads. With ``is_verbose`` each login is logged.
    """

    _log = Logger()

    def __init__(self, load: Callable[[], Credentials], run: Run = run_here, is_verbose: bool = False) -> None:
        self._load = load
        self._is_verbose = is_verbose
        self._credentials = Credentials()
        self._users: Users = {}
        self._users_read_last: Users = {}
        self._decoy: PasswordHash | None = None
        self._login_key = secrets.token_bytes(16)
        self._throttle = LoginThrottle()
        self._refusals = ConnectionLog()
        self._checks = PasswordChecks(run, THREADS)
        self.counters = SecurityCounters()
        self.replaced: Callable[[], None] = lambda: None
        """Called when the credentials have been replaced."""

    @property
    def server_keys(self) -> KeyPair | None:
        """The broker's own keys."""
        return self._credentials.server_keys

    def start(self) -> None:
        """Load the credentials, and log the warnings about them.

        :raises ConfigurationError: they cannot be loaded.
        """
        self._install(self._load())

    def prepare(self, settings: BrokerSettings) -> Change:
        """Read all passwords and keys again, for a reload (:mod:`alaska.daemon.reload`).

        :raises ConfigurationError: a file cannot be read, or is not valid.
        """
        credentials = read_credentials(settings)

        def apply() -> None:
            self._is_verbose = settings.auth_verbose
            self.replace(credentials)

        return Change(apply, self.differences(credentials))

    def replace(self, credentials: Credentials) -> None:
        """Use other credentials from now on; the keys of the broker itself stay until it is restarted."""
        self._install(credentials)
        self.replaced()

    def differences(self, credentials: Credentials) -> tuple[str, ...]:
        """Return sentences about what differs from the credentials in force."""
        old = self._credentials
        sentences = [
            *_differences(self._users, users_of(credentials), lambda user, _of: f"the password of {printable(user)}"),
            *_differences(old.names, credentials.names, lambda key, of: f"the key {key} of {printable(of[key])}"),
        ]
        if old.server_keys != credentials.server_keys:
            sentences.append("the broker's own key takes effect after a restart")
        return tuple(sentences)

    def _install(self, credentials: Credentials) -> None:
        for warning in credentials.warnings:
            if warning not in self._credentials.warnings:
                self._log.warn("{sentence}", sentence=warning)
        self._credentials = credentials
        self._set_users(users_of(credentials))
        self._users_read_last = self._users

    def _set_users(self, users: Users) -> None:
        self._users = users
        self._checks.forget()
        hashed = next((secret for secret in users.values() if isinstance(secret, PasswordHash)), None)
        self._decoy = None if hashed is None else hashed.decoy()

    def decide(self, attempt: Attempt, now: float, answer: Callable[[Verdict], None]) -> None:
        """Decide about a connection at a time of a monotonic clock, in seconds; ``answer`` is called once."""
        if attempt.mechanism is Mechanism.PLAIN:
            self._decide_password(attempt, now, answer)
        elif attempt.mechanism is Mechanism.CURVE:
            answer(self._decide_key(attempt))
        else:
            answer(Verdict(Entry.GRANTED))

    def _decide_key(self, attempt: Attempt) -> Verdict:
        name = self._credentials.names.get(attempt.key)
        if self._is_verbose:
            words = "the key {key} is refused" if name is None else "the key {key} of {name} is accepted"
            self._log.info(words, key=attempt.key, name=printable(name or ""))
        if name is None:
            self.counters.curve_refused += 1
            self._refusals.note(Reason.KEY, attempt.address, f"a client with the key {attempt.key}")
            return Verdict(Entry.REFUSED)
        self.counters.curve_accepted += 1
        return Verdict(Entry.GRANTED, 0.0, name.encode(), f"{_CURVE}{attempt.key}{name}")

    def _decide_password(self, attempt: Attempt, now: float, answer: Callable[[Verdict], None]) -> None:
        key = throttle_key(attempt.address)
        delay = self._throttle.delay(key, now)
        if delay is None:
            answer(self._unchecked(attempt))
            return
        self._refresh()
        known = self._users.get(attempt.username)

        def checked(is_right: bool | None) -> None:
            if is_right is None:
                answer(self._unchecked(attempt))
            elif is_right and known is not None:
                self.counters.plain_accepted += 1
                login = self._login_of(attempt.username, known)
                answer(Verdict(Entry.GRANTED, delay or 0.0, attempt.username, login))
            else:
                self._throttle.failed(key, now)
                self.counters.plain_refused += 1
                self._refusals.note(Reason.PASSWORD, attempt.address, self._shown(attempt.username))
                answer(Verdict(Entry.REFUSED, delay or 0.0))
            if self._is_verbose and is_right is not None:
                words = "{user} is accepted" if is_right else "{user} is refused"
                self._log.info(words, user=printable(attempt.username))

        to_check = known if known is not None else self._decoy or b""
        if isinstance(to_check, bytes):
            is_right = is_same(attempt.password, to_check) & (known is not None)
            if is_right or self._decoy is None:
                checked(is_right)
                return
            to_check, known = self._decoy, None
        # A wrong password takes the same time for a user whose password is hashed, is not hashed, or who is unknown:
        # the time does not reveal which users there are.
        self._checks.check(attempt.username, attempt.password, to_check, key, now, checked)

    def _unchecked(self, attempt: Attempt) -> Verdict:
        self.counters.unchecked += 1
        self._refusals.note(Reason.BUSY, attempt.address, self._shown(attempt.username))
        return Verdict(Entry.LATER)

    def _shown(self, username: bytes) -> str:
        """Return a user for the log; not the name of an unknown one, who may have typed the password instead."""
        if username in self._users:
            return printable(username)
        return f"an unknown user (a name of {len(username)} octets)"

    def _refresh(self) -> None:
        """Read the password file if it has changed, without a signal."""
        passwords = self._credentials.passwords
        if passwords is None:
            return
        if passwords.refresh():
            self._set_users(passwords.users)
            self._users_read_last = passwords.users
            self.replaced()
        elif passwords.users is not self._users:
            # The file cannot be read. Existing connections stay.
            self._set_users(passwords.users)

    def _login_of(self, username: bytes, secret: Secret) -> str:
        digest = hmac.digest(self._login_key, username + b"=" + bytes(secret), "sha256")
        return f"{_PLAIN}{username.hex()}:{digest[:16].hex()}"

    def is_valid(self, login: str) -> bool:
        """Return whether a connection with this ``login`` of its verdict would be accepted again."""
        if login.startswith(_CURVE):
            key, name = login.removeprefix(_CURVE)[:KEY_CHARACTERS], login.removeprefix(_CURVE)[KEY_CHARACTERS:]
            return self._credentials.names.get(key) == name
        if login.startswith(_PLAIN):
            username = bytes.fromhex(login.removeprefix(_PLAIN).partition(":")[0])
            secret = self._users_read_last.get(username)
            return secret is not None and hmac.compare_digest(self._login_of(username, secret), login)
        return True

    def tick(self, now: float) -> None:
        """Log refused connections when it is time to; to be called several times a second."""
        self._refusals.tick(now)


def users_of(credentials: Credentials) -> Users:
    """Return the users that have a password."""
    return credentials.users if credentials.passwords is None else credentials.passwords.users


def _differences(old: dict[K, V], new: dict[K, V], name: Callable[[K, dict[K, V]], str]) -> list[str]:
    """Return a sentence for each entry that was added, removed or changed."""
    return [
        *(f"{name(key, new)} is added" for key in new if key not in old),
        *(f"{name(key, old)} is removed" for key in old if key not in new),
        *(f"{name(key, new)} has changed" for key in new if key in old and old[key] != new[key]),
    ]

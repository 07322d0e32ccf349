"""Who may connect to the broker, and what becomes of sessions when passwords or keys are removed."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from alaska.authentication import Attempt, Bind, CurveKeys, Entry, KeyPair, Mechanism, Verdict
from alaska.broker.credentials import Credentials, read_credentials
from alaska.broker.exposure import exposed
from alaska.broker.limits import Limits
from alaska.broker.password_checks import MOST_WAITING, MOST_WAITING_OF_ADDRESS, RIGHT_SECONDS, WRONG_SECONDS
from alaska.broker.security import THREADS, Security
from alaska.broker.service import BrokerService
from alaska.client import Client
from alaska.config import BrokerSettings
from alaska.config.password_hashes import PasswordHash
from alaska.errors import ConfigurationError, Refused
from alaska.sockets import curve
from alaska.store.memory import MemoryStore
from tests.config.test_certificates import OTHER, PUBLIC
from tests.network_case import ENDPOINT, LogCase, NetworkCase

SALT = b"saltsaltsaltsalt"
NEEDS_CURVE = unittest.skipUnless(curve.is_available(), curve.NO_CURVE)


def quick_hash(password: bytes) -> PasswordHash:
    """Return a hash that takes little time."""
    empty = PasswordHash(1, 1, 1, SALT, bytes(32))
    return replace(empty, digest=empty._calculate(password))


class HashedCase(LogCase):
    """Users with hashed passwords; the test runs the checks of the threads."""

    def setUp(self) -> None:
        super().setUp()
        self.running: list[tuple[Callable[[], bool], Callable[[bool], None]]] = []
        self.users = {b"joe": quick_hash(b"secret"), b"ann": quick_hash(b"other")}
        self.security = Security(lambda: Credentials(users=dict(self.users)), lambda *call: self.running.append(call))
        self.security.start()
        self.now = 0.0

    def log_in(self, username: bytes, password: bytes, address: str = "192.0.2.1") -> list[Verdict]:
        """Return the list that gets the verdict on a login."""
        verdicts: list[Verdict] = []
        self.security.decide(Attempt(Mechanism.PLAIN, address, username, password), self.now, verdicts.append)
        return verdicts

    def run_checks(self) -> int:
        """Run all checks; return their number."""
        count = 0
        while self.running:
            check, done = self.running.pop(0)
            done(check())
            count += 1
        return count

    def entries(self, *logins: list[Verdict]) -> list[Entry | None]:
        """Return the entries of verdicts, or None for those that are not there yet."""
        return [verdicts[0].entry if verdicts else None for verdicts in logins]


class HashedTests(HashedCase):
    """Checks of hashed passwords."""

    def test_in_threads(self) -> None:
        """A login is decided when its check is done, and at most two checks run at the same time."""
        logins = [self.log_in(b"joe", b"secret"), self.log_in(b"ann", b"secret"), self.log_in(b"eve", b"secret")]
        self.assertEqual(self.entries(*logins), [None] * 3)
        self.assertEqual(len(self.running), THREADS)
        self.assertEqual(self.run_checks(), 3)
        self.assertEqual(self.entries(*logins), [Entry.GRANTED, Entry.REFUSED, Entry.REFUSED])
        self.assertEqual(logins[0][0].user, b"joe")

    def test_not_hashed(self) -> None:
        """Among users with hashes, a wrong password of one without takes a check as well, and the right one none."""
        self.security.replace(Credentials(users={**self.users, b"old": b"clear"}))
        self.assertEqual(self.entries(self.log_in(b"old", b"clear")), [Entry.GRANTED])
        wrong = self.log_in(b"old", b"wrong")
        self.assertEqual(self.entries(wrong), [None])
        self.assertEqual(self.run_checks(), 1)
        self.assertEqual(self.entries(wrong), [Entry.REFUSED])

    def test_shared_and_remembered(self) -> None:
        """A thousand logins with the same password need one check, and so does a login an hour after the last."""
        logins = [self.log_in(b"joe", b"secret") for _ in range(1000)]
        self.assertEqual(self.run_checks(), 1)
        self.now += RIGHT_SECONDS - 1
        logins.append(self.log_in(b"joe", b"secret"))
        self.now += RIGHT_SECONDS - 1
        logins.append(self.log_in(b"joe", b"secret"))
        self.assertEqual(set(self.entries(*logins)), {Entry.GRANTED})
        self.now += RIGHT_SECONDS
        self.log_in(b"joe", b"secret")
        self.assertEqual(self.run_checks(), 1)

    def test_wrong_is_remembered(self) -> None:
        """A wrong password is remembered for a minute, also if it is repeated."""
        self.log_in(b"joe", b"wrong")
        self.run_checks()
        self.now += WRONG_SECONDS / 2
        self.assertEqual(self.entries(self.log_in(b"joe", b"wrong")), [Entry.REFUSED])
        self.now += WRONG_SECONDS / 2
        self.assertEqual(self.entries(self.log_in(b"joe", b"wrong")), [None])

    def test_changed(self) -> None:
        """A password that was changed is not remembered."""
        self.log_in(b"joe", b"secret")
        self.run_checks()
        self.security.replace(Credentials(users={b"joe": quick_hash(b"new")}))
        login = self.log_in(b"joe", b"secret")
        self.run_checks()
        self.assertEqual(self.entries(login), [Entry.REFUSED])

    def test_many_of_one_address(self) -> None:
        """Waiting checks are limited for each address, and the addresses take turns."""
        flood = [self.log_in(b"joe", b"guess%d" % number) for number in range(200)]
        later = [entry for entry in self.entries(*flood) if entry is Entry.LATER]
        self.assertEqual(len(later), 200 - MOST_WAITING_OF_ADDRESS - THREADS)
        self.assertEqual(self.security.counters.unchecked, len(later))
        login = self.log_in(b"ann", b"other", "198.51.100.1")
        for _ in range(2 + THREADS):
            check, done = self.running.pop(0)
            done(check())
        self.assertEqual(self.entries(login), [Entry.GRANTED])

    def test_many_addresses(self) -> None:
        """If a few addresses take all the room for checks, one of another address takes the place of one of theirs."""
        floods = [
            [self.log_in(b"joe", b"%d-%d" % (address, number), f"192.0.2.{address}") for number in range(60)]
            for address in range(MOST_WAITING // MOST_WAITING_OF_ADDRESS)
        ]
        before = self.security.counters.unchecked
        login = self.log_in(b"ann", b"other", "198.51.100.1")
        self.assertEqual(self.entries(login), [None])
        self.assertEqual(self.security.counters.unchecked, before + 1)
        for _ in range(len(floods) + 1 + THREADS):
            check, done = self.running.pop(0)
            done(check())
        self.assertEqual(self.entries(login), [Entry.GRANTED])


class ReplaceTests(HashedCase):
    """Credentials that are replaced."""

    def login_of(self, username: bytes, password: bytes) -> str:
        """Return what identifies the password of a login."""
        verdicts = self.log_in(username, password)
        self.run_checks()
        return verdicts[0].login

    def test_logins(self) -> None:
        """Logins with removed or changed passwords become invalid, all others stay valid."""
        joe, ann = self.login_of(b"joe", b"secret"), self.login_of(b"ann", b"other")
        credentials = Credentials(users={b"joe": self.users[b"joe"], b"ann": quick_hash(b"new"), b"bob": b"x"})
        differences = self.security.differences(credentials)
        self.assertEqual(differences, ("the password of bob is added", "the password of ann has changed"))
        self.security.replace(credentials)
        self.assertEqual([self.security.is_valid(login) for login in (joe, ann, "")], [True, False, True])
        self.security.replace(Credentials())
        self.assertFalse(self.security.is_valid(joe))

    def test_no_secrets(self) -> None:
        """No password or hash is in the sentences, in logins, or in the representation of an attempt."""
        texts = [*self.security.differences(Credentials(users={b"joe": b"hunter2"})), self.login_of(b"joe", b"secret")]
        texts += [
            repr(Credentials(users={b"joe": b"hunter2"})),
            repr(Attempt(Mechanism.PLAIN, "a", b"joe", b"hunter2")),
        ]
        for text in texts:
            self.assertNotIn("hunter2", text)
            self.assertNotIn(self.users[b"joe"].digest.hex()[:8], text)

    def test_keys(self) -> None:
        """A login by a key becomes invalid when the key is removed, or belongs to another user."""
        security = Security(lambda: Credentials(names={PUBLIC: "ann", OTHER: "bob"}))
        security.start()
        verdicts: list[Verdict] = []
        for key in (PUBLIC, OTHER, PUBLIC[::-1]):
            security.decide(Attempt(Mechanism.CURVE, "192.0.2.1", key=key), 0.0, verdicts.append)
        self.assertEqual([verdict.user for verdict in verdicts], [b"ann", b"bob", b""])
        self.assertEqual((security.counters.curve_accepted, security.counters.curve_refused), (2, 1))
        security.tick(0.0)
        security.tick(2.0)
        (line,) = self.logged(LogLevel.warn)
        self.assertIn(f"a client with the key {PUBLIC[::-1]}, from 192.0.2.1", line)
        security.replace(Credentials(names={PUBLIC: "ann", OTHER: "carol"}))
        self.assertEqual([security.is_valid(verdict.login) for verdict in verdicts], [True, False, True])


class SessionTests(NetworkCase):
    """Sessions of clients whose keys are removed."""

    def test_removed_key(self) -> None:
        """A client whose key is removed loses its session and gets no other; the clients with other keys stay."""
        names = {PUBLIC: "ann", OTHER: "bob"}
        security = Security(lambda: Credentials(names=names))
        service = BrokerService(
            self.reactor, self.process, MemoryStore, [Bind(ENDPOINT, Mechanism.CURVE)], Limits(), security
        )
        service.startService()
        clients = {}
        for key, name in names.items():
            clients[name] = self.client(name, curve=CurveKeys(KeyPair(key, "secret"), "server"), credit=1)
        clients["ann"].send_to("bob", "before")
        self.pass_time(1)
        assert service.broker is not None
        security.replace(Credentials(names={OTHER: "bob"}))
        self.assertEqual([client.address for client in service.broker.clients], [b"bob"])
        clients["ann"].send_to("bob", "after")
        self.pass_time(10)
        self.assertEqual([client.address for client in service.broker.clients], [b"bob"])
        self.assertTrue(clients["bob"].is_connected)
        self.assertFalse(clients["ann"].is_connected)
        self.assertIn("ann: its password or key is not valid any more", self.logged(LogLevel.warn))
        refused = Client(
            ENDPOINT, "", network=self.network, reactor=self.reactor, curve=CurveKeys(KeyPair(PUBLIC, "s"), "k")
        )
        connecting = refused.connect()
        self.network.run()
        self.failureResultOf(connecting, Refused)
        security.replace(Credentials(names=names))
        self.pass_time(3)
        self.assertTrue(clients["ann"].is_connected)
        service.stopService()


class FilesTests(LogCase):
    """Reading the files that the settings name."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def settings(self, *mechanisms: Mechanism) -> BrokerSettings:
        """Return settings with an endpoint for each mechanism."""
        return BrokerSettings(
            endpoints=tuple(f"inproc://{mechanism.value}" for mechanism in mechanisms),
            bind_mechanisms=tuple(mechanism.value for mechanism in mechanisms),
            password_file=Path("users"),
            client_keys=Path("keys"),
            key_file=Path("broker.key"),
        )

    def write_pair(self, pair: KeyPair, mode: int = 0o600) -> None:
        """Write the keys of the broker."""
        path = self.folder / "broker.key"
        path.write_text(f'curve\n    public-key = "{pair.public}"\n    secret-key = "{pair.secret}"\n')
        path.chmod(mode)

    def test_null(self) -> None:
        """Without security, no file is read."""
        self.assertEqual(read_credentials(self.settings(Mechanism.NULL), self.folder), Credentials())

    @NEEDS_CURVE
    def test_all(self) -> None:
        """Passwords and keys are read, with warnings of plain passwords and of a key that others can read."""
        pair = curve.new_pair()
        self.write_pair(pair, 0o644)
        users = self.folder / "users"
        users.write_text(f"joe=secret\nann={bytes(quick_hash(b'x')).decode()}\n")
        users.chmod(0o644)
        (self.folder / "keys").write_text(f"ann={PUBLIC}\n")
        found = read_credentials(self.settings(*Mechanism), self.folder)
        self.assertEqual(found.server_keys, pair)
        self.assertEqual(found.names, {PUBLIC: "ann"})
        plain, *readable = found.warnings
        self.assertIn("1 of 2 passwords are not hashed", plain)
        for name, sentence in zip(("users", "broker.key"), readable, strict=True):
            self.assertIn(f"{self.folder / name} can be read by other users", sentence)

    @NEEDS_CURVE
    def test_writable_by_all(self) -> None:
        """There is a warning if each user of the machine may add keys or passwords."""
        self.write_pair(curve.new_pair())
        users, keys = self.folder / "users", self.folder / "keys"
        users.write_text(f"ann={bytes(quick_hash(b'x')).decode()}\n")
        keys.mkdir()
        for mode, count in ((0o700, 0), (0o777, 2)):
            users.chmod(mode)
            keys.chmod(mode)
            self.assertEqual(len(read_credentials(self.settings(*Mechanism), self.folder).warnings), count)

    @NEEDS_CURVE
    def test_faults(self) -> None:
        """All faults are reported at once, with the setting, the file and the line, and without a secret."""
        (self.folder / "users").write_text("joe=$scrypt$hunter2\n")
        (self.folder / "keys").write_text("ann=hunter2\n")
        pair = curve.new_pair()
        self.write_pair(KeyPair(PUBLIC, pair.secret))
        error = self.assertRaises(ConfigurationError, read_credentials, self.settings(*Mechanism), self.folder)
        passwords, key, keys = str(error).split("\n")
        self.assertTrue(passwords.startswith(f"server/auth/plain: {self.folder / 'users'}:1: "), passwords)
        self.assertTrue(key.startswith("mlm_server/security/key: "), key)
        self.assertTrue(keys.startswith(f"server/auth/curve: {self.folder / 'keys'}:1: "), keys)
        self.assertNotIn("hunter2", str(error))
        self.assertNotIn(pair.secret, str(error))

    @NEEDS_CURVE
    def test_reload(self) -> None:
        """A reload replaces all passwords and keys, or none if one file is not valid."""
        settings = replace(
            self.settings(*Mechanism),
            password_file=self.folder / "users",
            client_keys=self.folder / "keys",
            key_file=self.folder / "broker.key",
        )
        self.write_pair(curve.new_pair())
        (self.folder / "users").write_text("joe=one\n")
        (self.folder / "keys").write_text(f"ann={PUBLIC}\n")
        security = Security(lambda: read_credentials(settings))
        security.start()
        (self.folder / "users").write_text("joe=two\n")
        (self.folder / "keys").write_text("ann=\n")
        self.assertRaises(ConfigurationError, security.prepare, settings)
        (self.folder / "keys").write_text(f"ann={OTHER}\n")
        change = security.prepare(settings)
        self.assertEqual(
            change.sentences,
            (
                "the password of joe has changed",
                f"the key {OTHER} of ann is added",
                f"the key {PUBLIC} of ann is removed",
            ),
        )
        change.apply()
        verdicts: list[Verdict] = []
        for key in (PUBLIC, OTHER):
            security.decide(Attempt(Mechanism.CURVE, "192.0.2.1", key=key), 0.0, verdicts.append)
        self.assertEqual([verdict.entry for verdict in verdicts], [Entry.REFUSED, Entry.GRANTED])


class ExposedTests(SynchronousTestCase):
    """Endpoints that other machines can reach."""

    def reported(self, *binds: Bind) -> Sequence[str]:
        """Return the endpoints of the warnings."""
        return [bind.endpoint for bind in binds if exposed([bind])]

    def test_reachable(self) -> None:
        """An endpoint without security is reported unless it is on the loopback interface, ipc or inproc."""
        public = [
            "tcp://*:9999",
            "tcp://0.0.0.0:1",
            "tcp://[::]:1",
            "tcp://192.0.2.1:1",
            "tcp://eth0:1",
            "tcp://[fe80::1%eth0]:1",
        ]
        private = ["tcp://127.0.0.1:1", "tcp://[::1]:1", "tcp://localhost:1", "tcp://lo:*", "ipc://x", "inproc://x"]
        self.assertEqual(self.reported(*map(Bind, [*public, *private])), public)
        self.assertEqual(self.reported(Bind("tcp://*:1", Mechanism.CURVE), Bind("tcp://*:1", Mechanism.PLAIN)), [])

    def test_sentence(self) -> None:
        """The warning says what to do."""
        (sentence,) = exposed([Bind("tcp://*:9999")])
        self.assertIn("anyone who can reach tcp://*:9999 can read and send everything", sentence)
        self.assertIn("Bind it to 127.0.0.1, or set mlm_server/security/mechanism", sentence)

"""Throttling of password guesses."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.authentication import Attempt, Bind, Entry, Mechanism, Verdict
from alaska.broker.credentials import Credentials
from alaska.broker.limits import Limits
from alaska.broker.log_throttle import INTERVAL_SECONDS
from alaska.broker.login_throttle import (
    FIRST_DELAY,
    FREE_FAILURES,
    MAX_ADDRESSES,
    MAX_DELAY,
    MAX_DELAYED,
    RESET_SECONDS,
    throttle_key,
)
from alaska.broker.security import Security
from alaska.broker.service import BrokerService
from alaska.store.memory import MemoryStore
from tests.network_case import ENDPOINT, LogCase, NetworkCase

EVE, ANN = "192.0.2.1", "192.0.2.2"


class ThrottleTestCase(LogCase):
    """A throttle that accepts one password."""

    def setUp(self) -> None:
        super().setUp()
        self.checked = 0
        self.security = Security(lambda: Credentials(users={b"joe": b"right"}))
        self.security.start()
        self.now = 1000.0

    def decide(self, password: bytes = b"wrong", address: str = EVE, username: bytes = b"joe") -> Verdict:
        """Return the entry and delay of the verdict on a login, and count the logins that are checked."""
        verdicts: list[Verdict] = []
        attempt = Attempt(Mechanism.PLAIN, address, username, password)
        self.security.decide(attempt, self.now, verdicts.append)
        (verdict,) = verdicts
        self.checked += verdict.entry is not Entry.LATER
        return Verdict(verdict.entry, verdict.after)

    def fail_logins(self, count: int, address: str = EVE) -> None:
        """Fail to log in, each time after the reply to the last attempt."""
        for _ in range(count):
            self.now += self.decide(address=address).after


class DelayTests(ThrottleTestCase):
    """Delays of replies."""

    def test_right(self) -> None:
        """Logins with the right password are accepted at once, any number of times."""
        for _ in range(1000):
            self.assertEqual(self.decide(b"right"), Verdict(Entry.GRANTED, 0))

    def test_wrong(self) -> None:
        """A few failures are answered at once; each further one doubles the delay, up to a maximum."""
        delays = [self.decide().after for _ in range(FREE_FAILURES + 8)]
        self.assertEqual(delays[: FREE_FAILURES + 3], [0.0] * FREE_FAILURES + [FIRST_DELAY * 2**n for n in range(3)])
        self.assertEqual(delays, sorted(delays))
        self.assertEqual(delays[-1], MAX_DELAY)

    def test_right_at_the_address(self) -> None:
        """After many failures from an address the right password is accepted, with the same delay as others."""
        self.fail_logins(20)
        self.assertEqual(self.decide(b"right"), Verdict(Entry.GRANTED, MAX_DELAY))

    def test_right_elsewhere(self) -> None:
        """A login is not delayed by failures from other addresses."""
        self.fail_logins(20)
        self.assertEqual(self.decide(b"right", ANN), Verdict(Entry.GRANTED, 0))

    def test_at_once(self) -> None:
        """Of many simultaneous logins from one address only a few are checked, also if the password is right."""
        for _ in range(30_000):
            self.decide()
        self.assertLess(self.checked, MAX_DELAYED + FREE_FAILURES + 1)
        self.assertEqual(self.decide(b"right").entry, Entry.LATER)
        self.now += MAX_DELAY
        self.assertEqual(self.decide(b"right").entry, Entry.GRANTED)

    def test_rate(self) -> None:
        """The number of checked guesses per minute is limited."""
        for _ in range(600):
            self.now += 0.1
            for _ in range(100):
                self.decide()
        self.assertLess(self.checked, MAX_DELAYED * (60 / MAX_DELAY + 2))

    def test_forgiven(self) -> None:
        """A minute without failure resets the delay; successful logins do not."""
        for _ in range(20):
            self.decide()
        self.now += RESET_SECONDS - 1
        self.assertEqual(self.decide(b"right").after, MAX_DELAY)
        self.now += 1
        self.assertEqual(self.decide(b"right").after, 0)

    def test_many_addresses(self) -> None:
        """A limited number of addresses is remembered; the one with the oldest failure is forgotten first."""
        self.fail_logins(20)
        for number in range(MAX_ADDRESSES - 1):
            self.fail_logins(1, f"host{number}")
        self.assertEqual(self.decide().after, MAX_DELAY)
        for number in range(MAX_ADDRESSES - 1):
            self.fail_logins(1, f"other{number}")
        self.assertEqual(self.decide(b"right").after, MAX_DELAY)
        self.fail_logins(1, "one more")
        self.assertEqual(self.decide(b"right").after, 0)

    def test_throttle_key(self) -> None:
        """All addresses of an IPv6 network, and all processes of a local user, count as one address."""
        for first, second in (
            ("2001:db8::1", "2001:db8::ffff:1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("localhost:1000:1000:7", "localhost:1000:5:8"),
            ("fe80::1%eth0", "fe80::2%eth0"),
        ):
            self.assertEqual(throttle_key(first), throttle_key(second), first)
        for first, second in (
            ("2001:db8::1", "2001:db8:0:1::1"),
            ("192.0.2.1", "192.0.2.2"),
            ("localhost:1000:1000:7", "localhost:1001:1000:7"),
            ("", "\x00"),
        ):
            self.assertNotEqual(throttle_key(first), throttle_key(second), first)


class LogTests(ThrottleTestCase):
    """Log lines."""

    def tick(self, seconds: float) -> list[str]:
        """Let time pass; return the warnings logged meanwhile."""
        self.events.clear()
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.security.tick(self.now)
        return self.logged(LogLevel.warn)

    def test_nothing(self) -> None:
        """Accepted logins are not logged."""
        self.decide(b"right")
        self.assertEqual(self.tick(100), [])

    def test_once_a_minute(self) -> None:
        """A log line, at most once a minute, has the number of refused logins and the address, but no password."""
        for number in range(30_000):
            self.decide(b"pass%d" % number, username=b"user%d" % number)
        (line,) = self.tick(2)
        self.assertIn(": 30000 (", line)
        self.assertIn(f"the last was an unknown user (a name of 9 octets), from {EVE}", line)
        self.assertNotIn("pass2", line)
        self.assertNotIn("user29999", line)
        self.decide()
        self.assertEqual(self.tick(INTERVAL_SECONDS - 5), [])
        (line,) = self.tick(5)
        self.assertIn(": 1 (1 for a wrong user name or password); the last was joe,", line)
        self.assertEqual(self.tick(100), [])

    def test_counters(self) -> None:
        """Accepted, refused and unchecked logins are counted."""
        self.decide(b"right")
        for _ in range(100):
            self.decide()
        counters = self.security.counters
        self.assertEqual((counters.plain_accepted, counters.plain_refused), (1, MAX_DELAYED + FREE_FAILURES))
        self.assertEqual(counters.unchecked, 100 - MAX_DELAYED - FREE_FAILURES)


class BrokerTests(NetworkCase):
    """The throttle of a broker."""

    def test_logged(self) -> None:
        """A broker service logs refused logins."""
        security = Security(lambda: Credentials(users={}))
        broker = BrokerService(
            self.reactor, self.process, MemoryStore, [Bind(ENDPOINT, Mechanism.PLAIN)], Limits(), security
        )
        broker.startService()
        link = self.network.dealer(ENDPOINT, "joe", "wrong")
        link.start(lambda _frames: None, lambda _state: None)
        self.network.run()
        for _ in range(30):
            self.clock.advance(0.05)
        (line,) = self.logged(LogLevel.warn)
        self.assertIn("an unknown user (a name of 3 octets), from memory", line)
        broker.stopService()

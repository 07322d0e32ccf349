"""Who guesses passwords."""

from __future__ import annotations

from twisted.logger import LogLevel

from alaska.broker.log_throttle import INTERVAL_SECONDS
from alaska.broker.login_throttle import (
    FIRST_DELAY,
    FREE_FAILURES,
    MAX_ADDRESSES,
    MAX_DELAY,
    MAX_DELAYED,
    RESET_SECONDS,
    LoginThrottle,
    throttle_key,
)
from alaska.interfaces import Entry, Verdict
from tests.network_case import ENDPOINT, LogCase, NetworkCase

EVE, ANN = "192.0.2.1", "192.0.2.2"


class GateTestCase(LogCase):
    """A gate that lets one password in."""

    def setUp(self) -> None:
        super().setUp()
        self.heard = 0
        self.gate = LoginThrottle(self.accept)
        self.now = 1000.0

    def accept(self, _username: bytes, password: bytes) -> bool:
        """Take the right password."""
        self.heard += 1
        return password == b"right"

    def decide(self, password: bytes = b"wrong", address: str = EVE, username: bytes = b"joe") -> Verdict:
        """Ask for somebody."""
        return self.gate.decide(username, password, address, self.now)

    def guess(self, count: int, address: str = EVE) -> None:
        """Guess wrong, each time when the answer has come."""
        for _ in range(count):
            self.now += self.decide(address=address).after


class DelayTests(GateTestCase):
    """How long an answer takes."""

    def test_right(self) -> None:
        """The right password is let in at once, any number of times."""
        for _ in range(1000):
            self.assertEqual(self.decide(b"right"), Verdict(Entry.GRANTED, 0))

    def test_wrong(self) -> None:
        """A few wrong guesses are answered at once, each further one delays the next twice as long, up to a limit."""
        delays = [self.decide().after for _ in range(FREE_FAILURES + 8)]
        self.assertEqual(delays[: FREE_FAILURES + 3], [0.0] * FREE_FAILURES + [FIRST_DELAY * 2**n for n in range(3)])
        self.assertEqual(delays, sorted(delays))
        self.assertEqual(delays[-1], MAX_DELAY)

    def test_right_at_the_address(self) -> None:
        """A right password from where many were wrong is let in, no sooner than a wrong one is refused."""
        self.guess(20)
        self.assertEqual(self.decide(b"right"), Verdict(Entry.GRANTED, MAX_DELAY))

    def test_right_elsewhere(self) -> None:
        """Nobody is delayed for what came from other addresses."""
        self.guess(20)
        self.assertEqual(self.decide(b"right", ANN), Verdict(Entry.GRANTED, 0))

    def test_at_once(self) -> None:
        """Of many that guess at once from one address few are heard, however right they are."""
        for _ in range(30_000):
            self.decide()
        self.assertLess(self.heard, MAX_DELAYED + FREE_FAILURES + 1)
        self.assertEqual(self.decide(b"right").entry, Entry.LATER)
        self.now += MAX_DELAY
        self.assertEqual(self.decide(b"right").entry, Entry.GRANTED)

    def test_rate(self) -> None:
        """Who guesses for a minute is heard so many times at most."""
        for _ in range(600):
            self.now += 0.1
            for _ in range(100):
                self.decide()
        self.assertLess(self.heard, MAX_DELAYED * (60 / MAX_DELAY + 2))

    def test_forgiven(self) -> None:
        """A minute without a wrong guess makes up for all before; right ones do not."""
        for _ in range(20):
            self.decide()
        self.now += RESET_SECONDS - 1
        self.assertEqual(self.decide(b"right").after, MAX_DELAY)
        self.now += 1
        self.assertEqual(self.decide(b"right").after, 0)

    def test_many_addresses(self) -> None:
        """So many addresses are remembered; those that guessed wrong last are not forgotten first."""
        self.guess(20)
        for number in range(MAX_ADDRESSES - 1):
            self.guess(1, f"host{number}")
        self.assertEqual(self.decide().after, MAX_DELAY)
        for number in range(MAX_ADDRESSES - 1):
            self.guess(1, f"other{number}")
        self.assertEqual(self.decide(b"right").after, MAX_DELAY)
        self.guess(1, "one more")
        self.assertEqual(self.decide(b"right").after, 0)

    def test_neighbourhoods(self) -> None:
        """Who can have many addresses has one: a network of IPv6, a user of this machine."""
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


class TellTests(GateTestCase):
    """What the log says."""

    def tick(self, seconds: float) -> list[str]:
        """Let time pass; return what was logged meanwhile."""
        self.events.clear()
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.gate.tick(self.now)
        return self.logged(LogLevel.warn)

    def test_nothing(self) -> None:
        """Of those who are let in nothing is said."""
        self.decide(b"right")
        self.assertEqual(self.tick(100), [])

    def test_once_a_minute(self) -> None:
        """The log has a line a minute, with how many there were and the last of them, but no password."""
        for number in range(30_000):
            self.decide(b"pass%d" % number, username=b"user%d" % number)
        (line,) = self.tick(2)
        self.assertIn(": 30000,", line)
        self.assertIn(f"the last was from {EVE}, as user29999", line)
        self.assertNotIn("pass2", line)
        self.decide()
        self.assertEqual(self.tick(INTERVAL_SECONDS - 5), [])
        (line,) = self.tick(5)
        self.assertIn(": 1,", line)
        self.assertEqual(self.tick(100), [])

    def test_names(self) -> None:
        """Names are shown on one line, and are not long."""
        self.decide(username=b"\n\x1b[2J\xff" + b"x" * 240)
        (line,) = self.tick(2)
        self.assertIn(r"as \n\x1b[2J\xff" + "x" * 10, line)
        self.assertLess(len(line), 300)


class BrokerTests(NetworkCase):
    """The gate of a broker."""

    def test_told(self) -> None:
        """A broker says that somebody was refused, by its own clock."""
        broker = self.start_broker(accept=lambda _username, _password: False)
        link = self.network.dealer(ENDPOINT, "joe", "wrong")
        link.start(lambda _frames: None, lambda _state: None)
        self.network.run()
        for _ in range(30):
            self.clock.advance(0.05)
        (line,) = self.logged(LogLevel.warn)
        self.assertIn("as joe", line)
        broker.stopService()

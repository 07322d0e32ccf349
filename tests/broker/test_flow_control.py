"""Flow control for clients that do not read or do not confirm."""

from __future__ import annotations

from alaska.broker.clients import LEASE_OCTETS
from alaska.broker.flow_control import PROOF_MESSAGES, PROOF_OCTETS, FlowLimits
from alaska.broker.limits import Limits
from alaska.broker.log_throttle import INTERVAL_SECONDS
from alaska.broker.sessions import CAPABILITIES
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, OK, BrokerTestCase
from tests.network_case import LogCase

LARGE = (b"x" * PROOF_OCTETS,)
"""Content so large that a proof is sent with each message; ``MOST`` of them are the limit for a connection."""
MOST = 4


class FlowTestCase(BrokerTestCase, LogCase):
    """A sender, and clients that may stop reading."""

    limits = Limits(flow=FlowLimits(None, MOST * PROOF_OCTETS))

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.open("sender", mlm.StreamWrite(b"news"), credit=0)

    def stop_reading(self, *names: str) -> None:
        """Let all deliveries to these clients stay in flight."""
        self.router.unread.update(name.encode() for name in names)

    def read(self, name: str) -> None:
        """Let a client read everything in flight to it."""
        self.router.unread.discard(name.encode())
        self.pass_time(0.05)

    def mail(self, count: int, to: str = "slow") -> None:
        """Send large mail, with numbers as subjects."""
        for number in range(count):
            self.do("sender", mlm.MailboxSend(to.encode(), b"%d" % number, b"", 0, LARGE))

    def publish(self, count: int) -> None:
        """Send large messages to a stream, with numbers as subjects."""
        for number in range(count):
            self.do("sender", mlm.StreamSend(b"%d" % number, LARGE))


class FlowTests(FlowTestCase):
    """Deliveries to a client that does not read."""

    def test_mail_waits(self) -> None:
        """Mail for a plain client that does not read waits in its mailbox, and is delivered in order when it reads."""
        self.open("slow")
        self.pass_time(0.2)
        self.stop_reading("slow")
        self.mail(2 * MOST + 1)
        self.assertEqual(self.taken("slow"), [b"0", b"1", b"2", b"3"])
        self.pass_time(1)
        self.assertEqual(self.taken("slow"), [])
        self.read("slow")
        self.assertEqual(self.taken("slow"), [b"4", b"5", b"6", b"7", b"8"])

    def test_limit_holds_with_credit(self) -> None:
        """The limit also holds for a client with any amount of credit."""
        self.open("slow", credit=60_000)
        self.stop_reading("slow")
        self.mail(MOST + 2)
        self.do("slow", mlm.Credit(60_000))
        self.assertEqual(len(self.taken("slow")), MOST)
        self.router.unread.clear()
        self.do("slow", mlm.Credit(1))
        self.assertEqual(self.taken("slow"), [b"4", b"5"])

    def test_requests_go_to_others(self) -> None:
        """Requests do not go to a worker that does not read, but wait or go to another one."""
        self.open("slow", OFFER, credit=60_000)
        self.stop_reading("slow")
        for number in range(MOST + 1):
            self.do("sender", mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, LARGE))
        self.assertEqual(len(self.taken("slow")), MOST)
        self.open("good", OFFER, credit=10)
        self.assertEqual(self.taken("good"), [b"4"])

    def test_streams_are_dropped(self) -> None:
        """Stream messages for a plain reader that does not read are dropped, but not for other readers."""
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.open("good", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow")
        self.publish(MOST + 2)
        self.assertEqual(len(self.taken("slow")), MOST)
        self.assertEqual(len(self.taken("good")), MOST + 2)
        self.read("slow")
        self.assertEqual(self.taken("slow"), [])
        self.publish(1)
        self.assertEqual(self.taken("slow"), [b"0"])
        self.assertEqual(self.broker.flows.dropped, 2)

    def test_streams_wait_for_credit_clients(self) -> None:
        """A reader with credit misses nothing: the journal stores what it has not read."""
        self.open("slow", mlm.StreamRead(b"news", b""), credit=60_000)
        self.stop_reading("slow")
        self.publish(MOST + 2)
        self.assertEqual(len(self.taken("slow")), MOST)
        self.read("slow")
        self.assertEqual(self.taken("slow"), [b"4", b"5"])
        self.assertEqual(self.broker.flows.dropped, 0)

    def test_small_messages(self) -> None:
        """The number of small deliveries in flight is limited, too."""
        self.broker.flows.limits = FlowLimits(8 * PROOF_MESSAGES, None)
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow")
        for _ in range(3 * PROOF_MESSAGES):
            self.do("sender", mlm.StreamSend(b"", ()))
        self.assertEqual(len(self.take("slow")), 2 * PROOF_MESSAGES)

    def test_without_limits(self) -> None:
        """Without limits, everything is sent at once."""
        self.broker.flows.limits = FlowLimits(None, None)
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow")
        self.publish(5 * MOST)
        self.assertEqual(len(self.taken("slow")), 5 * MOST)

    def test_opened_again(self) -> None:
        """Deliveries in flight still count when a client closes and opens again on the same connection."""
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow")
        self.publish(MOST)
        self.take("slow")
        for _ in range(3):
            self.assertEqual(self.say("slow", CLOSE), [OK])
            self.open("slow", mlm.StreamRead(b"news", b""))
            self.publish(1)
            self.assertEqual(self.taken("slow"), [])
        self.do("slow", CLOSE)
        self.read("slow")
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.publish(1)
        self.assertEqual(self.taken("slow"), [b"0"])

    def test_many_connections(self) -> None:
        """The common limit restricts clients that do not read, but not one that does."""
        names = [f"slow{number}" for number in range(20)]
        for name in (*names, "good"):
            self.open(name, mlm.StreamRead(b"news", b""))
        self.stop_reading(*names)
        for _ in range(MOST):
            self.publish(1)
            self.pass_time(0.05)
        counts = [len(self.taken(name)) for name in names]
        self.assertLessEqual(max(counts), MOST)
        self.assertLess(sum(counts), 4 * MOST + 2 * len(names))
        self.assertEqual(len(self.taken("good")), MOST)


class UnconfirmedTests(FlowTestCase):
    """Deliveries to a client that reads, but does not confirm."""

    limits = Limits(unconfirmed_octets=MOST * PROOF_OCTETS)

    def test_unconfirmed(self) -> None:
        """A client with too much unconfirmed gets more when it has confirmed some, whatever its credit."""
        self.open("slow", credit=60_000)
        self.mail(MOST + 2)
        self.do("slow", mlm.Credit(60_000))
        self.pass_time(1)
        trackers = self.trackers("slow")
        self.assertEqual(len(trackers), MOST)
        self.do("slow", mlm.Confirm(trackers[0], 200, b""))
        self.assertEqual(self.taken("slow"), [b"4"])
        self.do("slow", mlm.Confirm(trackers[1], 404, b""))
        self.assertEqual(self.taken("slow"), [b"5"])

    def test_empty_ones(self) -> None:
        """The number of unconfirmed deliveries is limited even if they are empty."""
        self.open("slow", credit=60_000)
        most = MOST * PROOF_OCTETS // LEASE_OCTETS
        for _ in range(most + 2):
            self.do("sender", mlm.MailboxSend(b"slow", b"", b"", 0, ()))
        self.assertEqual(len(self.trackers("slow")), most)

    def test_one_that_is_larger(self) -> None:
        """A single delivery may exceed the limit."""
        self.open("slow", credit=60_000)
        self.do("sender", mlm.MailboxSend(b"slow", b"huge", b"", 0, LARGE * 2 * MOST))
        self.assertEqual(self.taken("slow"), [b"huge"])


class LogTests(FlowTestCase):
    """Log lines."""

    def test_logged_once_a_minute(self) -> None:
        """A log line, at most once a minute, has a client that does not read, the settings, and the counts."""
        self.open("slow\n", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow\n")
        self.publish(MOST + 3)
        self.pass_time(1.2, "sender", "slow\n")
        (line,) = [each for each in self.logged() if "does not read" in each]
        self.assertIn(r"slow\n", line)
        self.assertIn("mlm_server/clients/unread-size", line)
        self.assertIn("3 messages", line)
        self.publish(2)
        self.pass_time(INTERVAL_SECONDS - 5, "sender", "slow\n")
        self.assertEqual(len([each for each in self.logged() if "does not read" in each]), 1)
        self.pass_time(5, "sender", "slow\n")
        self.assertIn("2 messages", [each for each in self.logged() if "does not read" in each][-1])

    def test_answers_that_are_not_read(self) -> None:
        """The session of a client that does not read replies ends, and its requests are redelivered."""
        self.open("slow", OFFER, credit=10)
        self.do("sender", mlm.ServiceSend(b"svc", b"job", b"", 0, ()))
        self.assertEqual(self.taken("slow"), [b"job"])
        self.open("good", OFFER, credit=10)
        self.broker.send_failed(b"slow", True)
        self.pass_time(0.05)
        self.assertEqual(self.taken("good"), [b"job"])
        self.assertEqual(len(self.broker.clients), 2)
        (line,) = [each for each in self.logged() if each.startswith("slow")]
        self.assertIn("mlm_server/clients/unread-count", line)


class ReplyTests(FlowTestCase):
    """Replies that are not read, on many connections."""

    limits = Limits(flow=FlowLimits(None, PROOF_OCTETS))
    INVALID = mlm.StreamRead(b"news", b"[" + b"x" * 200)

    def ask(self, name: str, count: int) -> int:
        """Send commands with long replies; return the number of replies."""
        self.do(name, *[self.INVALID] * count)
        return len(self.take(name))

    def fill(self, count: int) -> list[str]:
        """Return clients that do not read, and together have reached the common limit."""
        names = [f"deaf{number}" for number in range(count)]
        for name in names:
            self.open(name, credit=0)
        self.stop_reading(*names)
        for name in names:
            self.ask(name, 1400)
        self.pass_time(1.5, "sender")
        return names

    def test_disconnected(self) -> None:
        """At the common limit, a client that reads nothing and sends commands is disconnected, and gets no replies."""
        for name in self.fill(5):
            self.assertLess(self.ask(name, 1000), 500)
            self.pass_time(0.05, "sender")
            self.assertEqual(self.say(name, mlm.ConnectionOpen(b"again"), self.INVALID), [])
        self.assertEqual(len(self.broker.clients), 1)
        self.assertTrue(any("does not read the replies" in line for line in self.logged()))

    def test_clients_that_read(self) -> None:
        """Meanwhile a client that reads gets its replies, and so does one that begins to read again."""
        first, *_ = self.fill(5)
        self.open("good", credit=0)
        self.assertEqual(self.ask("good", 2000), 2000)
        self.ask(first, 1000)
        self.pass_time(0.05, "sender")
        self.read(first)
        self.assertEqual(self.say(first, mlm.ConnectionOpen(b"again")), [mlm.Ok(200, CAPABILITIES)])

    def test_never_opened(self) -> None:
        """Connections that do not open a session get no more replies, either."""
        names = [f"raw{number}" for number in range(12)]
        self.stop_reading(*names)
        for name in names:
            self.do(name, *[CLOSE] * 1400)
        self.pass_time(1.5, "sender")
        for name in names:
            self.take(name)
            self.do(name, *[CLOSE] * 2000)
            self.assertLess(len(self.take(name)), 1000)
        self.router.unread.clear()
        self.pass_time(0.05, "sender")
        self.assertEqual(self.say(names[0], CLOSE), [OK])

    def test_opened_again(self) -> None:
        """A client that closes and opens again gets no more replies than one that does not."""
        name, *_ = self.fill(5)
        replies = 0
        for _ in range(100):
            self.do(name, CLOSE)
            self.open(name, credit=0)
            replies += self.ask(name, 10)
            self.pass_time(0.05, "sender")
        self.assertLess(replies, 500)

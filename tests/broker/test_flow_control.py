"""What a client gets that does not read what it is sent."""

from __future__ import annotations

from alaska.broker.flow_control import PROOF_MESSAGES, PROOF_OCTETS, FlowLimits
from alaska.broker.limits import Limits
from alaska.broker.log_throttle import INTERVAL_SECONDS
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER, OK, BrokerTestCase
from tests.network_case import LogCase

LARGE = (b"x" * PROOF_OCTETS,)
"""Behind each message of this content a proof is due, and so many are the limit for a connection."""
MOST = 4


class FlowTestCase(BrokerTestCase, LogCase):
    """A client that may or may not read, and others."""

    limits = Limits(flow=FlowLimits(None, MOST * PROOF_OCTETS))

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.open("sender", mlm.StreamWrite(b"news"), credit=0)

    def stop_reading(self, *names: str) -> None:
        """Let nothing leave any more that is sent to a client."""
        self.router.unread.update(name.encode() for name in names)

    def read(self, name: str) -> None:
        """Let a client read all that is under way to it."""
        self.router.unread.discard(name.encode())
        self.pass_time(0.05)

    def mail(self, count: int, to: str = "slow") -> None:
        """Send large mail, with its number as its subject."""
        for number in range(count):
            self.do("sender", mlm.MailboxSend(to.encode(), b"%d" % number, b"", 0, LARGE))

    def publish(self, count: int) -> None:
        """Send large messages to a stream, with their numbers as their subjects."""
        for number in range(count):
            self.do("sender", mlm.StreamSend(b"%d" % number, LARGE))


class FlowTests(FlowTestCase):
    """Deliveries to one who does not read."""

    def test_mail_waits(self) -> None:
        """Mail for a plain client that does not read waits in its mailbox, and comes in order when it reads."""
        self.open("slow")
        self.pass_time(0.2)
        self.stop_reading("slow")
        self.mail(2 * MOST + 1)
        self.assertEqual(self.taken("slow"), [b"0", b"1", b"2", b"3"])
        self.pass_time(1)
        self.assertEqual(self.taken("slow"), [])
        self.read("slow")
        self.assertEqual(self.taken("slow"), [b"4", b"5", b"6", b"7", b"8"])

    def test_credit_is_no_way_around(self) -> None:
        """A client that gives any amount of credit and does not read is treated the same."""
        self.open("slow", credit=60_000)
        self.stop_reading("slow")
        self.mail(MOST + 2)
        self.do("slow", mlm.Credit(60_000))
        self.assertEqual(len(self.taken("slow")), MOST)
        self.router.unread.clear()
        self.do("slow", mlm.Credit(1))
        self.assertEqual(self.taken("slow"), [b"4", b"5"])

    def test_requests_go_to_others(self) -> None:
        """Requests that a worker does not read go to another one, or wait."""
        self.open("slow", OFFER, credit=60_000)
        self.stop_reading("slow")
        for number in range(MOST + 1):
            self.do("sender", mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, LARGE))
        self.assertEqual(len(self.taken("slow")), MOST)
        self.open("good", OFFER, credit=10)
        self.assertEqual(self.taken("good"), [b"4"])

    def test_streams_are_dropped(self) -> None:
        """A plain reader misses what is published while it does not read; other readers do not."""
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
        """A reader that gives credit misses nothing: the journal keeps what it has not read."""
        self.open("slow", mlm.StreamRead(b"news", b""), credit=60_000)
        self.stop_reading("slow")
        self.publish(MOST + 2)
        self.assertEqual(len(self.taken("slow")), MOST)
        self.read("slow")
        self.assertEqual(self.taken("slow"), [b"4", b"5"])
        self.assertEqual(self.broker.flows.dropped, 0)

    def test_small_messages(self) -> None:
        """The number of deliveries is limited, too, however small they are."""
        self.broker.flows.limits = FlowLimits(8 * PROOF_MESSAGES, None)
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow")
        for _ in range(3 * PROOF_MESSAGES):
            self.do("sender", mlm.StreamSend(b"", ()))
        self.assertEqual(len(self.take("slow")), 2 * PROOF_MESSAGES)

    def test_without_limits(self) -> None:
        """Where there are no limits, everything is sent at once."""
        self.broker.flows.limits = FlowLimits(None, None)
        self.open("slow", mlm.StreamRead(b"news", b""))
        self.stop_reading("slow")
        self.publish(5 * MOST)
        self.assertEqual(len(self.taken("slow")), 5 * MOST)

    def test_opened_again(self) -> None:
        """A client that closes and opens again on the same connection has not read by that."""
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
        """All that do not read have a limit together; beyond it each gets little more, and who reads gets all."""
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
    """Deliveries to one who reads, and does not confirm."""

    limits = Limits(unconfirmed_octets=MOST * PROOF_OCTETS)

    def test_unconfirmed(self) -> None:
        """A client that has too much unconfirmed gets more when it has confirmed some, whatever its credit."""
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

    def test_one_that_is_larger(self) -> None:
        """One delivery is sent in any case."""
        self.open("slow", credit=60_000)
        self.do("sender", mlm.MailboxSend(b"slow", b"huge", b"", 0, LARGE * 2 * MOST))
        self.assertEqual(self.taken("slow"), [b"huge"])


class TellTests(FlowTestCase):
    """What the log says."""

    def test_told_once_a_minute(self) -> None:
        """The log names who does not read, and the settings, and counts; at most once a minute."""
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
        """A client whose connection takes no more answers is dropped, and what it had is delivered to others."""
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

"""The terms of a send, such as a delay, in the Twisted client."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from alaska import errors
from alaska.client import Confirmation
from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from tests.client.test_client import ENDPOINT
from tests.client.test_second_edition import FIRST, SECOND, SecondEditionCase


class TermsTests(SecondEditionCase):
    """What is sent, and what is not."""

    def sent(self) -> list[mlm.Properties]:
        """Return the properties of the messages that were sent."""
        self.network.run()
        sends = (mlm.MailboxSend, mlm.ServiceSend)
        return [each.properties for each in self.broker.take() if isinstance(each, sends)]

    def test_all_methods(self) -> None:
        """The methods for mail and requests send terms, in ms, besides headers."""
        client = self.connected(credit=0)
        at = datetime(2026, 12, 1, 8, tzinfo=timezone.utc)
        client.send_to("box", "job", delay=1.5, headers={"n": "v"})
        client.send_for("svc", "job", at=at, priority=9)
        client.track_to("box", "job", at=1.0)
        client.track_for("svc", "job", priority=0)
        self.assertEqual(
            self.sent(),
            [
                {"h-n": b"v", "delay": 1500},
                {"at": round(at.timestamp() * 1000), "priority": 9},
                {"at": 1000},
                {"priority": 0},
            ],
        )

    def test_plan_and_id(self) -> None:
        """A retry plan, a time to live and an id are sent as well."""
        client = self.connected(credit=0)
        client.send_for("svc", "job", attempts=3, backoff=(1, 60.5), ttl=5, id="x", unique_for=0, unique_mode="replace")
        expected = {
            "attempts": 3, "backoff": "1000 60500", "ttl": 5000, "id": b"x", "unique-for": 0, "unique-mode": "replace",
        }  # fmt: skip
        self.assertEqual(self.sent(), [expected])

    def test_not_valid(self) -> None:
        """A term that is not valid is an error, and nothing is sent."""
        client: Any = self.connected(credit=0)
        wrong_types: tuple[Any, ...] = ({"delay": "1"}, {"delay": True}, {"at": None}, {"priority": 1.5}, {"prio": 1})
        wrong_types += ({"id": 5}, {"unique_mode": 5}, {"backoff": 5}, {"backoff": ("1", 2)})
        wrong_values = (
            {"delay": -1}, {"delay": float("nan")}, {"at": float("inf")}, {"priority": 10}, {"delay": 1, "at": 2},
            {"at": datetime(2026, 12, 1)}, {"attempts": 0}, {"attempts": 1002}, {"backoff": (2, 1)}, {"id": ""},
            {"id": "x" * 256}, {"unique_for": 1}, {"unique_mode": "keep"}, {"id": "x", "unique_mode": "drop"},
        )  # fmt: skip
        for kind, examples in ((TypeError, wrong_types), (ValueError, wrong_values)):
            for terms in examples:
                self.assertRaises(kind, client.send_for, "svc", "job", **terms)
                self.assertRaises(kind, client.track_to, "box", "job", **terms)
        self.assertEqual(self.sent(), [])

    def test_broker_without_properties(self) -> None:
        """A message with terms is not sent to a broker that would ignore them."""
        client = self.connected(FIRST, credit=0)
        self.assertRaises(errors.Refused, client.send_for, "svc", "job", delay=1)
        self.assertEqual(self.sent(), [])

    def test_not_connected(self) -> None:
        """Before the client knows its broker, it refuses terms."""
        client = self.client(credit=0)
        client.connect()
        self.assertRaises(errors.NotConnected, client.send_for, "svc", "job", delay=1)

    def test_another_broker(self) -> None:
        """If a client comes back to a broker that would ignore the terms, it ends the message instead of sending it."""
        client = self.connected(credit=0)
        ended: list[Confirmation] = []
        client.track_for("svc", "job", delay=1).addCallback(ended.append)
        client.send_for("svc", "plain")
        self.network.run()
        self.broker.take()
        self.broker.stop()
        self.broker = ScriptedBroker(self.network, ENDPOINT)
        self.network.run()
        self.broker.send(FIRST)
        self.network.run()
        subjects = [each.subject for each in self.broker.take() if isinstance(each, mlm.ServiceSend)]
        self.assertEqual(subjects, [b"plain"])
        self.assertEqual([each.status for each in ended], [errors.NOT_IMPLEMENTED])
        self.flushLoggedErrors()

    def test_second_edition(self) -> None:
        """If it comes back to one that supports them, the message is sent again."""
        client = self.connected(credit=0)
        client.send_for("svc", "job", delay=1)
        self.network.run()
        self.broker.take()
        self.broker.stop()
        self.broker = ScriptedBroker(self.network, ENDPOINT)
        self.network.run()
        self.broker.send(SECOND)
        self.assertEqual(self.sent(), [{"delay": 1000}])

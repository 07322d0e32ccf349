"""Two clients that open with the same address."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, ERROR_500, OFFER, OK, PING, PONG, BrokerTestCase, mail, request


class AddressTests(BrokerTestCase):
    """Two clients with the same address."""

    def open_as(self, name: str, address: bytes, *commands: mlm.Command) -> None:
        """Open a plain client with an address different from its name."""
        self.do(name, mlm.ConnectionOpen(address), *commands)

    def test_newer_takes_address_and_mailbox(self) -> None:
        """Mail goes to the newer client; the older plain client stays open and can send."""
        self.open_as("old", b"joe", PING)
        self.open_as("new", b"joe", PING)
        self.open("p", mail(to=b"joe"))
        self.assertEqual(self.taken("new"), [b"hi"])
        self.assertEqual(self.say("old", PING)[-1], PONG)
        self.open("w", OFFER)
        self.do("old", request())
        self.assertEqual(self.taken("w"), [b"job"])

    def test_older_loses_readers_and_offers(self) -> None:
        """The readers and offers of the older plain client end, and new ones are answered OK without effect."""
        self.open_as("old", b"joe", OFFER, mlm.StreamRead(b"s", b""))
        self.open_as("new", b"joe")
        self.take("old")
        self.assertEqual(self.say("old", OFFER), [OK])
        self.open("p", request(), mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("old"), [])

    def test_older_credit_client_gets_error(self) -> None:
        """An older credit client gets ERROR 400, its session ends, and its requests are redelivered."""
        self.open("joe", OFFER, credit=1)
        self.open("p", request())
        self.take("joe")
        self.open_as("new", b"joe")
        (error,) = self.take("joe")
        assert isinstance(error, mlm.Error)
        self.assertEqual(error.status_code, 400)
        self.assertEqual(self.say("joe", PING), [ERROR_500])
        self.do("new", OFFER)
        self.assertEqual(self.taken("new"), [b"job"])

    def test_ends_in_either_order(self) -> None:
        """The CLOSE of either client affects neither the other one nor the mailbox."""
        for first, second in (("old", "new"), ("new", "old")):
            self.setUp()
            self.open_as("old", b"joe")
            self.open_as("new", b"joe")
            self.assertEqual(self.say(first, CLOSE)[-1], OK)
            self.assertEqual(self.say(second, PING)[-1], PONG)
            self.do(second, CLOSE)
            self.open("p", mail(to=b"joe"))
            self.open_as("third", b"joe", PING)
            self.assertEqual(self.taken("third"), [b"hi"])

    def test_reconnect_before_expiry(self) -> None:
        """A client that reconnects before its old session expires keeps its mailbox when that expires."""
        self.open_as("old", b"joe")
        self.pass_time(4)
        self.open_as("new", b"joe", PING)
        self.pass_time(2, "new")
        self.assertEqual(self.broker.counters.ended, {"expired": 1})
        self.open("p", mail(to=b"joe"))
        self.assertEqual(self.taken("new"), [b"hi"])

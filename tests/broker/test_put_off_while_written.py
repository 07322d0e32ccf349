"""Requests that are put off, or become due, while the store writes what they were before."""

from __future__ import annotations

from alaska.broker.limits import Limits
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, request
from tests.broker.test_durability import DurableTestCase


class PutOffWhileWrittenTests(DurableTestCase):
    """A worker that gets one request again and again."""

    limits = Limits(client_timeout=1e9)

    def setUp(self) -> None:
        super().setUp()
        self.open_second("w", OFFER, credit=100)
        self.open_second("p")

    def put_off(self, milliseconds: int) -> None:
        """Let the worker put off what it has."""
        (got,) = (each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver))
        self.do("w", mlm.Confirm(b"", 300, b"", {"lease": got.properties["lease"], "delay": milliseconds}))

    def begin_writing(self) -> None:
        """Let the store begin to write, and not end."""
        self.clock.advance(1.0)
        self.assertIsNotNone(self.writing.begun)

    def test_due(self) -> None:
        """A request that is due while it is written that it is not is delivered, and again when it is put off again."""
        self.do("p", request(b"job"))
        self.write()
        self.put_off(1000)
        self.begin_writing()
        self.pass_time(1.1)
        self.writing.run()
        self.put_off(1000)
        self.write()
        self.pass_time(1.1)
        self.assertEqual(self.taken("w"), [b"job"])

    def test_due_and_done(self) -> None:
        """A request that is due and done while it is written that it is delayed is not there after a crash."""
        self.do("p", request(b"job"))
        self.write()
        self.put_off(1000)
        self.begin_writing()
        self.pass_time(1.1)
        self.writing.run()
        (got,) = (each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver))
        self.do("w", mlm.Confirm(b"", 200, b"", {"lease": got.properties["lease"]}))
        self.write()
        self.crash()
        self.open_second("w", OFFER, credit=100)
        self.pass_time(2.0)
        self.write()
        self.pass_time(0.1)
        self.assertEqual(self.taken("w"), [])

    def test_put_off_before_it_is_stored(self) -> None:
        """A request that is put off while it is stored does not expire when it is due, after a crash."""
        self.do("p", request(b"job"))
        self.begin_writing()
        self.put_off(1000)
        self.writing.run()
        self.crash()
        self.pass_time(2.0)
        self.open_second("w", OFFER, credit=100)
        self.write()
        self.pass_time(0.1)
        self.assertEqual(self.taken("w"), [b"job"])

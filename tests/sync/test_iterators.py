"""Deliveries that are handed over to a thread that may be interrupted."""

from __future__ import annotations

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from alaska.messaging.delivery import Delivery
from alaska.mlm import commands as mlm
from alaska.sync.iterators import _Handover

MAIL = Delivery(mlm.MailboxDeliver(b"", b"me", b"x", b"", ()), 1)


class Source:
    """Gives one delivery when it is let to, and keeps what is given back."""

    def __init__(self) -> None:
        self.may_give = asyncio.Event()
        self.back: list[Delivery] = []

    async def __anext__(self) -> Delivery:
        """Return the delivery."""
        await self.may_give.wait()
        return MAIL

    def give_back(self, delivery: Delivery) -> None:
        """Keep a delivery."""
        self.back.append(delivery)


class HandoverTests(SynchronousTestCase):
    """One delivery, and one thread."""

    def test_taken(self) -> None:
        """What a thread has got is not given back."""

        async def run() -> list[Delivery]:
            source = Source()
            source.may_give.set()
            self.assertEqual(await _Handover(source).take(None), MAIL)
            return source.back

        self.assertEqual(asyncio.run(run()), [])

    def test_interrupted_afterwards(self) -> None:
        """If the thread is interrupted before it gets what was taken, that is given back, once."""

        async def run() -> list[Delivery]:
            source = Source()
            source.may_give.set()
            handover = _Handover(source)
            await handover.take(10)
            handover.abandon()
            handover.abandon()
            return source.back

        self.assertEqual(asyncio.run(run()), [MAIL])

    def test_interrupted_before(self) -> None:
        """If it is interrupted before, what is taken nevertheless is given back."""

        async def run() -> list[Delivery]:
            source = Source()
            handover = _Handover(source)
            taking = asyncio.ensure_future(handover.take(10))
            await asyncio.sleep(0)
            handover.abandon()
            source.may_give.set()
            await taking
            return source.back

        self.assertEqual(asyncio.run(run()), [MAIL])

    def test_none_in_time(self) -> None:
        """Without a delivery in time there is none, and nothing is given back."""

        async def run() -> list[Delivery]:
            source = Source()
            handover = _Handover(source)
            self.assertIsNone(await handover.take(0.001))
            handover.abandon()
            return source.back

        self.assertEqual(asyncio.run(run()), [])

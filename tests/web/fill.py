"""Fills a broker: ``fill.py ENDPOINT BOXES COUNT`` sends mail to as many mailboxes, and requests to one service."""

from __future__ import annotations

import sys

from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react

from alaska.client import Client

AT_ONCE = 1000


async def fill(_reactor: object, endpoint: str, boxes: str, count: str) -> None:
    """Send everything, and wait until the broker has it."""
    client = Client(endpoint, "filler", most_messages=20_000)
    await client.connect(timeout=10)
    for number in range(int(count)):
        if number < int(boxes):
            client.send_to(f"box {number:05}", "filled", b"x")
        client.send_for("many", f"job {number:05}", b"x")
        if number % AT_ONCE == AT_ONCE - 1:
            await client.flush()
    await client.close()


if __name__ == "__main__":
    react(lambda reactor: ensureDeferred(fill(reactor, *sys.argv[1:4])))

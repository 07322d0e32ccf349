"""Floods a broker: ``flood.py ENDPOINT CLIENTS`` sends as fast as possible until it is killed."""

from __future__ import annotations

import sys
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import ensureDeferred

from alaska.client import Client
from alaska.errors import BacklogFull
from alaska.interfaces import Reactor

reactor = cast("Reactor", global_reactor)
AT_ONCE = 50


def send_on(client: Client, number: int) -> None:
    """Send some messages, and schedule the next ones after the turns of the other clients."""
    try:
        for _ in range(AT_ONCE):
            if number % 3 == 0:
                client.publish("noise", "x", b"x" * 32)
            elif number % 3 == 1:
                client.send_to("nobody", "x", b"x" * 32, timeout=1.0)
            else:
                client.send_for("nobody's", "x", b"x" * 32, timeout=1.0)
    except BacklogFull:
        pass
    reactor.callLater(0, send_on, client, number)


async def flood(endpoint: str, count: int) -> None:
    """Connect the clients, and start sending."""
    for number in range(count):
        client = Client(endpoint, f"flooder {number}", most_messages=20_000)
        await client.connect(timeout=10)
        send_on(client, number)
    print("flooding", flush=True)


if __name__ == "__main__":
    ensureDeferred(flood(sys.argv[1], int(sys.argv[2])))
    reactor.run()

"""Print the next message of a mailbox: read_mailbox.py ENDPOINT MAILBOX."""

from __future__ import annotations

import sys

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

from alaska.client import Client
from alaska.interfaces import Reactor


async def read(reactor: Reactor, endpoint: str, mailbox: str) -> None:
    """Print the next message of a mailbox; wait for it up to ten seconds."""
    client = Client(endpoint, mailbox, reactor=reactor)
    await client.connect()
    delivery = await client.__anext__().addTimeout(10, reactor)
    print(f"{delivery.subject} from {delivery.sender}: {delivery.content[0].decode()}")
    await client.close()


def main(reactor: Reactor, endpoint: str, mailbox: str) -> Deferred[None]:
    """Run :func:`read` in the reactor."""
    return ensureDeferred(read(reactor, endpoint, mailbox))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    react(main, sys.argv[1:])

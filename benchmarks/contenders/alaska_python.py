"""Our worker on our broker, asked by our own client in Python."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

from alaska.client import Client, Confirmation, Delivery
from alaska.interfaces import Reactor
from benchmarks import mlm
from benchmarks.room import Room
from benchmarks.work import Latencies, Stopwatch, arguments, requests, tell_ready


class Subject(mlm.Mlm):
    """What a producer that is a Twisted program gets."""

    name = "Alaska, memory, Python client"
    promise = "as Alaska, memory"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(room)
        mlm.our_broker(room, self.endpoint)
        mlm.our_worker(room, self.endpoint)

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.endpoint, first, count, self.window)

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.endpoint, first, count, at_once)


async def send(reactor: Reactor, endpoint: str, first: int, count: int, window: int) -> None:
    """Send requests, at most so many unconfirmed, and wait until all are confirmed."""
    done: Deferred[None] = Deferred()
    contents = iter(requests(first, count))
    left = count

    def send_next() -> None:
        content = next(contents, None)
        if content is not None:
            client.send_for(mlm.SERVICE, "record", content, tracker=content)

    def confirmed(confirmation: Confirmation) -> None:
        nonlocal left
        if confirmation.is_final:
            left -= 1
            send_next()
            if not left:
                done.callback(None)

    client = Client(endpoint, credit=0, confirmed=confirmed, reactor=reactor)
    await client.connect(timeout=10)
    tell_ready()
    watch = Stopwatch()
    for _ in range(window):
        send_next()
    await done
    watch.tell()
    await client.close()


async def ask(reactor: Reactor, endpoint: str, first: int, count: int, at_once: int) -> None:
    """Send requests, so many at once, and wait for the mail that answers each."""
    done: Deferred[None] = Deferred()

    def send_next() -> None:
        while (content := latencies.next()) is not None:
            client.send_for(mlm.SERVICE, "reply", content)

    def delivered(delivery: Delivery) -> None:
        if latencies.answered(delivery.content[0]):
            done.callback(None)
        else:
            send_next()

    client = Client(endpoint, "bench.reply", deliver=delivered, reactor=reactor)
    await client.connect(timeout=10)
    tell_ready()
    latencies = Latencies(first, count, at_once)
    send_next()
    await done
    latencies.tell()
    await client.close()


def main() -> None:
    """Send or ask, as the command line says."""
    role, (endpoint, *numbers) = arguments()
    first, count, window = map(int, numbers)
    do = {"send": send, "ask": ask}[role]
    react(lambda reactor: ensureDeferred(do(cast("Reactor", reactor), endpoint, first, count, window)))


if __name__ == "__main__":
    main()

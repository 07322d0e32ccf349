"""Our worker on our broker, with our Python client as the producer."""

from __future__ import annotations

from typing import cast

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import react

from alaska.client import Client, Confirmation, Delivery
from alaska.interfaces import Reactor
from benchmarks import mlm
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, requests
from benchmarks.workspace import Workspace


class Subject(mlm.Mlm):
    """The set-up of a producer that is a Twisted program."""

    name = "Alaska, memory, Python client"
    promise = "as Alaska, memory"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(workspace)
        mlm.our_broker(workspace, self.endpoint)
        mlm.our_worker(workspace, self.endpoint)

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.endpoint, first, count, self.window)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.endpoint, first, count, concurrency)


async def send(reactor: Reactor, endpoint: str, first: int, count: int, window: int) -> None:
    """Send requests, at most ``window`` unconfirmed, and wait until all are confirmed."""
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
    print_ready()
    watch = Stopwatch()
    for _ in range(window):
        send_next()
    await done
    watch.report()
    await client.close()


async def ask(reactor: Reactor, endpoint: str, first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and wait for the mail that answers each."""
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
    print_ready()
    latencies = Latencies(first, count, concurrency)
    send_next()
    await done
    latencies.report()
    await client.close()


def main() -> None:
    """Send requests, or measure latency, as the command line says."""
    role, (endpoint, *numbers) = arguments()
    first, count, window = map(int, numbers)
    do = {"send": send, "ask": ask}[role]
    react(lambda reactor: ensureDeferred(do(cast("Reactor", reactor), endpoint, first, count, window)))


if __name__ == "__main__":
    main()

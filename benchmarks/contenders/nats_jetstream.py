"""NATS JetStream: a file stream, explicit acknowledgements, requests pushed to the worker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, StorageType

from benchmarks.contender import Contender, distributions
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Workspace, free_port, listens, program, says

_FETCH = 256


class Subject(Contender):
    """The server writes to files, and syncs them to the disk within two minutes."""

    name = "NATS JetStream, pushed"
    promise = "acknowledged when written, without fsync; acknowledged when executed; redelivered"
    worker: ClassVar[str] = "push"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        server = [program("nats-server", "nats-server"), "-a", "127.0.0.1", "-p", str(self.port)]
        workspace.start("NATS", [*server, "-js", "-sd", str(workspace.folder / "store")], listens(self.port))
        workspace.start("NATS worker", [*self.program_of_file(), self.worker, str(self.port)], says("ready"))

    @staticmethod
    def program_of_file() -> list[str]:
        """Return the command that runs this file, also for a subclass in another file."""
        return Subject.own_program()

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return [*self.program_of_file(), "send", *map(str, (self.port, first, count, self.window))]

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return [*self.program_of_file(), "ask", *map(str, (self.port, first, count, concurrency))]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("nats-py")


class _Worker:
    """Executes and acknowledges messages, and answers those with an ``Answer`` header."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._record = recorder(Path(os.environ["WORKSPACE"]) / "record")

    async def received(self, message: Msg) -> None:
        inbox = (message.headers or {}).get("Answer")
        if inbox is None:
            self._record(message.data)
        else:
            await self._connection.publish(inbox, message.data)
        await message.ack()


async def _connect(port: int) -> Client:
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = connection.jetstream()
    await stream.add_stream(name="bench", subjects=["bench"], storage=StorageType.FILE)
    return connection


async def push(port: int) -> None:
    """Execute requests that the server pushes."""
    connection = await _connect(port)
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=10_000)
    worker = _Worker(connection)
    await connection.jetstream().subscribe(
        "bench", durable="workers", cb=worker.received, manual_ack=True, config=config
    )
    print_ready()
    await asyncio.Event().wait()


async def pull(port: int) -> None:
    """Fetch requests in batches, and execute them."""
    connection = await _connect(port)
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=10_000)
    subscription = await connection.jetstream().pull_subscribe("bench", durable="workers", config=config)
    worker = _Worker(connection)
    print_ready()
    while True:
        try:
            messages = await subscription.fetch(_FETCH, timeout=60)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            await worker.received(message)


async def send(port: int, first: int, count: int, window: int) -> None:
    """Publish requests, at most ``window`` unacknowledged."""
    connection = await _connect(port)
    done = asyncio.Event()
    inbox = connection.new_inbox()
    contents = iter(requests(first, count))
    left = count

    async def send_next() -> None:
        content = next(contents, None)
        if content is not None:
            await connection.publish("bench", content, reply=inbox)

    async def acknowledged(_message: Msg) -> None:
        nonlocal left
        left -= 1
        await send_next()
        if not left:
            done.set()

    await connection.subscribe(inbox, cb=acknowledged)
    await connection.flush()
    print_ready()
    watch = Stopwatch()
    for _ in range(window):
        await send_next()
    await done.wait()
    watch.report()
    await connection.close()


async def ask(port: int, first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and measure the latency of each."""
    connection = await _connect(port)
    done = asyncio.Event()
    inbox = connection.new_inbox()

    async def send_next() -> None:
        while (content := latencies.next()) is not None:
            await connection.publish("bench", content, headers={"Answer": inbox})

    async def received(message: Msg) -> None:
        if latencies.answered(message.data):
            done.set()
        await send_next()

    await connection.subscribe(inbox, cb=received)
    await connection.flush()
    print_ready()
    latencies = Latencies(first, count, concurrency)
    await send_next()
    await done.wait()
    latencies.report()
    await connection.close()


def main() -> None:
    """Run as a worker, send requests, or measure latency, as the command line says."""
    role, numbers = arguments()
    do: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"push": push, "pull": pull, "send": send, "ask": ask}
    asyncio.run(do[role](*map(int, numbers)))


if __name__ == "__main__":
    main()

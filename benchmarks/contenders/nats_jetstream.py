"""NATS JetStream: a stream in files, explicit acknowledgements, requests pushed to the worker."""

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
from benchmarks.room import Room, free_port, listens, program, says
from benchmarks.work import Latencies, Stopwatch, arguments, recorder, requests, tell_ready

_FETCH = 256


class Subject(Contender):
    """The server writes to files, and has them on the disk at the latest two minutes later."""

    name = "NATS JetStream, pushed"
    promise = "acknowledged when written, without fsync; acknowledged when executed; redelivered"
    worker: ClassVar[str] = "push"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        server = [program("nats-server", "nats-server"), "-a", "127.0.0.1", "-p", str(self.port)]
        room.start("NATS", [*server, "-js", "-sd", str(room.folder / "store")], listens(self.port))
        room.start("NATS worker", [*self.program_of_file(), self.worker, str(self.port)], says("ready"))

    @staticmethod
    def program_of_file() -> list[str]:
        """Return the command that runs this file, also for a contender of another file that builds on it."""
        return Subject.own_program()

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return [*self.program_of_file(), "send", *map(str, (self.port, first, count, self.window))]

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return [*self.program_of_file(), "ask", *map(str, (self.port, first, count, at_once))]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("nats-py")


class _Worker:
    """Executes and acknowledges messages; one that names where an answer is wanted is answered."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._record = recorder(Path(os.environ["ROOM"]) / "record")

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
    """Have requests pushed."""
    connection = await _connect(port)
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=10_000)
    worker = _Worker(connection)
    await connection.jetstream().subscribe(
        "bench", durable="workers", cb=worker.received, manual_ack=True, config=config
    )
    tell_ready()
    await asyncio.Event().wait()


async def pull(port: int) -> None:
    """Fetch requests, many at a time."""
    connection = await _connect(port)
    config = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=10_000)
    subscription = await connection.jetstream().pull_subscribe("bench", durable="workers", config=config)
    worker = _Worker(connection)
    tell_ready()
    while True:
        try:
            messages = await subscription.fetch(_FETCH, timeout=60)
        except nats.errors.TimeoutError:
            continue
        for message in messages:
            await worker.received(message)


async def send(port: int, first: int, count: int, window: int) -> None:
    """Publish requests, at most so many that the server has not acknowledged."""
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
    tell_ready()
    watch = Stopwatch()
    for _ in range(window):
        await send_next()
    await done.wait()
    watch.tell()
    await connection.close()


async def ask(port: int, first: int, count: int, at_once: int) -> None:
    """Send requests, so many at once, and measure how long each takes."""
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
    tell_ready()
    latencies = Latencies(first, count, at_once)
    await send_next()
    await done.wait()
    latencies.tell()
    await connection.close()


def main() -> None:
    """Work, send or ask, as the command line says."""
    role, numbers = arguments()
    do: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {"push": push, "pull": pull, "send": send, "ask": ask}
    asyncio.run(do[role](*map(int, numbers)))


if __name__ == "__main__":
    main()

"""NATS without JetStream: a subscriber that is not connected misses messages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import nats
from nats.aio.msg import Msg

from benchmarks.contender import Contender, distributions
from benchmarks.work import Latencies, arguments, print_ready, recorder
from benchmarks.workspace import Workspace, free_port, listens, program, says


class Subject(Contender):
    """The worker's answer acknowledges a request."""

    name = "NATS core"
    promise = "answered when executed; nothing is kept or tried again"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        workspace.start(
            "NATS", [program("nats-server", "nats-server"), "-a", "127.0.0.1", "-p", str(self.port)], listens(self.port)
        )
        workspace.start("NATS worker", self.own_program("work", self.port), says("ready"))

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, concurrency)

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("nats-py")


async def work(port: int) -> None:
    """Execute and answer requests."""
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    record = recorder(Path(os.environ["WORKSPACE"]) / "record")

    async def received(message: Msg) -> None:
        record(message.data)
        await connection.publish(message.reply, message.data)

    await connection.subscribe("bench", "workers", received)
    await connection.flush()
    print_ready()
    await asyncio.Event().wait()


async def ask(port: int, first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and measure the latency of each."""
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    done = asyncio.Event()
    inbox = connection.new_inbox()

    async def send_next() -> None:
        while (content := latencies.next()) is not None:
            await connection.publish("bench", content, reply=inbox)

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
    if role == "work":
        asyncio.run(work(int(numbers[0])))
    else:
        port, first, count, window = map(int, numbers)
        asyncio.run(ask(port, first, count, window))


if __name__ == "__main__":
    main()

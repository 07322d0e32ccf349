"""NATS without JetStream: who is not there misses what is sent."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import nats
from nats.aio.msg import Msg

from benchmarks.contender import Contender, distributions
from benchmarks.room import Room, free_port, listens, program, says
from benchmarks.work import Latencies, arguments, recorder, tell_ready


class Subject(Contender):
    """A request is acknowledged by an answer of the worker."""

    name = "NATS core"
    promise = "answered when executed; nothing is kept or tried again"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        room.start(
            "NATS", [program("nats-server", "nats-server"), "-a", "127.0.0.1", "-p", str(self.port)], listens(self.port)
        )
        room.start("NATS worker", self.own_program("work", self.port), says("ready"))

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, at_once)

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("nats-py")


async def work(port: int) -> None:
    """Execute and answer requests."""
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    record = recorder(Path(os.environ["ROOM"]) / "record")

    async def received(message: Msg) -> None:
        record(message.data)
        await connection.publish(message.reply, message.data)

    await connection.subscribe("bench", "workers", received)
    await connection.flush()
    tell_ready()
    await asyncio.Event().wait()


async def ask(port: int, first: int, count: int, at_once: int, *, is_told: bool = True) -> None:
    """Send requests, at most so many without an answer, and measure how long each takes."""
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
    tell_ready()
    latencies = Latencies(first, count, at_once)
    await send_next()
    await done.wait()
    if is_told:
        latencies.tell()
    else:
        latencies.watch.tell()
    await connection.close()


def main() -> None:
    """Work, send or ask, as the command line says."""
    role, numbers = arguments()
    if role == "work":
        asyncio.run(work(int(numbers[0])))
    else:
        port, first, count, window = map(int, numbers)
        asyncio.run(ask(port, first, count, window, is_told=role == "ask"))


if __name__ == "__main__":
    main()

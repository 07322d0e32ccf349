"""Redis, which runs a Lua script for each request itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import redis

from benchmarks.contender import Contender, distributions
from benchmarks.redis_server import start_redis
from benchmarks.room import Room, free_port
from benchmarks.work import Latencies, Stopwatch, arguments, requests, tell_ready

_SCRIPT = "redis.call('RPUSH', 'record', ARGV[1]) return ARGV[1]"


class Subject(Contender):
    """No queue and no worker: the script keeps everybody else waiting. It records in a list, since it has no files."""

    name = "Redis, Lua script"
    promise = "answered when executed; nothing waits, nothing is tried again"
    window: ClassVar[int] = 64

    def __init__(self) -> None:
        self.port = free_port()

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        start_redis(room, self.port, appendonly=False)

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, at_once)

    def executed(self, room: Room) -> Iterable[bytes]:
        """See :class:`Contender`."""
        with redis.Redis(port=self.port) as connection:
            contents: list[bytes] = connection.lrange("record", 0, -1)
            connection.delete("record")
        return contents

    def count_executed(self, room: Room) -> int | None:
        """See :class:`Contender`."""
        return None

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("redis")


def send(connection: redis.Redis, digest: str, first: int, count: int, window: int) -> None:
    """Send requests in pipelines, since one at a time would measure the way there and back."""
    contents = requests(first, count)
    watch = Stopwatch()
    for start in range(0, count, window):
        with connection.pipeline(transaction=False) as pipeline:
            for content in contents[start : start + window]:
                pipeline.evalsha(digest, 0, content)
            pipeline.execute()
    watch.tell()


def ask(connection: redis.Redis, digest: str, first: int, count: int, at_once: int) -> None:
    """Send requests, so many in a pipeline, and measure how long each takes."""
    latencies = Latencies(first, count, at_once)
    while latencies.left:
        with connection.pipeline(transaction=False) as pipeline:
            while (content := latencies.next()) is not None:
                pipeline.evalsha(digest, 0, content)
            for answer in pipeline.execute():
                latencies.answered(answer)
    latencies.tell()


def main() -> None:
    """Send or ask, as the command line says."""
    role, numbers = arguments()
    port, first, count, window = map(int, numbers)
    with redis.Redis(port=port) as connection:
        digest = connection.script_load(_SCRIPT)
        tell_ready()
        (send if role == "send" else ask)(connection, digest, first, count, window)


if __name__ == "__main__":
    main()

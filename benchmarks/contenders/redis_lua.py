"""Redis, which runs a Lua script for each request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import redis

from benchmarks.contender import Contender, distributions
from benchmarks.redis_server import start_redis
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, requests
from benchmarks.workspace import Workspace, free_port

_SCRIPT = "redis.call('RPUSH', 'record', ARGV[1]) return ARGV[1]"


class Subject(Contender):
    """No queue and no worker: a script blocks all other clients. It records in a list, because it has no files."""

    name = "Redis, Lua script"
    promise = "answered when executed; nothing waits, nothing is tried again"
    window: ClassVar[int] = 64

    def __init__(self) -> None:
        self.port = free_port()

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        start_redis(workspace, self.port, appendonly=False)

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, concurrency)

    def executed(self, workspace: Workspace) -> Iterable[bytes]:
        """See :class:`Contender`."""
        with redis.Redis(port=self.port) as connection:
            contents: list[bytes] = connection.lrange("record", 0, -1)
            connection.delete("record")
        return contents

    def count_executed(self, workspace: Workspace) -> int | None:
        """See :class:`Contender`."""
        return None

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("redis")


def send(connection: redis.Redis, digest: str, first: int, count: int, window: int) -> None:
    """Send requests in pipelines, because single requests would measure the round trip."""
    contents = requests(first, count)
    watch = Stopwatch()
    for start in range(0, count, window):
        with connection.pipeline(transaction=False) as pipeline:
            for content in contents[start : start + window]:
                pipeline.evalsha(digest, 0, content)
            pipeline.execute()
    watch.report()


def ask(connection: redis.Redis, digest: str, first: int, count: int, concurrency: int) -> None:
    """Send requests, ``concurrency`` in a pipeline, and measure the latency of each."""
    latencies = Latencies(first, count, concurrency)
    while latencies.left:
        with connection.pipeline(transaction=False) as pipeline:
            while (content := latencies.next()) is not None:
                pipeline.evalsha(digest, 0, content)
            for answer in pipeline.execute():
                latencies.answered(answer)
    latencies.report()


def main() -> None:
    """Send requests, or measure latency, as the command line says."""
    role, numbers = arguments()
    port, first, count, window = map(int, numbers)
    with redis.Redis(port=port) as connection:
        digest = connection.script_load(_SCRIPT)
        print_ready()
        (send if role == "send" else ask)(connection, digest, first, count, window)


if __name__ == "__main__":
    main()

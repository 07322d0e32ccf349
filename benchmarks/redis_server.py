"""Redis, for the contenders that build on it."""

from __future__ import annotations

from benchmarks.room import Room, listens, program


def start_redis(room: Room, port: int, *, appendonly: bool) -> None:
    """Start a Redis in the room; one that appends writes its file through to the disk each second."""
    command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    room.start("Redis", [*command, "--appendonly", "yes" if appendonly else "no"], listens(port))

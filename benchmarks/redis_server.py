"""Redis, for the contenders that build on it."""

from __future__ import annotations

from benchmarks.workspace import Workspace, listens, program


def start_redis(workspace: Workspace, port: int, *, appendonly: bool) -> None:
    """Start Redis in the workspace; with ``appendonly`` it syncs its file to the disk each second."""
    command = [program("redis-server", "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    workspace.start("Redis", [*command, "--appendonly", "yes" if appendonly else "no"], listens(port))

"""Our worker with the broker in its own process, as the shipped configuration has it."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.room import Room


class Subject(mlm.Mlm):
    """One process."""

    name = "Alaska, broker embedded"
    promise = "as Alaska, memory, in one process"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(room)
        mlm.our_worker(room, self.endpoint, embedded=True, name="worker with broker")

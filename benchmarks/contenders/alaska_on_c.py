"""Our worker on the broker in C, which confirms nothing."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.room import Room


class Subject(mlm.Mlm):
    """What a site that keeps its broker gets."""

    name = "Alaska's worker, C broker"
    promise = "none"
    window = 0

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(room)
        mlm.c_broker(room, self.endpoint)
        mlm.our_worker(room, self.endpoint)

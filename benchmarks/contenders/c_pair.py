"""The worker and the broker in C, which Alaska has to be measured by."""

from __future__ import annotations

from typing import ClassVar

from benchmarks import mlm
from benchmarks.room import Room


class Subject(mlm.Mlm):
    """Its worker passes requests to threads through memory that it uses again, so some are lost, others repeated."""

    name = "C worker, C broker"
    promise = "none"
    window = 0
    versions_of: ClassVar[tuple[str, ...]] = ()

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(room)
        mlm.c_broker(room, self.endpoint)
        mlm.c_worker(room, self.endpoint)

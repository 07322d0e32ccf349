"""Our worker on our broker, which keeps everything in memory."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.room import Room


class Subject(mlm.Mlm):
    """Two processes; a producer in C, so that they are what is measured."""

    name = "Alaska, memory"
    promise = "confirmed when the script has ended; redelivered; in memory"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(room)
        mlm.our_broker(room, self.endpoint)
        mlm.our_worker(room, self.endpoint)

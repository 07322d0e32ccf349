"""Our worker on our broker, which has a request on the disk before it says 201."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.room import Room


class Subject(mlm.Mlm):
    """As in memory, with a store and fsync."""

    name = "Alaska, durable"
    promise = "201 after fsync, confirmed when the script has ended; redelivered"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(room)
        mlm.our_broker(room, self.endpoint, durable=True)
        mlm.our_worker(room, self.endpoint)

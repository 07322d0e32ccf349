"""Our worker on our broker, which writes a request to the disk before it sends 201."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.workspace import Workspace


class Subject(mlm.Mlm):
    """Like ``alaska_memory``, with a store and fsync."""

    name = "Alaska, durable"
    promise = "201 after fsync, confirmed when the script has ended; redelivered"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(workspace)
        mlm.our_broker(workspace, self.endpoint, durable=True)
        mlm.our_worker(workspace, self.endpoint)

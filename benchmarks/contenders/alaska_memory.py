"""Our worker on our broker, with everything in memory."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.workspace import Workspace


class Subject(mlm.Mlm):
    """Two processes; the producer is in C, so that it takes little of the processor."""

    name = "Alaska, memory"
    promise = "confirmed when the script has ended; redelivered; in memory"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(workspace)
        mlm.our_broker(workspace, self.endpoint)
        mlm.our_worker(workspace, self.endpoint)

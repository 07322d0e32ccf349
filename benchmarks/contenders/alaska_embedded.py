"""Our worker with an embedded broker, as in the shipped configuration."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.workspace import Workspace


class Subject(mlm.Mlm):
    """Worker and broker in one process."""

    name = "Alaska, broker embedded"
    promise = "as Alaska, memory, in one process"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(workspace)
        mlm.our_worker(workspace, self.endpoint, embedded=True, name="worker with broker")

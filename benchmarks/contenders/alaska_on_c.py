"""Our worker on the C broker, which sends no confirmations."""

from __future__ import annotations

from benchmarks import mlm
from benchmarks.workspace import Workspace


class Subject(mlm.Mlm):
    """The set-up of a site that keeps its C broker."""

    name = "Alaska's worker, C broker"
    promise = "none"
    window = 0

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(workspace)
        mlm.c_broker(workspace, self.endpoint)
        mlm.our_worker(workspace, self.endpoint)

"""The C worker on the C broker, the baseline for Alaska."""

from __future__ import annotations

from typing import ClassVar

from benchmarks import mlm
from benchmarks.workspace import Workspace


class Subject(mlm.Mlm):
    """The C worker passes requests to threads through memory that it reuses, so some are lost and others repeated."""

    name = "C worker, C broker"
    promise = "none"
    window = 0
    versions_of: ClassVar[tuple[str, ...]] = ()

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        mlm.write_scripts(workspace)
        mlm.c_broker(workspace, self.endpoint)
        mlm.c_worker(workspace, self.endpoint)

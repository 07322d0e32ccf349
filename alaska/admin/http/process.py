"""What the process as a whole shows: its parts, its memory, and how late its event loop is."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterable, Sequence
from time import time

from prometheus_client import Metric

import alaska
from alaska.access import Level
from alaska.admin.http.answers import Answer, in_json
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.users import Role
from alaska.admin.operations import IAdministered
from alaska.admin.process_metrics import system_metrics
from alaska.admin.snapshots import Snapshot


class Part(Snapshot, frozen=True, kw_only=True):
    """A broker or a worker, and the path below which it is asked."""

    kind: str
    path: str


class Process(Snapshot, frozen=True, kw_only=True):
    """A process in one look.

    ``loop_lag`` is how many seconds late its event loop was at worst within the last ten seconds. ``memory``,
    ``cpu_seconds``, ``descriptors`` and ``most_descriptors`` are what the system says; None if it does not. ``sends``:
    messages can be sent by HTTP here.
    """

    version: str
    python: str
    host: str
    pid: int
    time: float
    parts: list[Part]
    sends: bool
    loop_lag: float
    memory: float | None
    cpu_seconds: float | None
    started: float | None
    descriptors: float | None
    most_descriptors: float | None


class ProcessPage:
    """Answers with the process. ``lag`` returns how late the event loop was; the parts have the paths of the API."""

    def __init__(
        self,
        administered: Sequence[tuple[str, IAdministered]],
        sends: bool,
        lag: Callable[[], float],
        system: Callable[[], Iterable[Metric]] | None = None,
    ) -> None:
        self._parts = [Part(kind=_kind_of(each), path=path[1:]) for path, each in administered]
        self._sends = sends
        self._lag = lag
        self._system = system or system_metrics()

    def routes(self) -> list[Route]:
        """Return the routes."""
        answers = {200: ("Success.", Process)}
        return [
            Route(
                "GET", "/api/v1/process", self.answer, Role.VIEW, "The process in one look.", answers, level=Level.VIEW
            )
        ]

    def answer(self, asked: Asked) -> Answer:
        """Answer with the process."""
        del asked
        return in_json(self.process())

    def process(self) -> Process:
        """Return the process as it is now."""
        found = {sample.name: sample.value for metric in self._system() for sample in metric.samples}
        return Process(
            version=alaska.__version__,
            python=platform.python_version(),
            host=socket.gethostname(),
            pid=os.getpid(),
            time=time(),
            parts=self._parts,
            sends=self._sends,
            loop_lag=self._lag(),
            memory=found.get("process_resident_memory_bytes"),
            cpu_seconds=found.get("process_cpu_seconds_total"),
            started=found.get("process_start_time_seconds"),
            descriptors=found.get("process_open_fds"),
            most_descriptors=found.get("process_max_fds"),
        )


def _kind_of(administered: IAdministered) -> str:
    return "broker" if "queues" in administered.operations else "worker"

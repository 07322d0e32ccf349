"""Runs scripts without a worker and a broker, for ``alas run`` and ``alas check``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from alaska.config import WorkerSettings
from alaska.errors import AlaskaError, ScriptError
from alaska.lua.questions import NONE, Frames
from alaska.lua.request import Outcome, Request
from alaska.pool.runners import runner_maker
from alaska.store.kv import KeyValues
from alaska.traces.context import TraceContext
from alaska.worker.calls import AnyRequester, Calls
from alaska.worker.requester import Asked


class NoBroker:
    """Answers the requests of scripts to other services, in place of a broker."""

    def ask_all(
        self, requests: Sequence[Asked], trace: TraceContext | None = None, owner: Request | None = None
    ) -> list[Frames]:
        """Return for each request that there is no answer."""
        return [(NONE, b"there is no broker here to ask") for _ in requests]


class Bench:
    """Runs scripts of one directory with the worker's settings, in a thread.

    ``requester`` answers their requests to other services, and ``kv`` is their key-value store, by default one in
    memory.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        directory: Path,
        requester: AnyRequester | None = None,
        kv: KeyValues | None = None,
    ) -> None:
        self._kv = KeyValues(None, settings.kv_limit) if kv is None else kv
        self._requester = NoBroker() if requester is None else requester
        self._settings = replace(settings, scripts_dir=directory)
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome | Exception] = SimpleQueue()
        # In a daemon thread, so that a stuck script does not keep the program from exiting.
        Thread(target=self._work, daemon=True).start()

    def run(self, request: Request, seconds: float | None = None) -> Outcome:
        """Run the script of a request; give up after this many seconds."""
        self._requests.put(request)
        try:
            outcome = self._outcomes.get(timeout=seconds)
        except Empty:
            return Outcome(error=ScriptError(f"it did not end within {seconds} s, and it could not be stopped"))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Close the interpreter."""
        self._requests.put(None)

    def _work(self) -> None:
        runner = runner_maker(self._settings, partial_results=False)(Calls(self._kv, self._requester))
        while (request := self._requests.get()) is not None:
            try:
                self._outcomes.put(runner.run(request))
            except AlaskaError as error:
                self._outcomes.put(error)
        runner.close()

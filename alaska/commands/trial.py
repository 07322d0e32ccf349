"""Running a script without a worker: what it asks of one is answered here."""

from __future__ import annotations

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
from alaska.worker.calls import Calls


class Nobody:
    """Who could be asked, where there is no broker."""

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float) -> Frames:
        """Say that there is no answer."""
        return NONE, b"there is no broker here to ask"


class Bench:
    """Runs scripts of one folder as a worker with these settings does, with a key-value store of its own in memory."""

    def __init__(self, settings: WorkerSettings, directory: Path) -> None:
        self._kv = KeyValues(None, settings.kv_limit)
        self._settings = replace(settings, scripts_dir=directory)
        self._requests: SimpleQueue[Request | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome | Exception] = SimpleQueue()
        # In a thread, so that a script that cannot be ended keeps nobody from ending the program.
        Thread(target=self._work, daemon=True).start()

    def run(self, request: Request, seconds: float | None = None) -> Outcome:
        """Run the script of a request; give up after so many seconds."""
        self._requests.put(request)
        try:
            outcome = self._outcomes.get(timeout=seconds)
        except Empty:
            return Outcome(error=ScriptError(f"it did not end within {seconds} s, and it could not be stopped"))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        """Let go of the interpreter."""
        self._requests.put(None)

    def _work(self) -> None:
        runner = runner_maker(self._settings, tells=False)(Calls(self._kv, Nobody()))
        while (request := self._requests.get()) is not None:
            try:
                self._outcomes.put(runner.run(request))
            except AlaskaError as error:
                self._outcomes.put(error)
        runner.close()

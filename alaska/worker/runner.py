"""From a request to the script that its subject names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from alaska.errors import ScriptError
from alaska.worker.lua import LuaRunner
from alaska.worker.request import Outcome, Request
from alaska.worker.scripts import Scripts
from alaska.worker.values import Coder


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """What a runner of scripts is made from: plain values, which can cross to another process.

    ``directory`` is that of the scripts, as octets.
    """

    directory: bytes

    def make_runner(self) -> ScriptRunner:
        """Return a runner, to be used in the thread that calls."""
        return ScriptRunner(Path(os.fsdecode(self.directory)))


SETTINGS = Coder(ScriptSettings)


class ScriptRunner:
    """What a thread of the pool does: it finds the script of a request and runs it."""

    def __init__(self, directory: Path) -> None:
        self._scripts = Scripts(directory)
        self._lua = LuaRunner()

    def run(self, request: Request) -> Outcome:
        """Run the script of a request; one that cannot be found is an outcome like any other."""
        started = perf_counter()
        try:
            script = self._scripts.find(request.subject)
        except ScriptError as error:
            return Outcome((), b"", error)
        outcome = self._lua.run(script, request)
        outcome.seconds = perf_counter() - started
        return outcome

    def close(self) -> None:
        """Let go of the interpreter."""
        self._lua.close()

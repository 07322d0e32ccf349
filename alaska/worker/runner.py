"""From a request to the script that its subject names."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from alaska.errors import ScriptError
from alaska.worker.lua import LuaRunner
from alaska.worker.options import LuaOptions
from alaska.worker.request import Outcome, Request
from alaska.worker.scripts import Scripts


class ScriptRunner:
    """What a thread of the pool does: it finds the script of a request and runs it."""

    def __init__(self, directory: Path, options: LuaOptions) -> None:
        self._scripts = Scripts(directory)
        self._lua = LuaRunner(options)

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

"""Several small scripts in one call into Lua."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from alaska.lua.interpreter import SHORT_OCTETS, LuaRunner
from alaska.lua.request import Call, Outcome, Request
from alaska.lua.runner import ScriptRunner, ScriptSettings, Versions
from alaska.lua.scripts import Script
from alaska.pool.claims import MOST, Claims

BATCH_SECONDS = 0.001
"""What is run in one go should last so long at most."""
WEIGHT_OF_NEW = 0.2


def batch_runner(settings: ScriptSettings, call: Call) -> BatchRunner:
    """Return a runner as :meth:`ScriptSettings.make_runner` does, which can run several scripts in one go."""
    claims = Claims()
    return BatchRunner(settings.versions(call), settings.lua_runner(call, claims), claims)


class BatchRunner(ScriptRunner):
    """Also runs several scripts in one call into Lua, as long as they are quick and leave nothing to be told.

    Each call into Lua lets go of Python's lock, and gets it back when the reactor lets go of it. For a small script
    that takes longer than the script.
    """

    def __init__(self, versions: Versions, lua: LuaRunner, claims: Claims) -> None:
        super().__init__(versions, lua)
        self.claims = claims
        self._mean_seconds: float | None = None
        self._fitting: list[Script] = []

    def run(self, request: Request) -> Outcome:
        """See :class:`ScriptRunner`."""
        outcome = super().run(request)
        self._took(outcome.seconds)
        return outcome

    def _took(self, seconds: float) -> None:
        mean = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean + WEIGHT_OF_NEW * (seconds - mean)

    def depth(self, request: Request) -> int:
        """See :class:`alaska.pool.slot.RunsBatches`."""
        if self._mean_seconds is None or not self._lua.is_quiet(request.subject):
            return 1
        return min(MOST, int(BATCH_SECONDS / max(self._mean_seconds, 1e-6)))

    def fit(self, requests: Sequence[Request]) -> int:
        """See :class:`alaska.pool.slot.RunsBatches`."""
        self._fitting = []
        octets = 0
        for request in requests:
            script = self._versions.unchanged(request)
            octets += len(request.context)
            if script is None or octets > SHORT_OCTETS or not self._lua.fits(script):
                break
            self._fitting.append(script)
        return len(self._fitting)

    def run_batch(self, requests: Sequence[Request]) -> Outcome | None:
        """See :class:`alaska.pool.slot.RunsBatches`."""
        started = perf_counter()
        outcome = self._lua.run_several(self._fitting, requests)
        self._took((perf_counter() - started) / len(requests))
        return outcome

    def close(self) -> None:
        """Let go of the interpreter and the claims."""
        super().close()
        self.claims.close()

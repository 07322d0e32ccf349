"""Batching: several short scripts run in one call into Lua."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

from alaska.lua.description import SHORT_OCTETS
from alaska.lua.interpreter import LuaRunner
from alaska.lua.request import Call, Outcome, Request
from alaska.lua.runner import ScriptRunner, ScriptSettings, Versions
from alaska.lua.scripts import Script
from alaska.pool.claims import MOST, Claims

BATCH_SECONDS = 0.001
"""Target duration of one batch."""
WEIGHT_OF_NEW = 0.2


def batch_runner(settings: ScriptSettings, call: Call) -> BatchRunner:
    """Return a runner like :meth:`ScriptSettings.make_runner`, which can also run batches."""
    claims = Claims()
    return BatchRunner(settings.versions(call), settings.lua_runner(call, claims), claims)


class BatchRunner(ScriptRunner):
    """Runs several scripts in one call into Lua, as long as they are short and produce no output, sends or errors.

    Each call into Lua releases the GIL and must then wait for the reactor to release it. For a short script that
    takes longer than the script itself.
    """

    def __init__(self, versions: Versions, lua: LuaRunner, claims: Claims) -> None:
        super().__init__(versions, lua)
        self.claims = claims
        self._mean_seconds: float | None = None
        self._batch_scripts: list[Script] = []

    def run(self, request: Request) -> Outcome:
        """See :class:`ScriptRunner`."""
        outcome = super().run(request)
        self._record_seconds(outcome.seconds)
        return outcome

    def _record_seconds(self, seconds: float) -> None:
        mean = seconds if self._mean_seconds is None else self._mean_seconds
        self._mean_seconds = mean + WEIGHT_OF_NEW * (seconds - mean)

    def depth(self, request: Request) -> int:
        """See :class:`alaska.pool.slot.SupportsBatches`."""
        if self._mean_seconds is None or not self._lua.is_quiet(request.subject):
            return 1
        return min(MOST, int(BATCH_SECONDS / max(self._mean_seconds, 1e-6)))

    def fit(self, requests: Sequence[Request]) -> int:
        """See :class:`alaska.pool.slot.SupportsBatches`."""
        self._batch_scripts = []
        octets = 0
        for request in requests:
            script = self._versions.unchanged(request)
            octets += request.octets
            if script is None or octets > SHORT_OCTETS or not self._lua.fits(script, request):
                break
            self._batch_scripts.append(script)
        return len(self._batch_scripts)

    def run_batch(self, requests: Sequence[Request]) -> Outcome | None:
        """See :class:`alaska.pool.slot.SupportsBatches`."""
        started = perf_counter()
        outcome = self._lua.run_several(self._batch_scripts, requests)
        self._record_seconds((perf_counter() - started) / len(requests))
        return outcome

    def close(self) -> None:
        """Close the interpreter and the claims."""
        super().close()
        self.claims.close()

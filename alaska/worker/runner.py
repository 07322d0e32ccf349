"""From a request to the script that its subject names."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from alaska.errors import ScriptBroken, ScriptError, ScriptNotFound, ScriptUnreadable
from alaska.worker.claims import MOST, Claims
from alaska.worker.files import Version
from alaska.worker.lua import SHORT_OCTETS, LuaRunner
from alaska.worker.options import LuaOptions
from alaska.worker.questions import pack, unpack
from alaska.worker.request import Broken, Call, Outcome, Request
from alaska.worker.scripts import Script, Scripts
from alaska.worker.values import Coder

if TYPE_CHECKING:  # What runs in a child process starts without what reads settings.
    from alaska.config import WorkerSettings

BATCH_SECONDS = 0.001
"""What is run in one go should last so long at most."""
WEIGHT_OF_NEW = 0.2


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """What a runner of scripts is made from: plain values, which can cross to another process.

    ``directory`` is that of the scripts, as octets; ``config`` what they find in ``alaska.config``, as JSON.
    """

    directory: bytes
    lua: LuaOptions = field(default_factory=LuaOptions)
    keep_last_good: bool = False
    config: bytes = b"[]"

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> ScriptSettings:
        """Return what the settings of a worker say."""
        return cls(
            os.fsencode(settings.scripts_dir),
            LuaOptions.from_settings(settings),
            settings.scripts_keep,
            json.dumps(settings.scripts_env).encode(),
        )

    def make_runner(self, call: Call) -> ScriptRunner:
        """Return a runner, to be used in the thread that calls; ``call`` answers what scripts ask of the worker."""
        return ScriptRunner(self._versions(call), LuaRunner(self.lua, call, json.loads(self.config)))

    def make_batch_runner(self, call: Call) -> BatchRunner:
        """Return a runner as :meth:`make_runner` does, which can run several scripts in one go."""
        claims = Claims()
        return BatchRunner(self._versions(call), LuaRunner(self.lua, call, json.loads(self.config), claims), claims)

    def _versions(self, call: Call) -> Versions:
        return Versions(Scripts(Path(os.fsdecode(self.directory))), self.keep_last_good, call)


SETTINGS = Coder(ScriptSettings)


class Versions:
    """Which version of each script runs: the newest, or where that is broken perhaps the last good one.

    The worker keeps the last good versions, and is asked for them: one runner may meet a broken version of a script
    that only others have run before.
    """

    def __init__(self, scripts: Scripts, keep_last_good: bool, call: Call) -> None:
        self._scripts = scripts
        self._keeps = keep_last_good
        self._call = call
        self._good: dict[bytes, Script] = {}
        self._broken: dict[bytes, Broken] = {}

    def find(self, request: Request) -> tuple[Script, Broken | None]:
        """Return what runs for a request, and the newest version if that is broken and so not what runs.

        :raises ScriptNotFound: as of :meth:`Scripts.find`.
        """
        subject = request.subject
        script = self._scripts.find(subject, request.arrived)
        broken = self._broken.get(subject)
        if broken is not None and broken.version == script.version:
            return self._good[subject], broken
        return script, None

    def unchanged(self, request: Request) -> Script | None:
        """Return what :meth:`find` would, if that is known to be good and has not changed; else None, and at once."""
        script = self._scripts.unchanged(request.subject, request.arrived)
        return None if request.subject in self._broken else script

    def compiled(self, script: Script, request: Request) -> None:
        """Take note of a version that compiles."""
        if self._keeps and self._good.get(script.name) is not script:
            self._good[script.name] = script
            version = b" ".join(b"%d" % number for number in script.version)
            question = b"", b"good.set", version, os.fsencode(script.path), script.source
            self._call(request, pack(question))

    def is_replaced(self, script: Script, error: ScriptError, request: Request) -> bool:
        """Return whether another version is to run instead of one that does not compile; :meth:`find` has it then.

        A version that its author was just writing is followed by the next, which may take a second.

        :raises ScriptNotFound: as of :meth:`Scripts.find`.
        """
        if self._scripts.replaced(script) is not None:
            return True
        if not self._keeps:
            return False
        _, *found = unpack(self._call(request, pack((b"", b"good.get"))))
        if not found:
            return False
        numbers, path, source = found
        version = Version(*map(int, numbers.split()))
        if version == script.version:
            return False
        self._good[script.name] = Script(script.name, Path(os.fsdecode(path)), source, version)
        self._broken[script.name] = Broken(script.version, error)
        return True


class ScriptRunner:
    """What a thread of the pool does: it finds the script of a request and runs it."""

    def __init__(self, versions: Versions, lua: LuaRunner) -> None:
        self._versions = versions
        self._lua = lua

    def run(self, request: Request) -> Outcome:
        """Run the script of a request; one that cannot be found is an outcome like any other."""
        started = perf_counter()
        try:
            outcome = self._run(request)
        except (ScriptNotFound, ScriptUnreadable) as error:
            return Outcome((), b"", error)
        outcome.seconds = perf_counter() - started
        return outcome

    def _run(self, request: Request) -> Outcome:
        while True:
            script, broken = self._versions.find(request)
            outcome = self._lua.run(script, request)
            if not isinstance(outcome.error, ScriptBroken):
                self._versions.compiled(script, request)
                break
            if not self._versions.is_replaced(script, outcome.error, request):
                break
        outcome.broken = broken
        return outcome

    def close(self) -> None:
        """Let go of the interpreter."""
        self._lua.close()


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
        """See :class:`alaska.worker.slot.RunsBatches`."""
        if self._mean_seconds is None or not self._lua.is_quiet(request.subject):
            return 1
        return min(MOST, int(BATCH_SECONDS / max(self._mean_seconds, 1e-6)))

    def fit(self, requests: Sequence[Request]) -> int:
        """See :class:`alaska.worker.slot.RunsBatches`."""
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
        """See :class:`alaska.worker.slot.RunsBatches`."""
        started = perf_counter()
        outcome = self._lua.run_several(self._fitting, requests)
        self._took((perf_counter() - started) / len(requests))
        return outcome

    def close(self) -> None:
        """Let go of the interpreter and the claims."""
        super().close()
        self.claims.close()

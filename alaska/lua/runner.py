"""Runs the script that a request's subject names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from alaska.errors import ScriptBroken, ScriptError, ScriptNotFound, ScriptUnreadable
from alaska.lua.files import Version
from alaska.lua.header import NO_HEADER
from alaska.lua.interpreter import LuaRunner, RequestClaims
from alaska.lua.options import LuaOptions
from alaska.lua.questions import pack, unpack
from alaska.lua.request import Broken, Call, Outcome, Request
from alaska.lua.scripts import Script, Scripts
from alaska.lua.values import Coder

if TYPE_CHECKING:  # Child processes do not import the settings, to start faster.
    from alaska.config import WorkerSettings


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """Settings of a script runner: plain values that can be passed to another process.

    ``directory`` is the scripts directory, as octets. ``config`` is the content of ``alaska.config``, as JSON.
    """

    directory: bytes
    lua: LuaOptions = field(default_factory=LuaOptions)
    keep_last_good: bool = False
    config: bytes = b"[]"

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> ScriptSettings:
        """Return the runner settings for a worker's settings."""
        return cls(
            os.fsencode(settings.scripts_dir),
            LuaOptions.from_settings(settings),
            settings.scripts_keep,
            json.dumps(settings.scripts_env).encode(),
        )

    def make_runner(self, call: Call) -> ScriptRunner:
        """Return a runner for use in the calling thread. ``call`` answers questions of scripts to the worker."""
        return ScriptRunner(self.versions(call), self.lua_runner(call))

    def lua_runner(self, call: Call, claims: RequestClaims | None = None) -> LuaRunner:
        """Return the Lua runner."""
        return LuaRunner(self.lua, call, json.loads(self.config), claims)

    def versions(self, call: Call) -> Versions:
        """Return the object that finds the scripts and selects their version."""
        return Versions(Scripts(Path(os.fsdecode(self.directory))), self.keep_last_good, call)


SETTINGS = Coder(ScriptSettings)


class Versions:
    """Selects the version of each script: the newest, or the last good one if enabled and the newest does not compile.

    The worker stores the last good versions, because a runner may meet a broken version of a script that so far ran in
    other runners only.
    """

    def __init__(self, scripts: Scripts, keep_last_good: bool, call: Call) -> None:
        self._scripts = scripts
        self._keep_last_good = keep_last_good
        self._call = call
        self._good: dict[bytes, Script] = {}
        self._broken: dict[bytes, Broken] = {}

    def find(self, request: Request) -> tuple[Script, Broken | None]:
        """Return the script for a request, and the newest version if it is broken and therefore does not run.

        :raises ScriptNotFound: like :meth:`Scripts.find`.
        """
        subject = request.subject
        script = self._scripts.find(subject, request.arrived)
        broken = self._broken.get(subject)
        if broken is not None and broken.version == script.version:
            return self._good[subject], broken
        return script, None

    def unchanged(self, request: Request) -> Script | None:
        """Return the cached script if it compiles and its file has not changed; else None, without waiting."""
        script = self._scripts.unchanged(request.subject, request.arrived)
        return None if request.subject in self._broken else script

    def compiled(self, script: Script, request: Request) -> None:
        """Record a version that compiles."""
        if self._keep_last_good and self._good.get(script.name) is not script:
            self._good[script.name] = script
            version = b" ".join(b"%d" % number for number in script.version)
            question = b"", b"good.set", version, os.fsencode(script.path), script.source
            self._call(request, pack(question))

    def is_replaced(self, script: Script, error: ScriptError, request: Request) -> bool:
        """Return whether another version replaces one that does not compile; then :meth:`find` returns it.

        Waits up to a second for a newer version, in case the file is being written.

        :raises ScriptNotFound: like :meth:`Scripts.find`.
        """
        if self._scripts.replaced(script) is not None:
            return True
        if not self._keep_last_good:
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
    """Finds the script of a request and runs it, in a thread of the pool."""

    def __init__(self, versions: Versions, lua: LuaRunner) -> None:
        self._versions = versions
        self._lua = lua

    def run(self, request: Request) -> Outcome:
        """Run the script of a request. A missing script is an outcome with an error."""
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
        header = script.header
        if header is not NO_HEADER and (header.faults or outcome.error is not None or outcome.verdict is not None):
            outcome.header = header
        return outcome

    @property
    def memory(self) -> int:
        """The memory of the interpreter in octets; any thread may read it."""
        return self._lua.memory

    def close(self) -> None:
        """Release the interpreter."""
        self._lua.close()

"""From a request to the script that its subject names."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from alaska.errors import ScriptBroken, ScriptError, ScriptNotFound, ScriptUnreadable
from alaska.lua.files import Version
from alaska.lua.interpreter import LuaRunner, MayBegin
from alaska.lua.options import LuaOptions
from alaska.lua.questions import pack, unpack
from alaska.lua.request import Broken, Call, Outcome, Request
from alaska.lua.scripts import Script, Scripts
from alaska.lua.values import Coder

if TYPE_CHECKING:  # What runs in a child process starts without what reads settings.
    from alaska.config import WorkerSettings


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
        return ScriptRunner(self.versions(call), self.lua_runner(call))

    def lua_runner(self, call: Call, claims: MayBegin | None = None) -> LuaRunner:
        """Return what runs the scripts that are found."""
        return LuaRunner(self.lua, call, json.loads(self.config), claims)

    def versions(self, call: Call) -> Versions:
        """Return what finds the scripts, and which of their versions runs."""
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

"""Same scripts, same results: all tests of scripts once more, in a child process."""

from __future__ import annotations

import json
from types import ModuleType
from typing import cast

from alaska.config.entries import Section
from alaska.lua.interpreter import LuaRunner
from alaska.lua.options import LuaOptions
from alaska.lua.request import Call, Outcome, Request
from alaska.lua.runner import SETTINGS, ScriptSettings
from alaska.lua.scripts import Script
from alaska.pool.isolated import IsolatedRunner
from alaska.pool.process import child_command
from tests.lua import test_api as test_lua_api
from tests.lua import test_interpreter as test_lua
from tests.lua import test_isolation as test_lua_isolation
from tests.lua import test_modules as test_lua_modules
from tests.lua import test_telling
from tests.lua.lua_case import LuaCase
from tests.pool import children


class ElsewhereRunner:
    """What stands in the place of a LuaRunner: it runs the script in a child process."""

    def __init__(self, options: LuaOptions, call: Call, config: Section) -> None:
        settings = ScriptSettings(b"", options, config=json.dumps(config).encode())
        command = child_command(children.program("lua"))
        self._runner = IsolatedRunner(command, SETTINGS.encode(settings), call=call)

    def run(self, script: Script, request: Request) -> Outcome:
        """See :class:`alaska.lua.interpreter.LuaRunner`."""
        told = json.dumps([script.name.hex(), str(script.path), script.source.hex(), script.version])
        return self._runner.run(request._replace(frames=(*request.frames, told.encode())))

    def close(self) -> None:
        """See :class:`alaska.lua.interpreter.LuaRunner`."""
        self._runner.close()


class Elsewhere(LuaCase):
    """Runs the scripts of a test in a child process."""

    def make_runner(self, options: LuaOptions, call: Call, config: Section) -> LuaRunner:
        """See :meth:`LuaCase.make_runner`."""
        return cast("LuaRunner", ElsewhereRunner(options, call, config))  # to tests it is the same


def elsewhere(module: ModuleType) -> dict[str, type]:
    """Return the test classes of a module, each as one that runs its scripts in child processes."""
    prefix = module.__name__.rpartition("_")[2].title()
    return {
        f"{prefix}{name}": type(f"{prefix}{name}", (Elsewhere, cls), {"__module__": __name__})
        for name, cls in vars(module).items()
        if isinstance(cls, type) and issubclass(cls, LuaCase) and cls.__module__ == module.__name__
    }


for _module in (test_lua, test_lua_api, test_lua_isolation, test_lua_modules, test_telling):
    globals().update(elsewhere(_module))

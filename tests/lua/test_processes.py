"""All tests of scripts again, with the scripts in a child process: the results are the same."""

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
from tests.lua import (
    test_api,
    test_asking,
    test_cjson,
    test_console,
    test_delivery,
    test_examples,
    test_interpreter,
    test_isolation,
    test_json,
    test_key_values,
    test_loading,
    test_modules,
    test_pretty,
    test_sending,
    test_terms,
    test_tracing,
    test_verdicts,
)
from tests.lua.lua_case import LuaCase
from tests.pool import children


class ProcessRunner:
    """Replaces LuaRunner: runs the scripts in a child process."""

    def __init__(self, options: LuaOptions, call: Call, config: Section) -> None:
        settings = ScriptSettings(b"", options, config=json.dumps(config).encode())
        command = child_command(children.program("lua"))
        self._runner = IsolatedRunner(command, SETTINGS.encode(settings), call=call)

    def run(self, script: Script, request: Request) -> Outcome:
        """See :class:`alaska.lua.interpreter.LuaRunner`."""
        description = json.dumps([script.name.hex(), str(script.path), script.source.hex(), script.version])
        return self._runner.run(request._replace(frames=(*request.frames, description.encode())))

    def close(self) -> None:
        """See :class:`alaska.lua.interpreter.LuaRunner`."""
        self._runner.close()


class InProcess(LuaCase):
    """Runs the scripts of a test in a child process."""

    def make_runner(self, options: LuaOptions, call: Call, config: Section) -> LuaRunner:
        """See :meth:`LuaCase.make_runner`."""
        return cast("LuaRunner", ProcessRunner(options, call, config))  # it has the same interface


def in_processes(module: ModuleType) -> dict[str, type]:
    """Return the test classes of a module, derived so that they run their scripts in child processes."""
    prefix = module.__name__.rpartition(".test_")[2].title().replace("_", "")
    return {
        f"{prefix}{name}": type(f"{prefix}{name}", (InProcess, cls), {"__module__": __name__})
        for name, cls in vars(module).items()
        if isinstance(cls, type) and issubclass(cls, LuaCase) and cls.__module__ == module.__name__
    }


for _module in (
    test_api,
    test_asking,
    test_cjson,
    test_console,
    test_delivery,
    test_examples,
    test_interpreter,
    test_isolation,
    test_json,
    test_key_values,
    test_loading,
    test_modules,
    test_pretty,
    test_sending,
    test_terms,
    test_tracing,
    test_verdicts,
):
    globals().update(in_processes(_module))

"""What the tests of the Lua side share: a folder of scripts and a runner."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from alaska.worker.lua import LuaRunner
from alaska.worker.options import LuaOptions
from alaska.worker.request import Outcome, Request
from alaska.worker.scripts import Scripts

VERSION = os.environ.get("ALASKA_TEST_LUA", LuaOptions().version)
"""One process runs one Lua; tests/test_lua_versions.py runs the tests again with the other one."""
TRUSTED = LuaOptions(version=VERSION, sandbox=False, system_modules=False)
SANDBOXED = replace(TRUSTED, sandbox=True)
IS_JIT = VERSION == "luajit"


# Marks a test of what LuaJIT does not have.
only_in_5_4 = skipIf(IS_JIT, "LuaJIT is Lua 5.1")


class LuaCase(SynchronousTestCase):
    """Each test has a scripts directory of its own, and a runner that runs what it writes there."""

    options: ClassVar[LuaOptions] = TRUSTED

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.scripts = Scripts(self.directory)
        self.use()
        self.addCleanup(self.close_runner)

    def close_runner(self) -> None:
        """Close the runner that is used now."""
        self.runner.close()

    def use(self, **changes: Any) -> None:
        """Run what follows with other options."""
        self.runner = LuaRunner(replace(self.options, **changes))

    def write(self, name: str, source: str | bytes) -> None:
        """Write a file of the scripts directory."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.encode() if isinstance(source, str) else source)

    def outcome(self, source: str | bytes, *frames: bytes, name: str = "script") -> Outcome:
        """Run a source as the script of a request with these content frames."""
        self.write(f"{name}.lua", source)
        return self.outcome_of(name, *frames)

    def outcome_of(self, name: str, *frames: bytes) -> Outcome:
        """Run the script that stands in a file already."""
        subject = name.encode()
        return self.runner.run(self.scripts.find(subject), Request(b"sender", b"default", subject, b"", frames))

    def output(self, source: str | bytes, *frames: bytes) -> str:
        """Return what a script prints, which must come to its end."""
        outcome = self.outcome(source, *frames)
        self.assertIsNone(outcome.error, str(outcome.error))
        return outcome.output.decode()

    def error(self, source: str | bytes, *frames: bytes) -> str:
        """Return the error of a script that must fail."""
        outcome = self.outcome(source, *frames)
        assert outcome.error is not None, outcome
        return str(outcome.error)


def limit_of(outcome: Outcome) -> str | None:
    """Return the setting whose limit a script that failed has exceeded."""
    assert outcome.error is not None, outcome
    return outcome.error.limit

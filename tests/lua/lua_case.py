"""Base class of tests that run scripts: a folder of scripts and a runner."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from alaska.config.entries import Section
from alaska.lua.interpreter import LuaRunner
from alaska.lua.options import LuaOptions
from alaska.lua.request import Call, Outcome, Request, Send, SendKind
from alaska.lua.scripts import Scripts
from alaska.store.kv import KeyValues
from alaska.worker.calls import Calls
from tests.asking import AnswersEach

VERSION = os.environ.get("ALASKA_TEST_LUA", LuaOptions().version)
"""The version of Lua. A process can run only one; tests/lua/test_lua_versions.py runs the tests again with the others.
"""
TRUSTED = LuaOptions(version=VERSION, sandbox=False, system_modules=False)
SANDBOXED = replace(TRUSTED, sandbox=True)
IS_JIT = VERSION == "luajit"


# Marks tests of features that LuaJIT does not have.
only_in_5_4 = skipIf(IS_JIT, "LuaJIT is Lua 5.1")


class LuaCase(AnswersEach, SynchronousTestCase):
    """Each test has its own scripts directory, and a runner for the scripts in it."""

    options: ClassVar[LuaOptions] = TRUSTED

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.scripts = Scripts(self.directory, settle=0)
        self.kv = KeyValues(None)
        self.addCleanup(self.kv.close)
        self.asked: list[tuple[bytes, bytes, bytes, float]] = []
        self.answers: list[tuple[bytes, ...]] = []
        self.now = 1000.0
        self.use()

    def use(self, config: Section = (), **changes: Any) -> None:
        """Run the following scripts with other options."""
        call = Calls(self.kv, self, lambda: self.now)
        self.runner = self.make_runner(replace(self.options, **changes), call, config)
        self.addCleanup(self.runner.close)

    def make_runner(self, options: LuaOptions, call: Call, config: Section) -> LuaRunner:
        """Create the runner; subclasses may return a replacement."""
        return LuaRunner(options, call, config)

    def ask(
        self, service: bytes, subject: bytes, content: bytes, seconds: float, trace: object = None
    ) -> tuple[bytes, ...]:
        """Answer a request of a script with the next of the test's answers."""
        self.asked.append((service, subject, content, seconds))
        return self.answers.pop(0)

    def write(self, name: str, source: str | bytes) -> None:
        """Write a file in the scripts directory."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source.encode() if isinstance(source, str) else source)

    def outcome(self, source: str | bytes, *frames: bytes, name: str = "script") -> Outcome:
        """Run source as the script of a request with these content frames."""
        self.write(f"{name}.lua", source)
        return self.outcome_of(name, *frames)

    def outcome_of(self, name: str, *frames: bytes) -> Outcome:
        """Run a script whose file exists already."""
        subject = name.encode()
        request = Request(b"sender", b"default", subject, b"track-1", frames, worker=b"AW::here")
        return self.runner.run(self.scripts.find(subject), request)

    def output(self, source: str | bytes, *frames: bytes) -> str:
        """Return the output of a script that must succeed."""
        outcome = self.outcome(source, *frames)
        self.assertIsNone(outcome.error, str(outcome.error))
        return outcome.output.decode()

    def error(self, source: str | bytes, *frames: bytes) -> str:
        """Return the error of a script that must fail."""
        outcome = self.outcome(source, *frames)
        assert outcome.error is not None, outcome
        return str(outcome.error)


def limit_of(outcome: Outcome) -> str | None:
    """Return the setting whose limit a failed script has exceeded."""
    assert outcome.error is not None, outcome
    return outcome.error.limit


def reply(*frames: bytes) -> Send:
    """Return the reply that a script sends with these frames."""
    return Send(SendKind.REPLY, b"", b"", frames, b"LU")

"""What the tests of the Lua side share: a folder of scripts and a runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from alaska.store.kv import KeyValues
from alaska.worker.calls import Calls
from alaska.worker.lua import LuaRunner
from alaska.worker.request import Outcome, Request
from alaska.worker.scripts import Scripts


class LuaCase(SynchronousTestCase):
    """Each test has a scripts directory of its own, and a runner that runs what it writes there."""

    system_modules: ClassVar[bool] = False

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.scripts = Scripts(self.directory, rest=0)
        self.kv = KeyValues(None)
        self.addCleanup(self.kv.close)
        self.asked: list[tuple[bytes, bytes, bytes, float]] = []
        self.answers: list[tuple[bytes, ...]] = []
        self.now = 1000.0
        self.runner = self.make_runner()
        self.addCleanup(self.runner.close)

    def make_runner(self, **options: Any) -> LuaRunner:
        """Make a runner whose worker is played by the test."""
        call = Calls(self.kv, self, lambda: self.now)
        return LuaRunner(system_modules=self.system_modules, call=call, **options)

    def ask(self, service: bytes, subject: bytes, content: bytes, seconds: float) -> tuple[bytes, ...]:
        """Answer what a script asks of a service, with the next answer that the test has written down."""
        self.asked.append((service, subject, content, seconds))
        return self.answers.pop(0)

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
        request = Request(b"sender", b"default", subject, b"track-1", frames, worker=b"AW::here")
        return self.runner.run(self.scripts.find(subject), request)

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

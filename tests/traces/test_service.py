"""The recording of spans by a program."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from alaska.config import traces
from alaska.errors import ConfigurationError
from alaska.interfaces import Reactor
from alaska.links import default_reactor
from alaska.traces.service import STOP_SECONDS, Recording
from tests import PROJECT
from tests.traces.spans_case import NOT_INSTALLED, keep_variables

PROGRAM = """
import sys
import alaska.broker.tap, alaska.client, alaska.pool.child, alaska.worker.tap, alaska.commands.send
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


class NothingTests(SynchronousTestCase):
    """Programs that record no spans."""

    def test_imports(self) -> None:
        """Worker, broker, client and commands import nothing of OpenTelemetry."""
        found = subprocess.run([sys.executable, "-c", PROGRAM], cwd=PROJECT, capture_output=True, check=True)
        self.assertEqual(found.stdout, b"[]\n")

    def test_off(self) -> None:
        """What is not started records nothing."""
        recording = Recording(cast("Reactor", Clock()), "x")
        self.assertEqual((recording.provider, recording.spans, recording.stopService()), (None, None, None))

    def test_not_installed(self) -> None:
        """Where OpenTelemetry is not installed, the setting is refused with the command that installs it."""
        self.assertEqual(list(traces.conflicts("worker/traces/spans", False)), [])
        self.patch(traces, "find_spec", lambda _name: None)
        (text,) = traces.conflicts("worker/traces/spans", True)
        self.assertIn('worker/traces/spans needs OpenTelemetry, which "pip install alaska-workers[traces]"', text)


class RecordingTests(TestCase):
    """A program that records spans."""

    skip = NOT_INSTALLED

    def setUp(self) -> None:
        keep_variables(self)
        os.environ["OTEL_TRACES_EXPORTER"] = "none"

    async def test_life(self) -> None:
        """Spans can be recorded between start and stop."""
        recording = Recording(default_reactor(), "x")
        recording.startService()
        spans = recording.spans
        assert spans is not None
        self.assertTrue(spans.tracer.start_span("mine").is_recording())
        stopped = recording.stopService()
        assert stopped is not None
        await stopped
        self.assertIsNone(recording.spans)

    def test_bad_variable(self) -> None:
        """A variable that is not valid is an error of the configuration."""
        os.environ["OTEL_TRACES_EXPORTER"] = "nothing"
        recording = Recording(default_reactor(), "x")
        self.assertRaises(ConfigurationError, recording.startService)

    async def test_warnings(self) -> None:
        """Warnings of OpenTelemetry are in the log, once a minute, with their number and one line each."""
        recording = Recording(default_reactor(), "x")
        recording.startService()
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if str(event.get("log_namespace")).startswith("alaska.traces"):
                lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        warn = logging.getLogger("opentelemetry.exporter").warning
        for number in range(3):
            warn("no answer %d\nand more", number)
        self.assertEqual(lines, ["spans: no answer 0 (1 warnings so far)"])
        stopped = recording.stopService()
        assert stopped is not None
        await stopped

    def test_exporter_that_does_not_return(self) -> None:
        """A program waits for its exporters for a limited time."""
        clock = Clock()
        recording = Recording(cast("Reactor", clock), "x")
        recording.startService()
        assert recording.provider is not None
        self.addCleanup(recording.provider.sdk.shutdown)
        self.patch(recording.provider, "sdk", Stuck())
        stopped = recording.stopService()
        assert stopped is not None
        self.assertNoResult(stopped)
        clock.advance(STOP_SECONDS)
        self.successResultOf(stopped)


class Stuck:
    """A provider that does not end in time; the reactor of the test takes no calls from threads."""

    def shutdown(self) -> None:
        """Raise nothing, and do not tell."""
        raise SystemExit

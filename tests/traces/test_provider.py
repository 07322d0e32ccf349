"""The provider of spans: what the variables of OpenTelemetry configure, and spans with chosen ids."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from alaska import __version__
from alaska.errors import ConfigurationError
from alaska.traces.context import RunTrace, TraceContext
from tests.traces.spans_case import (
    CONTEXT,
    NOT_INSTALLED,
    NOT_SAMPLED,
    TRACE,
    Recorded,
    attributes,
    id_of,
    keep_variables,
)


class ProviderCase(SynchronousTestCase):
    """An environment without variables of OpenTelemetry."""

    skip = NOT_INSTALLED

    def setUp(self) -> None:
        keep_variables(self)

    def set(self, **variables: str) -> None:
        """Set variables."""
        os.environ.update(variables)


class VariableTests(ProviderCase):
    """The variables."""

    def test_disabled(self) -> None:
        """OTEL_SDK_DISABLED records nothing."""
        from alaska.traces.provider import configured  # noqa: PLC0415

        self.set(OTEL_SDK_DISABLED="TRUE")
        self.assertIsNone(configured("x"))

    def test_exporters(self) -> None:
        """OTEL_TRACES_EXPORTER names the exporters; none of them is no error."""
        from alaska.traces.provider import exporters  # noqa: PLC0415

        self.set(OTEL_TRACES_EXPORTER="none")
        self.assertEqual(exporters(), [])
        self.set(OTEL_TRACES_EXPORTER="console, none")
        self.assertEqual([type(each).__name__ for each in exporters()], ["ConsoleSpanExporter"])

    def test_unknown(self) -> None:
        """An exporter that is not installed is an error that names it and the variable."""
        from alaska.traces.provider import configured  # noqa: PLC0415

        self.set(OTEL_TRACES_EXPORTER="nothing")
        self.assertIn("'nothing' (OTEL_TRACES_EXPORTER", str(self.assertRaises(ConfigurationError, configured, "x")))
        self.set(OTEL_TRACES_EXPORTER="otlp", OTEL_EXPORTER_OTLP_PROTOCOL="pigeon")
        self.assertIn("'pigeon'", str(self.assertRaises(ConfigurationError, configured, "x")))

    def test_resource(self) -> None:
        """The variables name the process; without them it has the name of the program."""
        from alaska.traces.provider import resource  # noqa: PLC0415

        found = resource("alaska-worker").attributes
        self.assertEqual((found["service.name"], found["service.version"]), ("alaska-worker", __version__))
        self.set(OTEL_SERVICE_NAME="mine", OTEL_RESOURCE_ATTRIBUTES="service.version=7,deployment=test")
        found = resource("alaska-worker").attributes
        names = ("service.name", "service.version", "deployment")
        self.assertEqual([found[name] for name in names], ["mine", "7", "test"])


class SamplerTests(ProviderCase):
    """Runs with each sampler."""

    def begun(self, sampler: str, created: TraceContext | None) -> RunTrace:
        """Begin a run with a sampler of the variables."""
        from alaska.traces.runs import Runs  # noqa: PLC0415

        self.set(OTEL_TRACES_SAMPLER=sampler)
        self.recorded = Recorded()
        self.addCleanup(self.recorded.provider.sdk.shutdown)
        self.runs = Runs(self.recorded.provider, "svc", {})
        return self.runs.begin(created, {})

    def test_decisions(self) -> None:
        """The sampler decides before the run, and its decision is what the messages of the run carry."""
        for sampler, created, is_recorded in (
            ("parentbased_always_on", CONTEXT, True),
            ("parentbased_always_on", NOT_SAMPLED, False),
            ("parentbased_always_on", None, True),
            ("parentbased_always_off", None, False),
            ("parentbased_always_off", CONTEXT, True),
            ("always_off", CONTEXT, False),
            ("always_on", NOT_SAMPLED, True),
        ):
            run = self.begun(sampler, created)
            self.assertEqual((run.is_recorded, run.context.flags & 1), (is_recorded, int(is_recorded)), sampler)
            self.assertEqual(run.context.trace_id == TRACE.encode(), created is not None)

    def test_chosen_ids(self) -> None:
        """The span of a run has the ids that were chosen before, and those after it have others."""
        from alaska.traces.runs import Ended  # noqa: PLC0415

        run = self.begun("always_on", CONTEXT)
        self.runs.record(run, {"a": 1}, Ended(1_000, 3_000, error=("Kind", "why")))
        self.runs.settle(run, {}, 200, 3_000)
        recorded, settled = self.recorded.spans
        self.assertEqual((id_of(recorded), recorded.start_time, recorded.end_time), (run.context.span_id, 1_000, 3_000))
        self.assertEqual((attributes(recorded)["a"], attributes(recorded)["error.type"]), (1, "Kind"))
        self.assertNotEqual(id_of(settled), run.context.span_id)

"""Traces with real programs."""

from __future__ import annotations

import os
import signal

from twisted.trial.unittest import SkipTest

from alaska.client import Delivery
from alaska.traces.context import read
from tests.programs.system_case import SystemTestCase
from tests.traces.spans_case import CONTEXT, NOT_INSTALLED, SPAN, TRACE, keep_variables

SCRIPT = """
sendTo('seen', alaska.trace.trace_id, 'box')
local inner = alaska.request('default', 'inner')
sendTo('inner', inner, 'box')
"""


class TraceTests(SystemTestCase):
    """From ``alas``, or a client, through the scripts of a worker."""

    def setUp(self) -> None:
        super().setUp()
        keep_variables(self)
        self.script("outer", SCRIPT)
        self.script("inner", "return alaska.trace.traceparent")

    async def test_passed_on(self) -> None:
        """Without spans, a request of alas passes its context on, also to the requests of its script."""
        for isolation in ("thread", "process"):
            worker = await self.start_worker(self.worker_config(more=f'    pool\n        isolation = "{isolation}"\n'))
            got: list[Delivery] = []
            box = await self.client("box", got.append)
            os.environ["TRACEPARENT"] = CONTEXT.traceparent.decode()
            await self.alas("-s", "outer", "-w", "20000")
            await box.flush()
            self.assertEqual([each.content[0] for each in got], [TRACE.encode(), CONTEXT.traceparent], isolation)
            self.assertEqual({each.trace for each in got}, {read(CONTEXT.traceparent)})
            await box.close()
            self.clients.clear()
            worker.send_signal(signal.SIGTERM)
            await worker.ended

    async def test_spans(self) -> None:
        """With spans, a worker exports them, the last ones when it ends."""
        if NOT_INSTALLED is not None:
            raise SkipTest(NOT_INSTALLED)
        os.environ.update(OTEL_TRACES_EXPORTER="console", OTEL_BSP_SCHEDULE_DELAY="60000")
        worker = await self.start_worker(self.worker_config(more='    traces\n        spans = "1"\n'))
        os.environ["TRACEPARENT"] = CONTEXT.traceparent.decode()
        sent = await self.alas("-s", "outer", "-w", "20000")
        self.assertEqual(sent.status, 0, sent.output)
        self.assertNotIn("trace_id", worker.output)
        worker.send_signal(signal.SIGTERM)
        await worker.ended
        self.assertEqual(worker.status, 0)
        for name, count in (("process default", 2), ("settle default", 2), ("send default", 1), ("send box", 2)):
            self.assertEqual(worker.output.count(f'"name": "{name}"'), count, name)
        self.assertEqual(worker.output.count(f'"parent_id": "0x{SPAN}"'), 1)
        # The mail, the request, its answer, two runs, two confirmations; their links are to the same trace.
        self.assertGreaterEqual(worker.output.count(f'"trace_id": "0x{TRACE}"'), 8)

    async def test_bad_variable(self) -> None:
        """A worker whose exporter does not exist ends with the status of a bad configuration."""
        if NOT_INSTALLED is not None:
            raise SkipTest(NOT_INSTALLED)
        os.environ["OTEL_TRACES_EXPORTER"] = "nothing"
        config = self.worker_config(more='    traces\n        spans = "1"\n')
        worker = self.twistd("-n", "alaska", "--config", str(config))
        await worker.ended
        self.assertEqual(worker.status, 78)
        self.assertIn("there is no exporter of spans 'nothing'", worker.output)

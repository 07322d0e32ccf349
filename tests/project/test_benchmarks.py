"""The parts of the benchmarks that compute results; no server is started."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.contender import Contender, load, names
from benchmarks.measure import Run
from benchmarks.statistics import Spread, quantile
from benchmarks.usage import resident_of, usage_of
from benchmarks.work import FIRST, Check, Latencies, check, recorder, requests
from benchmarks.workspace import Unavailable, Workspace, program, says


class CheckTests(SynchronousTestCase):
    """The check that each request was executed once."""

    def test_each_once(self) -> None:
        """The order of the requests does not matter."""
        self.assertEqual(check(reversed(requests(FIRST, 5)), FIRST, 5), Check(0, 0))
        self.assertEqual(str(Check(0, 0)), "each once")

    def test_lost_and_repeated(self) -> None:
        """Missing requests count as lost; duplicate and unknown requests count as repeated."""
        executed = [*requests(FIRST, 3), b"%d" % FIRST, b"nonsense"]
        self.assertEqual(check(executed, FIRST, 5), Check(2, 2))
        self.assertEqual(str(Check(2, 1)), "2 lost, 1 repeated")

    def test_requests_have_eight_octets(self) -> None:
        """Each request has eight octets and is unique."""
        contents = requests(FIRST, 1000)
        self.assertEqual({len(content) for content in contents}, {8})
        self.assertEqual(len(set(contents)), 1000)

    def test_recorder(self) -> None:
        """Recorded requests can be compared with the sent requests."""
        path = Path(self.mktemp())
        record = recorder(path)
        for content in requests(FIRST, 3):
            record(content)
        self.assertEqual(check(path.read_bytes().split(), FIRST, 3), Check(0, 0))


class FiguresTests(SynchronousTestCase):
    """Statistics of measured values."""

    def test_spread(self) -> None:
        """A spread is minimum, median and maximum, independent of the order of the values."""
        self.assertEqual(Spread.of([5, 1, 9, 3, 7]), Spread(1, 5, 9))
        self.assertEqual(Spread.of([2]), Spread(2, 2, 2))

    def test_quantile(self) -> None:
        """A quantile is the smallest value that the given share of the values does not exceed."""
        figures = list(range(1, 1001))
        self.assertEqual([quantile(figures, share) for share in (0.5, 0.99, 0.999, 1.0)], [500, 990, 999, 1000])
        self.assertEqual(quantile([4.0], 0.999), 4.0)

    def test_limit_is_the_busiest_process(self) -> None:
        """The process with the most processor time is reported as the limit of a run."""
        run = Run(2.0, 1000, {"broker": 1.0, "worker": 1.5, "producer": 0.1}, Check(0, 0))
        self.assertEqual((run.rate, run.limit), (500.0, "worker (75% of a core)"))

    def test_latencies(self) -> None:
        """At most the given number of requests is in flight, and each is measured."""
        latencies = Latencies(FIRST, 3, 2)
        first, second = latencies.next(), latencies.next()
        assert first is not None and second is not None
        self.assertIsNone(latencies.next())
        self.assertFalse(latencies.answered(second))
        third = latencies.next()
        assert third is not None
        self.assertIsNone(latencies.next())
        self.assertFalse(latencies.answered(first))
        self.assertTrue(latencies.answered(third))
        output = io.StringIO()
        with redirect_stdout(output):
            latencies.report()
        told, figures = output.getvalue().splitlines()
        self.assertEqual((told.split()[::2], len(figures.split())), (["start", "stop", "cpu"], 3))

    def test_usage(self) -> None:
        """The usage of a running process is measured; that of an unknown process is 0."""
        usage = usage_of(os.getpid())
        self.assertGreater(usage.cpu_seconds, 0)
        self.assertGreater(usage.peak_octets, 0)
        self.assertGreater(resident_of(os.getpid()), 0)
        self.assertEqual(usage_of(2**22 + 1).peak_octets, 0)


class ContenderTests(SynchronousTestCase):
    """The files of the contenders."""

    def test_each_file_has_a_contender(self) -> None:
        """Each file can be loaded or names a missing Python package, and all names are different."""
        found = []
        for name in names():
            try:
                found.append(load(name))
            except Unavailable as reason:
                self.assertIn("is not installed", str(reason))
        self.assertTrue(all(isinstance(each, Contender) for each in found))
        self.assertEqual(len({each.name for each in found}), len(found))
        self.assertIn("Alaska, durable", [each.name for each in found])

    def test_missing_program(self) -> None:
        """The error about a missing program names the package that contains it."""
        error = self.assertRaises(Unavailable, program, "no-such-program", "some-package")
        self.assertEqual(str(error), "no-such-program is not on the path (Debian package some-package)")


class WorkspaceTests(SynchronousTestCase):
    """The environment in which the programs of a contender run."""

    def test_leaving_ends_programs(self) -> None:
        """At the end of a workspace, its programs are ended and its folder is deleted."""
        with Workspace() as workspace:
            started = workspace.start("shell", ["sh", "-c", "echo ready; pwd; exec sleep 60"], says("ready"))
            self.assertIsNone(started.process.poll())
            self.assertEqual(len(workspace.programs), 1)
        self.assertIsNotNone(started.process.returncode)
        self.assertFalse(workspace.folder.exists())

    def test_failed_start(self) -> None:
        """The error about a program that ends before it is ready contains its last line."""
        with Workspace() as workspace:
            error = self.assertRaises(
                Unavailable, workspace.start, "shell", ["sh", "-c", "echo why; exit 1"], lambda _: False
            )
        self.assertEqual(str(error), "shell does not start: why")

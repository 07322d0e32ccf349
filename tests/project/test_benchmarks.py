"""The parts of the benchmarks that decide what their figures say; no server is started."""

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
    """Whether each request was executed once."""

    def test_each_once(self) -> None:
        """The order does not matter."""
        self.assertEqual(check(reversed(requests(FIRST, 5)), FIRST, 5), Check(0, 0))
        self.assertEqual(str(Check(0, 0)), "each once")

    def test_lost_and_repeated(self) -> None:
        """What is missing is lost; what is there a second time, or was never asked for, is repeated."""
        executed = [*requests(FIRST, 3), b"%d" % FIRST, b"nonsense"]
        self.assertEqual(check(executed, FIRST, 5), Check(2, 2))
        self.assertEqual(str(Check(2, 1)), "2 lost, 1 repeated")

    def test_requests_have_eight_octets(self) -> None:
        """Each request is JSON of eight octets, and none is there twice."""
        contents = requests(FIRST, 1000)
        self.assertEqual({len(content) for content in contents}, {8})
        self.assertEqual(len(set(contents)), 1000)

    def test_recorder(self) -> None:
        """What is recorded can be compared with what was asked for."""
        path = Path(self.mktemp())
        record = recorder(path)
        for content in requests(FIRST, 3):
            record(content)
        self.assertEqual(check(path.read_bytes().split(), FIRST, 3), Check(0, 0))


class FiguresTests(SynchronousTestCase):
    """What is made of many figures."""

    def test_spread(self) -> None:
        """Minimum, median and maximum, in whatever order the figures are."""
        self.assertEqual(Spread.of([5, 1, 9, 3, 7]), Spread(1, 5, 9))
        self.assertEqual(Spread.of([2]), Spread(2, 2, 2))

    def test_quantile(self) -> None:
        """A quantile is one of the figures: the least that so many do not exceed."""
        figures = list(range(1, 1001))
        self.assertEqual([quantile(figures, share) for share in (0.5, 0.99, 0.999, 1.0)], [500, 990, 999, 1000])
        self.assertEqual(quantile([4.0], 0.999), 4.0)

    def test_limit_is_the_busiest_process(self) -> None:
        """The process with the most processor time is the one that a run was limited by."""
        run = Run(2.0, 1000, {"broker": 1.0, "worker": 1.5, "producer": 0.1}, Check(0, 0))
        self.assertEqual((run.rate, run.limit), (500.0, "worker (75% of a core)"))

    def test_latencies(self) -> None:
        """So many requests are under way at once and no more, and each is measured."""
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
        """A process that lives uses memory; of one that does not exist nothing is known."""
        usage = usage_of(os.getpid())
        self.assertGreater(usage.cpu_seconds, 0)
        self.assertGreater(usage.peak_octets, 0)
        self.assertGreater(resident_of(os.getpid()), 0)
        self.assertEqual(usage_of(2**22 + 1).peak_octets, 0)


class ContenderTests(SynchronousTestCase):
    """The files of the contenders."""

    def test_each_file_has_a_contender(self) -> None:
        """Each can be loaded, or says which Python package it lacks; no two have one name."""
        found = []
        for name in names():
            try:
                found.append(load(name))
            except Unavailable as reason:
                self.assertIn("is not installed", str(reason))
        self.assertTrue(all(isinstance(each, Contender) for each in found))
        self.assertEqual(len({each.name for each in found}), len(found))
        self.assertIn("Alaska, durable", [each.name for each in found])

    def test_a_program_that_is_not_there(self) -> None:
        """What is not on the path is told with the package that has it."""
        error = self.assertRaises(Unavailable, program, "no-such-program", "some-package")
        self.assertEqual(str(error), "no-such-program is not on the path (Debian package some-package)")


class RoomTests(SynchronousTestCase):
    """Where a contender's programs run."""

    def test_leaving_ends_what_was_started(self) -> None:
        """A program runs in the room's folder; when the room is left, both are gone."""
        with Workspace() as room:
            started = room.start("shell", ["sh", "-c", "echo ready; pwd; exec sleep 60"], says("ready"))
            self.assertIsNone(started.process.poll())
            self.assertEqual(len(room.programs), 1)
        self.assertIsNotNone(started.process.returncode)
        self.assertFalse(room.folder.exists())

    def test_a_program_that_ends(self) -> None:
        """One that ends instead of getting ready is told with its last line."""
        with Workspace() as room:
            error = self.assertRaises(
                Unavailable, room.start, "shell", ["sh", "-c", "echo why; exit 1"], lambda _: False
            )
        self.assertEqual(str(error), "shell does not start: why")

"""Metrics as text."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.families import Family, Filled, Kind, Selected, by, one
from alaska.admin.metrics import MOST_OBJECTS, DetailsPage, Exposition, MetricsPage
from alaska.admin.pages import Matches
from alaska.errors import OperationFailed, Refused
from alaska.system.histogram import Histogram

DONE = Family("alaska_done_total", Kind.COUNTER, "What was done.", ("service",))
DEPTH = Family("alaska_depth", Kind.GAUGE, "What waits.")
WAIT = Family("alaska_wait_seconds", Kind.HISTOGRAM, "How long.", ("service",))
OPENMETRICS = "application/openmetrics-text; version=1.0.0, text/plain;version=0.0.4;q=0.5"
T = TypeVar("T")
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\n{},='), max_size=20)


def histogram(*values: float) -> Histogram:
    """Return a histogram of these values."""
    found = Histogram((0.5, 1.0))
    for value in values:
        found.add(value)
    return found


def written(*filled: Filled, accept: str = "") -> Exposition:
    """Return the text of these metrics."""
    return result(MetricsPage([lambda: filled]).exposition(accept))


def result(found: Deferred[T]) -> T:
    """Return the result of a Deferred that has one."""
    results: list[T] = []
    found.addCallback(results.append)
    return results[0]


class FormatTests(SynchronousTestCase):
    """The two formats."""

    def test_text(self) -> None:
        """By default, the format is that of Prometheus."""
        content_type, octets = written(
            (DONE, by([("a", 2)])), (DEPTH, one(1.5)), (WAIT, by([("a", histogram(0.2, 9.0).read())]))
        )
        self.assertTrue(content_type.startswith("text/plain; version="), content_type)
        self.assertEqual(
            octets.decode().splitlines(),
            [
                "# HELP alaska_done_total What was done.",
                "# TYPE alaska_done_total counter",
                'alaska_done_total{service="a"} 2.0',
                "# HELP alaska_depth What waits.",
                "# TYPE alaska_depth gauge",
                "alaska_depth 1.5",
                "# HELP alaska_wait_seconds How long.",
                "# TYPE alaska_wait_seconds histogram",
                'alaska_wait_seconds_bucket{service="a",le="0.5"} 1.0',
                'alaska_wait_seconds_bucket{service="a",le="1.0"} 1.0',
                'alaska_wait_seconds_bucket{service="a",le="+Inf"} 2.0',
                'alaska_wait_seconds_count{service="a"} 2.0',
                'alaska_wait_seconds_sum{service="a"} 9.2',
            ],
        )

    def test_openmetrics(self) -> None:
        """Who asks for OpenMetrics gets it, with names of counters as it wants them, and its end."""
        content_type, octets = written((DONE, by([("a", 2)])), accept=OPENMETRICS)
        self.assertTrue(content_type.startswith("application/openmetrics-text; version=1.0.0"), content_type)
        self.assertEqual(
            octets.decode().splitlines(),
            [
                "# HELP alaska_done What was done.",
                "# TYPE alaska_done counter",
                'alaska_done_total{service="a"} 2.0',
                "# EOF",
            ],
        )

    @given(st.lists(st.tuples(TEXT, st.floats(0, 1e18)), unique_by=lambda each: each[0]), st.lists(st.floats(0, 1e6)))
    def test_read_back(self, values: list[tuple[str, float]], times: list[float]) -> None:
        """The parsers of Prometheus's library read what was written, in both formats, whatever the labels are."""
        filled = ((DONE, by(values)), (WAIT, by([("x", histogram(*times).read())])), (DEPTH, one(1e-7)))
        read = list(read_prometheus(written(*filled).octets.decode()))
        strict = list(read_openmetrics(written(*filled, accept=OPENMETRICS).octets.decode()))
        for families in (read, strict):
            self.assertEqual(
                [(each.name, each.type) for each in families],
                [("alaska_done", "counter"), ("alaska_wait_seconds", "histogram"), ("alaska_depth", "gauge")],
            )
            done, wait, depth = families
            self.assertEqual([(each.labels["service"], each.value) for each in done.samples], values)
            self.assertEqual([each.value for each in wait.samples if each.name.endswith("_count")], [len(times)])
            self.assertEqual(depth.samples[0].value, 1e-7)


class TimeTests(SynchronousTestCase):
    """How long metrics take."""

    def setUp(self) -> None:
        self.now = 100.0
        self.reads = 0
        self.page = MetricsPage([self.source], clock=lambda: self.now)

    def source(self) -> list[Filled]:
        """Return how often the source was read; a read takes 2 ms."""
        self.now += 0.002
        self.reads += 1
        return [(DEPTH, one(self.reads))]

    def depth(self, accept: str = "") -> str:
        """Return the value on the page."""
        return result(self.page.exposition(accept)).octets.decode().splitlines()[2]

    def test_too_often(self) -> None:
        """Who asks so often that it would take more than 1 % of the time gets what was written before."""
        self.assertEqual(self.depth(), "alaska_depth 1.0")
        self.now += 0.199
        self.assertEqual(self.depth(), "alaska_depth 1.0")
        self.now += 0.0011
        self.assertEqual(self.depth(), "alaska_depth 2.0")

    def test_each_format(self) -> None:
        """The formats do not get mixed up."""
        self.depth()
        self.assertEqual(self.depth(OPENMETRICS), "alaska_depth 2.0")
        self.assertEqual(self.depth(), "alaska_depth 1.0")

    def test_any_version(self) -> None:
        """Whatever versions of the formats are asked for, there are two that are made and kept."""
        for version in range(50):
            self.depth(f"application/openmetrics-text; version=1.{version}.0; escaping=dots")
            self.depth(f"text/plain; version=1.0.{version}; escaping=dots")
        self.assertEqual(self.reads, 2)

    def test_share(self) -> None:
        """Asking all the time takes 1 % of it."""
        for _ in range(10_000):
            self.now += 0.001
            self.depth()
        self.assertLess(self.reads * 0.002, 0.011 * (self.now - 100.0))

    def test_made_together(self) -> None:
        """All who ask while the metrics are being made get the same, also if one of them has gone."""
        reads: list[Deferred[Iterable[Filled]]] = []

        def read() -> Deferred[Iterable[Filled]]:
            reads.append(Deferred())
            return reads[-1]

        page = MetricsPage([read], clock=lambda: self.now)
        asked = [page.exposition() for _ in range(3)]
        asked[0].addErrback(lambda failure: failure.trap(CancelledError))
        asked[0].cancel()
        self.assertEqual(len(reads), 1)
        reads[0].callback([(DEPTH, one(7.0))])
        for each in asked[1:]:
            self.assertIn("alaska_depth 7.0", self.successResultOf(each).octets.decode())

    def test_failed(self) -> None:
        """If a source fails, there is no answer, and the next time it is asked again."""
        reads = 0

        def read() -> Deferred[Iterable[Filled]]:
            nonlocal reads
            reads += 1
            return fail(OperationFailed("the program ends")) if reads == 1 else succeed([(DEPTH, one(1.0))])

        page = MetricsPage([read], clock=lambda: self.now)
        self.failureResultOf(page.exposition(), OperationFailed)
        self.successResultOf(page.exposition())


class DetailsTests(SynchronousTestCase):
    """The metrics of single objects."""

    def setUp(self) -> None:
        self.now = 0.0
        self.names = [name.encode() for name in string.ascii_lowercase]
        self.page = DetailsPage({"queues": self.queues}, clock=lambda: self.now)

    def queues(self, matches: Matches, most: int) -> Selected:
        """Return a gauge for each name that matches; this takes 10 ms."""
        self.now += 0.01
        found = [name.decode() for name in self.names if matches(name)]
        return Selected([(DONE, by((name, 1.0) for name in found[:most]))], len(found[most:]))

    def test_matching(self) -> None:
        """Only what matches is there."""
        text = result(self.page.exposition("queues", lambda name: name in b"xy")).octets.decode()
        self.assertIn('alaska_done_total{service="x"} 1.0\nalaska_done_total{service="y"} 1.0\n', text)
        self.assertIn('alaska_detailed_left_out{family="queues"} 0.0', text)
        self.assertEqual(text.count("alaska_done_total{"), 2)

    def test_bounded(self) -> None:
        """If there are too many, some are left out, and their number is told."""
        self.names = [b"%d" % number for number in range(MOST_OBJECTS + 7)]
        text = result(self.page.exposition("queues", lambda _name: True)).octets.decode()
        self.assertIn('alaska_detailed_left_out{family="queues"} 7.0', text)
        self.assertEqual(text.count("alaska_done_total{"), MOST_OBJECTS)

    def test_no_family(self) -> None:
        """A family that does not exist is refused, with the names of those that do."""
        error = self.assertRaises(Refused, self.page.exposition, "cats", lambda _name: True)
        self.assertIn("must be one of queues", str(error))

    def test_too_often(self) -> None:
        """Who asks too often is refused, and told when to ask again."""
        self.page.exposition("queues", lambda _name: True)
        error = self.assertRaises(Refused, self.page.exposition, "queues", lambda _name: True)
        self.assertEqual(str(error), "ask for details again in 1.0 s")
        self.now += 1.0
        self.page.exposition("queues", lambda _name: True)

    def test_one_at_a_time(self) -> None:
        """While details are being made, they are refused; when that has failed, they can be asked for again."""
        made: Deferred[Selected] = Deferred()
        page = DetailsPage({"queues": lambda _matches, _most: made, "cats": self.queues}, clock=lambda: self.now)
        asked = page.exposition("queues", lambda _name: True)
        self.assertRaises(Refused, page.exposition, "queues", lambda _name: True)
        self.successResultOf(page.exposition("cats", lambda _name: True))
        made.errback(OperationFailed("the program ends"))
        self.failureResultOf(asked, OperationFailed)
        self.now += 1.0
        page.exposition("queues", lambda _name: True).addErrback(lambda _: None)

    def test_raises(self) -> None:
        """A source that raises at once can be asked again."""

        def broken(_matches: Matches, _most: int) -> Selected:
            raise OperationFailed("the program ends")

        page = DetailsPage({"queues": broken}, clock=lambda: self.now)
        for _ in range(2):
            self.failureResultOf(page.exposition("queues", lambda _name: True), OperationFailed)

"""The history of rates and depths that a broker keeps."""

from __future__ import annotations

from alaska.admin.overviews import History
from alaska.admin.requests import HistoryQuery
from alaska.broker.history import DEPTHS, KIND, MINUTES, RATES, SECONDS, TENS, Series
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, request
from tests.broker.test_durability import DurableTestCase


def series_of(*rates: int, seconds: int) -> Series:
    """Return a series with a second of each rate, again and again."""
    series, total = Series(SECONDS, TENS, MINUTES), 0
    for second in range(seconds + 1):
        series.add(float(second), (total, 0, 0, 0, 0), (second, 0, 0, 0, 0), float(second))
        total += rates[second % len(rates)]
    return series


class SeriesTests(BrokerTestCase):
    """The levels of one series."""

    def test_rates(self) -> None:
        """A rate is what came within a second; a depth is the highest one."""
        rows = series_of(4, 6, seconds=4).rows(60, 4.0)
        self.assertEqual([row[:2] for row in rows], [(1.0, 4.0), (2.0, 6.0), (3.0, 4.0), (4.0, 6.0)])
        self.assertEqual([row[1 + len(RATES)] for row in rows], [1, 2, 3, 4])

    def test_bounded(self) -> None:
        """Each level has a fixed number of rows, however long it is used."""
        series = series_of(1, seconds=4000)
        self.assertEqual([len(ring.rows) for ring in series.rings], [300, 360, 66])

    def test_coarser(self) -> None:
        """A longer time is shown with longer steps, whose rates are the means; the times are in order."""
        series = series_of(2, 4, seconds=4000)
        for span, step in ((300, 1.0), (3600, 10.0), (86_400, 60.0)):
            rows = series.rows(span, 4000.0)
            self.assertEqual(rows[-1][0] - rows[-2][0], step)
            self.assertEqual(rows[-1][1], 3.0 if step > 1 else rows[-1][1])
            times = [row[0] for row in rows]
            self.assertEqual(times, sorted(times))
            self.assertGreaterEqual(times[0], 4000 - span)

    def test_older_rows(self) -> None:
        """What is older than the fine rows comes from the coarse ones, also after a pause."""
        series = Series(SECONDS, TENS, MINUTES)
        for second in (*range(121), *range(4000, 4004)):
            series.add(float(second), (second, 0, 0, 0, 0), (0, 0, 0, 0, 0), float(second))
        series.rings[0].rows.clear()
        times = [row[0] for row in series.rows(86_400, 4003.0)]
        self.assertEqual(times, [60.0, 120.0, 4000.0])


class HistoryTests(BrokerTestCase):
    """The history of a broker without a file."""

    def page(self, service: str | None = None, span: int = 60) -> History:
        """Return the history."""
        return self.broker.administration.history.page(HistoryQuery(span=span, service=service), self.now)

    def work(self, count: int) -> None:
        """Let a worker do some requests, and let a second pass."""
        for each in range(count):
            self.do("c", request(tracker=b"%d" % each))
            self.do("w", confirm(b"%d" % each))
        self.pass_time(1.0, "c", "w")

    def test_counted(self) -> None:
        """Requests are in the history of the broker and of their service."""
        self.open("w", OFFER, credit=100)
        self.open("c")
        self.pass_time(1.1, "c", "w")
        self.work(5)
        self.pass_time(1.0, "c", "w")
        for page in (self.page(), self.page("svc")):
            self.assertAlmostEqual(max(filter(None, page.values["accepted"])), 5, delta=0.5)
            self.assertAlmostEqual(max(filter(None, page.values["succeeded"])), 5, delta=0.5)
            self.assertEqual(set(page.values), {*RATES, *DEPTHS})
            self.assertTrue(all(len(column) == len(page.times) for column in page.values.values()))
        self.assertEqual(self.page("other").times, [])

    def test_waiting(self) -> None:
        """What waits is the depth."""
        self.open("c", request(), request())
        self.pass_time(3.0, "c")
        self.assertEqual(self.page().values["waiting"][-1], 2)

    def test_recent(self) -> None:
        """A service has its rate, errors and run times of the last minutes, and forgets older ones."""
        self.open("w", OFFER, credit=1000)
        self.open("c")
        self.pass_time(1.1, "c", "w")
        self.work(20)
        state = self.broker.administration
        own = self.broker.queues.measures.services[b"svc"]
        recent = state.history.recents.of(b"svc", own, self.now)
        assert recent is not None
        self.assertEqual((recent.succeeded, recent.failed), (20, 0))
        assert recent.p50 is not None
        assert recent.p99 is not None
        self.assertLessEqual(recent.p50, recent.p99)
        self.pass_time(400.0, "c", "w")
        later = state.history.recents.of(b"svc", own, self.now)
        assert later is not None
        self.assertEqual((later.succeeded, later.p50), (0, None))

    def test_first_second(self) -> None:
        """What a service does in its first second counts, also if it is known for less than that."""
        self.open("c")
        self.pass_time(1.1, "c")
        self.open("w", OFFER, credit=100)
        self.work(3)
        own = self.broker.queues.measures.services[b"svc"]
        recent = self.broker.administration.history.recents.of(b"svc", own, self.now)
        assert recent is not None
        self.assertEqual(recent.succeeded, 3)
        self.assertAlmostEqual(max(filter(None, self.page("svc").values["succeeded"])), 3, delta=0.5)


class StoredHistoryTests(DurableTestCase):
    """The history of a broker with a file."""

    def kept(self) -> list[float]:
        """Return the times of the history of a day."""
        return self.broker.administration.history.page(HistoryQuery(span=86_400), self.now).times

    def test_restart(self) -> None:
        """The minutes of a day are there after the broker was killed, those of each service, too."""
        self.open("w", OFFER, credit=10)
        self.pass_time(200.0, "w")
        self.write()
        before = [time for time in self.kept() if time <= 181]
        self.now += 10.0
        self.crash()
        self.assertEqual([round(time / 60) for time in self.kept()[:3]], [1, 2, 3])
        self.assertLessEqual(set(self.kept()[:2]), set(before))
        own = self.broker.administration.history.page(HistoryQuery(span=86_400, service="svc"), self.now)
        self.assertEqual(max(filter(None, own.values["clients"])), 1)

    def test_old_hours(self) -> None:
        """What is older than a day is deleted from the store."""
        self.durable.set_entry(KIND, b"1", b"\x80")
        self.durable.set_entry(KIND, b"nonsense", b"\xff\xff")
        self.write()
        self.now += 40 * 3600.0
        self.crash()
        self.write()
        self.assertEqual(self.kept(), [])
        self.crash()
        self.assertEqual(self.durable.entries(KIND), {})

"""Schedules of a broker: which requests it makes, as the clock goes on, is set, or stands still."""

from __future__ import annotations

from datetime import datetime, timezone

from twisted.logger import LogLevel

from alaska.broker import schedules
from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.scheduled import MOST_RANGES
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from alaska.schedules.schedule import Plan, parse
from alaska.schedules.zones import Zone, zone
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm
from tests.broker.test_durability import DurableTestCase
from tests.network_case import LogCase

NOON = datetime(2026, 11, 27, 12, tzinfo=timezone.utc).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class ScheduleCase(BrokerTestCase, LogCase):
    """A broker with a clock that shows noon, and a worker."""

    zone = zone("UTC")

    def setUp(self) -> None:
        LogCase.setUp(self)
        self.wall = NOON
        BrokerTestCase.setUp(self)

    def plan(self, *lines: str, zone: Zone | None = None) -> None:
        """Schedule what these lines say, and nothing else."""
        self.broker.schedules.configure(Plan(tuple(map(parse, lines)), zone or self.zone))
        self.tick()

    def tick(self, seconds: float = 0.0, count: int = 1) -> None:
        """Let time pass, and the broker do what is due."""
        for _ in range(count):
            self.now += seconds
            self.wall += seconds
            self.broker.tick(self.now, self.wall)
            self.router.end_turn(self.broker)

    def write(self) -> None:
        """Write what a store on a disk has to write."""

    def set_clock(self, by: float) -> None:
        """Set the clock."""
        self.wall += by
        self.tick(0.05)

    def ids(self) -> list[str]:
        """Return the ids of the requests that wait and have been delivered, and end them."""
        self.open_second("w", OFFER, credit=1000)
        self.broker.tick(self.now)
        self.write()
        self.router.end_turn(self.broker)
        got = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        for each in got:
            self.do("w", mlm.Confirm(each.tracker, 200, b"", {"lease": each.properties["lease"]}))
        self.do("w", mlm.ConnectionClose())
        self.take("w")
        return [bytes(each.properties["id"]).decode() for each in got]

    def times(self) -> list[str]:
        """Return the times in the ids of the requests, without the day."""
        return [each.partition("@2026-11-27T")[2] for each in self.ids()]

    def counts(self) -> tuple[int, int, int]:
        """Return how many times have come to a request, were missed, or were skipped."""
        counts = self.broker.counters.schedules
        return counts["fired"], counts["missed"], counts["skipped"]


class FiringTests(ScheduleCase):
    """Requests in time."""

    def test_request(self) -> None:
        """A request has the subject and content of its schedule, no sender, and its id as tracker and property."""
        self.plan("n '30 12 * * *' svc report {\"a\": 1}")
        self.tick(29.9 * MINUTE)
        self.assertEqual(self.counts(), (0, 0, 0))
        self.tick(0.1 * MINUTE)
        self.open_second("w", OFFER, credit=1)
        (got,) = self.take("w")
        assert isinstance(got, mlm.ServiceDeliver)
        self.assertEqual((got.sender, got.subject, got.content), (b"", b"report", (b'{"a": 1}',)))
        self.assertEqual((got.tracker, got.properties["id"]), (b"n@2026-11-27T12:30Z", b"n@2026-11-27T12:30Z"))

    def test_each_time_once(self) -> None:
        """There is one request for each time, however often the broker looks."""
        self.plan("n '*/2 * * * *' svc report")
        self.tick(20.0, count=20)
        self.assertEqual(self.times(), ["12:02Z", "12:04Z", "12:06Z"])
        self.assertEqual(self.ids(), [])

    def test_seconds(self) -> None:
        """An expression with six fields counts seconds; so do the ids."""
        self.plan("n '*/30 * * * * *' svc report")
        self.tick(5.0, count=13)
        self.assertEqual(self.times(), ["12:00:30Z", "12:01Z"])

    def test_zone(self) -> None:
        """A schedule is in its own zone, or in that of the settings."""
        self.plan("b '30 13 * * *' zone=Europe/Berlin svc x", "t '30 21 * * *' svc x", zone=zone("Asia/Tokyo"))
        self.tick(HOUR / 2)
        self.assertEqual(sorted(self.ids()), ["b@2026-11-27T12:30Z", "t@2026-11-27T12:30Z"])

    def test_summer_time(self) -> None:
        """When the clock is set for summer time, a request is made right after the hour that is left out."""
        self.days("2026-03-28", 3)
        self.assertEqual(self.ids(), [f"n@2026-03-{each}Z" for each in ("29T01:00", "30T00:30", "31T00:30")])

    def test_winter_time(self) -> None:
        """When the clock is set back in autumn, a request in the hour that comes twice is made once."""
        self.days("2026-10-24", 2)
        self.assertEqual(self.ids(), ["n@2026-10-25T00:30Z", "n@2026-10-26T01:30Z"])

    def days(self, first: str, days: int) -> None:
        """Let days pass from noon on, with a schedule for 2:30 in Berlin."""
        self.wall = datetime.fromisoformat(f"{first}T12:00+00:00").timestamp()
        self.plan("n '30 2 * * *' zone=Europe/Berlin svc x")
        self.tick(MINUTE / 2, count=days * 24 * 120)
        self.assertEqual(self.counts(), (days, 0, 0))

    def test_draining(self) -> None:
        """A broker that drains makes no requests; what has passed meanwhile was missed."""
        self.plan("n '1 12 * * *' svc x", "o '1 12 * * *' missed=once svc x")
        self.broker.queues.is_draining = True
        self.tick(10 * MINUTE)
        self.assertEqual(self.counts(), (0, 0, 0))
        self.broker.queues.is_draining = False
        self.tick()
        self.assertEqual(self.ids(), ["o@2026-11-27T12:01Z"])

    def test_bounded(self) -> None:
        """Many requests that are due at the same time take several ticks, and none is missed."""
        self.plan(*(f"n{number} '1 12 * * *' svc x" for number in range(100)))
        self.tick(0.05, count=5)
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (schedules.STEPS_PER_TICK, 0, 0))
        self.tick(0.05, count=100 // schedules.STEPS_PER_TICK - 1)
        self.assertEqual(self.counts(), (100, 0, 0))


class ClockTests(ScheduleCase):
    """A clock that is set."""

    def test_set_back(self) -> None:
        """Times that come again make no second request, and the others do."""
        self.plan("n '*/10 * * * *' svc x")
        self.tick(MINUTE, count=25)
        self.assertEqual(self.times(), ["12:10Z", "12:20Z"])
        self.set_clock(-20 * MINUTE)
        self.tick(MINUTE, count=30)
        self.assertEqual(self.times(), ["12:30Z"])

    def test_set_forward(self) -> None:
        """What was passed over is missed: the last time of it makes a request with missed=once, and none with skip."""
        self.plan("s '*/10 * * * *' svc x", "o '*/10 * * * *' missed=once svc x")
        self.tick(MINUTE)
        self.set_clock(34 * MINUTE)
        self.assertEqual(self.ids(), ["o@2026-11-27T12:30Z"])
        self.assertEqual(self.counts(), (1, 6, 0))
        self.tick(MINUTE, count=6)
        self.assertEqual(sorted(self.ids()), ["o@2026-11-27T12:40Z", "s@2026-11-27T12:40Z"])
        warned = "\n".join(self.logged(LogLevel.warn))
        self.assertIn("s has missed 3 requests, the last one s@2026-11-27T12:30Z: none is made for them", warned)
        self.assertIn("o has missed 3 requests, the last one o@2026-11-27T12:30Z: one request is made", warned)

    def test_forward_and_back(self) -> None:
        """Times that were passed over come again when the clock was wrong; those with a request do not."""
        self.plan("n '*/10 * * * *' svc x")
        self.tick(MINUTE, count=15)
        self.set_clock(60 * MINUTE)
        self.tick(MINUTE, count=6)
        self.assertEqual(self.times(), ["12:10Z", "13:20Z"])
        self.set_clock(-60 * MINUTE)
        self.tick(MINUTE, count=75)
        self.assertEqual(self.times(), ["12:30Z", "12:40Z", "12:50Z", "13:00Z", "13:10Z", "13:30Z"])

    def test_years(self) -> None:
        """A clock that was years ahead does not keep schedules from going on when it is right again."""
        self.plan("n '* * * * *' missed=once svc x")
        self.set_clock(4 * 365 * DAY)
        self.tick(0.05, count=10)
        self.set_clock(-4 * 365 * DAY)
        self.tick(MINUTE, count=2)
        self.assertEqual(
            [each for each in self.ids() if "2026" in each], ["n@2026-11-27T12:01Z", "n@2026-11-27T12:02Z"]
        )
        self.assertIn("n has missed 101 or more requests", "\n".join(self.logged(LogLevel.warn)))

    def test_often(self) -> None:
        """However often the clock is set, what is remembered is bounded, and no request is made twice."""
        self.plan("n '* * * * *' svc x")
        made = []
        for back in range(MOST_RANGES * 3):
            self.tick(MINUTE, count=3)
            made += self.ids()
            self.set_clock(10 * MINUTE if back % 2 else -7 * MINUTE)
        (entry,) = self.broker.schedules
        self.assertLessEqual(len(entry.state.ranges), MOST_RANGES)
        self.assertEqual(len(made), len(set(made)))

    def test_small_step(self) -> None:
        """A clock that is set back by a moment right after a request makes no second one."""
        self.plan("n '* * * * *' svc x")
        self.tick(MINUTE + 0.1)
        self.set_clock(-0.3)
        self.tick(0.1, count=5)
        self.assertEqual(self.times(), ["12:01Z"])


class OverlapTests(ScheduleCase):
    """Requests while the one before has not ended."""

    def test_skip(self) -> None:
        """With overlap=skip, there is no request until the last one has ended, waiting or in flight."""
        self.plan("n '* * * * *' overlap=skip svc x")
        self.tick(MINUTE, count=3)
        self.assertEqual(self.counts(), (1, 0, 2))
        self.open_second("w", OFFER, credit=1)
        (got,) = self.take("w")
        assert isinstance(got, mlm.ServiceDeliver)
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (1, 0, 3))
        self.do("w", mlm.Confirm(got.tracker, 200, b"", {"lease": got.properties["lease"]}))
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (2, 0, 3))

    def test_failed(self) -> None:
        """A request that has failed has ended."""
        self.plan("n '* * * * *' overlap=skip svc x")
        self.open("w", OFFER, credit=5)
        self.tick(MINUTE)
        self.do("w", confirm(b"n@2026-11-27T12:01Z", 502))
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (2, 0, 0))

    def test_purged(self) -> None:
        """A request that was purged has ended."""
        self.plan("n '* * * * *' overlap=skip svc x", "other '* * * * *' svc x")
        self.tick(MINUTE)
        for message in self.store.waiting(QueueName(QueueKind.SERVICE, b"svc"), 0, 5):
            if message.tracker.startswith(b"n@"):
                self.broker.queues.end_purged(message, self.now)
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (4, 0, 0))

    def test_delivered_at_once(self) -> None:
        """A request that a plain client gets has ended at once."""
        self.plan("n '* * * * *' overlap=skip svc x")
        self.open("plain", OFFER)
        self.tick(MINUTE, count=2)
        self.assertEqual(self.counts(), (2, 0, 0))

    def test_queue(self) -> None:
        """Without, the requests wait one after the other."""
        self.plan("n '* * * * *' svc x")
        self.tick(MINUTE, count=3)
        self.assertEqual(self.times(), ["12:01Z", "12:02Z", "12:03Z"])


class IdTests(ScheduleCase):
    """Ids that a queue knows."""

    def test_known(self) -> None:
        """A request whose id its queue knows is not made, and not tried again."""
        self.plan("n '1 12 * * *' svc x")
        self.open_second("p", credit=5)
        self.do("p", mlm.ServiceSend(b"svc", b"mine", b"t", 0, (b"x",), {"id": b"n@2026-11-27T12:01Z"}))
        self.tick(MINUTE)
        self.tick(11.0, count=10)
        self.assertEqual(self.counts(), (0, 0, 0))
        self.assertEqual(self.times(), ["12:01Z"])
        self.assertIn("is not made: its queue knows this id", "\n".join(self.logged(LogLevel.warn)))


class NoRoomTests(ScheduleCase):
    """A queue that is full."""

    limits = Limits(client_timeout=1e9, service=QueueLimits(most_octets=1))

    def test_again(self) -> None:
        """A request that is refused is tried again, until its time is so long ago that it was missed."""
        self.plan("n '1 12 * * *' svc x ab", "o '1 12 * * *' missed=once svc x ab")
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (0, 0, 0))
        self.tick(MINUTE + 1)
        self.assertEqual(self.counts(), (0, 1, 0))
        self.broker.configure(Limits(client_timeout=1e9))
        self.tick(schedules.RETRY_SECONDS)
        self.assertEqual(self.ids(), ["o@2026-11-27T12:01Z"])


class ChangeTests(ScheduleCase):
    """Schedules that are added, changed and removed."""

    def test_reload(self) -> None:
        """A schedule with the same expression goes on; one with another begins anew; one that is gone ends."""
        self.plan("same '*/10 * * * *' svc x", "changed '*/10 * * * *' missed=once svc x", "gone '*/10 * * * *' svc x")
        self.tick(MINUTE, count=5)
        self.plan("same '*/10 * * * *' svc y", "changed '1 * * * *' missed=once svc x")
        self.tick(MINUTE, count=6)
        self.assertEqual(self.ids(), ["same@2026-11-27T12:10Z"])

    def test_added(self) -> None:
        """One that was added is beside those of the file, and makes its requests until it is removed."""
        self.plan("n '*/10 * * * *' svc x")
        self.broker.schedules.add(parse("m '*/10 * * * *' svc x"))
        self.tick(MINUTE, count=10)
        self.assertEqual(sorted(self.ids()), ["m@2026-11-27T12:10Z", "n@2026-11-27T12:10Z"])
        self.broker.schedules.remove("m")
        self.tick(MINUTE, count=10)
        self.assertEqual(self.times(), ["12:20Z"])

    def test_same_name(self) -> None:
        """A schedule of the file takes the place of one that was added, until the file has it no more."""
        self.broker.schedules.add(parse("n '* * * * *' svc added"))
        self.plan("n '* * * * *' svc x")
        (entry,) = self.broker.schedules
        self.assertEqual((entry.schedule.subject, entry.source), (b"x", "file"))
        self.plan()
        (entry,) = self.broker.schedules
        self.assertEqual((entry.schedule.subject, entry.source), (b"added", "command"))

    def test_paused(self) -> None:
        """A paused schedule makes no requests, and what passes meanwhile is not missed."""
        self.plan("n '* * * * *' missed=once svc x", "p '* * * * *' paused svc x")
        entry, other = self.broker.schedules
        self.assertTrue(self.broker.schedules.pause(entry))
        self.assertFalse(self.broker.schedules.pause(entry))
        self.tick(MINUTE, count=5)
        self.assertEqual(self.ids(), [])
        for each in (entry, other):
            self.assertTrue(self.broker.schedules.resume(each))
            self.assertFalse(self.broker.schedules.resume(each))
        self.tick(MINUTE)
        self.assertEqual(sorted(self.ids()), ["n@2026-11-27T12:06Z", "p@2026-11-27T12:06Z"])
        self.assertEqual(self.counts(), (2, 0, 0))

    def test_run(self) -> None:
        """A request that is asked for is made at once, also of a paused schedule, with an id of its own."""
        self.plan("n '0 3 * * *' paused svc x")
        (entry,) = self.broker.schedules
        self.tick(0.25)
        self.assertTrue(self.broker.schedules.run(entry, self.now))
        self.assertEqual(self.times(), ["12:00:00.250000Z"])


class RestartTests(ScheduleCase, DurableTestCase):
    """A broker with a store, which is killed."""

    lines: tuple[str, ...] = ()

    def setUp(self) -> None:
        LogCase.setUp(self)
        self.wall = NOON
        DurableTestCase.setUp(self)

    def write(self) -> None:
        """Write all pending changes."""
        DurableTestCase.write(self)

    def begin(self) -> None:
        """Start a broker whose settings have the lines."""
        super().begin()
        self.plan(*self.lines)

    def restart(self, *lines: str, after: float = 0.0) -> None:
        """Kill the broker; start it some time later with these lines."""
        self.lines = lines or self.lines
        self.wall += after
        self.crash()

    def test_missed(self) -> None:
        """What was due while the broker did not run is missed."""
        self.restart("s '*/10 * * * *' svc x", "o '*/10 * * * *' missed=once svc x")
        self.tick(MINUTE)
        self.write()
        self.restart(after=30 * MINUTE)
        self.assertEqual(self.ids(), ["o@2026-11-27T12:30Z"])
        self.assertEqual(self.counts(), (1, 6, 0))
        self.write()
        self.restart(after=2 * MINUTE)
        self.assertEqual((self.ids(), self.counts()), ([], (0, 0, 0)))

    def test_new_is_not_missed(self) -> None:
        """A new schedule, or one with another expression, has missed nothing."""
        self.restart("n '*/10 * * * *' missed=once svc x")
        self.write()
        self.restart("n '1,11 * * * *' missed=once svc x", "m '*/10 * * * *' missed=once svc x", after=30 * MINUTE)
        self.assertEqual(self.counts(), (0, 0, 0))

    def test_killed_before_it_is_stored(self) -> None:
        """A broker that is killed before the request is stored makes it again; no worker has seen the first one."""
        self.restart("n '1 12 * * *' missed=once svc x")
        self.write()
        self.open_second("w", OFFER, credit=5)
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (1, 0, 0))
        self.assertEqual(self.take("w"), [])
        self.restart(after=1.0)
        self.write()
        self.restart(after=1.0)
        self.assertEqual(self.times(), ["12:01Z"])

    def test_killed_after_it_is_stored(self) -> None:
        """A broker that is killed after the request was stored has it once."""
        self.restart("n '1 12 * * *' missed=once svc x")
        self.tick(MINUTE)
        self.write()
        for _ in range(3):
            self.restart(after=1.0)
            self.write()
        self.assertEqual(self.times(), ["12:01Z"])
        self.assertEqual(self.counts(), (0, 0, 0))

    def test_clock_set_back_meanwhile(self) -> None:
        """No request is made again if the clock was set back while the broker did not run."""
        self.restart("n '* * * * *' svc x")
        self.tick(MINUTE, count=5)
        self.write()
        self.assertEqual(len(self.ids()), 5)
        self.write()
        self.restart(after=-3 * MINUTE)
        self.tick(MINUTE, count=5)
        self.write()
        self.assertEqual(self.times(), ["12:06Z", "12:07Z"])

    def test_added(self) -> None:
        """A schedule that was added, and the pause of one of the file, are kept."""
        self.restart("n '* * * * *' svc x")
        self.broker.schedules.add(parse("m '* * * * *' zone=Europe/Berlin svc x"))
        entry = self.broker.schedules.get("n")
        assert entry is not None
        self.broker.schedules.pause(entry)
        self.write()
        self.restart()
        self.tick(MINUTE)
        self.write()
        self.assertEqual(self.ids(), ["m@2026-11-27T12:01Z"])
        self.restart("n '* * * * *' paused svc x")
        self.write()
        self.restart("n '* * * * *' svc x")
        self.write()
        entry = self.broker.schedules.get("n")
        assert entry is not None
        self.assertFalse(entry.is_paused)

    def test_running(self) -> None:
        """With overlap=skip, a request of before the restart counts as long as it has not ended."""
        self.restart("n '* * * * *' overlap=skip svc x")
        self.tick(MINUTE)
        self.write()
        self.restart()
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (0, 0, 1))
        self.assertEqual(self.times(), ["12:01Z"])
        self.write()
        self.restart()
        self.tick(MINUTE)
        self.assertEqual(self.counts(), (1, 0, 0))

    def test_removed(self) -> None:
        """Nothing is kept of schedules that are gone."""
        self.restart("n '* * * * *' svc x")
        self.broker.schedules.add(parse("m '* * * * *' svc x"))
        self.tick(MINUTE)
        self.broker.schedules.remove("m")
        self.write()
        self.lines = ()
        self.restart()
        self.write()
        self.assertEqual([self.durable.entries(kind) for kind in (schedules.ADDED, schedules.STATE)], [{}, {}])

    def test_damaged(self) -> None:
        """What cannot be read in the store is logged, and the others go on."""
        self.durable.set_entry(schedules.ADDED, b"x", b"\xc1")
        self.durable.set_entry(schedules.STATE, b"n", b"\xc1")
        self.write()
        self.restart("n '* * * * *' svc x")
        self.tick(MINUTE)
        self.write()
        self.assertEqual(self.times(), ["12:01Z"])
        self.assertIn("the schedule b'x' in the store is not used", "\n".join(self.logged(LogLevel.error)))

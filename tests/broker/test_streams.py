"""Streams: lagging readers, replay, retention and limits (docs/protocol.md, sections 5 and 6)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogLevel

from alaska.broker import stream as one_stream
from alaska.broker import stream_readers, streams
from alaska.broker.limits import Limits, QueueLimits
from alaska.message import Page, Record, Retention
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, BrokerTestCase
from tests.network_case import LogCase

LIVE = mlm.LIVE_ONLY


def write(*subjects: bytes, stream: bytes = b"s") -> list[mlm.Command]:
    """Return the commands that write messages with these subjects to a stream."""
    return [mlm.StreamWrite(stream), *(mlm.StreamSend(subject, (subject,)) for subject in subjects)]


def numbers(count: int, start: int = 0) -> list[bytes]:
    """Return this number of different subjects."""
    return [b"%d" % number for number in range(start, start + count)]


class StreamTestCase(BrokerTestCase):
    """A broker, and the client w, which writes to streams."""

    def setUp(self) -> None:
        super().setUp()
        self.open("w")

    def records(self, name: str) -> list[tuple[int, bytes]]:
        """Return the positions and subjects of the records in an inbox, and empty it."""
        return [(each.position, each.subject) for each in self.take(name) if isinstance(each, mlm.StreamRecord)]


class LagTests(StreamTestCase):
    """Readers without credit, of a stream without retention."""

    def test_nothing_is_lost(self) -> None:
        """A reader that gives credit late gets every message once and in order, and then new ones live."""
        self.open("r", mlm.StreamRead(b"s", b""), credit=2)
        self.do("w", *write(*numbers(3000)))
        seen = self.taken("r")
        self.assertEqual(len(seen), 2)
        while len(seen) < 3000:
            self.do("r", mlm.Credit(97))
            seen += self.taken("r")
        self.do("w", *write(b"live"))
        self.assertEqual(seen, numbers(3000) + [b"live"] * (len(seen) - 3000))
        self.assertEqual(self.taken("r"), [b"live"])

    def test_only_what_it_reads(self) -> None:
        """A lagging reader gets only messages that match its patterns, and not its own."""
        self.open("r", mlm.StreamRead(b"s", b"1$"), mlm.StreamWrite(b"s"), credit=0)
        self.do("w", *write(*numbers(30)))
        self.do("r", mlm.StreamSend(b"own 1", ()), mlm.Credit(10))
        self.assertEqual(self.taken("r"), [b"1", b"11", b"21"])

    def test_own_messages_without_an_address(self) -> None:
        """A reader without address does not get its own messages, whether it lags or not."""
        self.do("r", mlm.ConnectionOpen(b""), mlm.Credit(0), mlm.StreamRead(b"s", b""), mlm.StreamWrite(b"s"))
        self.do("w", *write(b"1"))
        self.do("r", mlm.StreamSend(b"own", ()), mlm.Credit(5), mlm.StreamSend(b"own", ()))
        self.assertEqual(self.taken("r"), [b"1"])

    def test_many_streams_are_fed_in_turns(self) -> None:
        """The number of records examined per command is limited for all streams of a reader; ticks continue."""
        self.patch(streams, "FEED_BETWEEN_TICKS", 100)
        self.open("r", *[mlm.StreamRead(b"%d" % number, b"^x") for number in range(20)], credit=0)
        for number in range(20):
            self.do("w", *write(b"x", *[b"other"] * 50, b"x", stream=b"%d" % number))
        self.pass_time(0.1, "r", "w")
        examined: list[Record] = []
        records = self.store.records

        def counted(stream: bytes, after: int, limit: int) -> Page[Record, int]:
            page = records(stream, after, limit)
            examined.extend(page)
            return page

        self.patch(self.store, "records", counted)
        self.do("r", mlm.Credit(100))
        self.assertLess(len(examined), 200)
        self.pass_time(1, "r", "w")
        self.assertEqual(self.taken("r"), [b"x"] * 40)

    def test_positions_are_not_reused(self) -> None:
        """A stream that had no readers for a while continues with its positions, if it ever had stored records."""
        for _ in range(2):
            self.open("r", mlm.StreamRead(b"s", b""), credit=0)
            self.do("w", *write(*numbers(5)))
            self.do("r", mlm.Credit(5))
            self.assertEqual(self.taken("r"), numbers(5))
            self.do("r", mlm.ConnectionClose())
        self.assertEqual([size.last for size in self.store.streams()], [10])

    def test_others_are_not_delayed(self) -> None:
        """A lagging reader does not delay others."""
        self.open("slow", mlm.StreamRead(b"s", b""), credit=0)
        self.open("fast", mlm.StreamRead(b"s", b""))
        self.do("w", *write(*numbers(10)))
        self.assertEqual(self.taken("fast"), numbers(10))

    def test_journal_ends_with_the_lag(self) -> None:
        """Without retention the journal is emptied when the lagging reader has caught up, cancels or leaves."""
        for end in (mlm.Credit(1000), mlm.StreamCancel(b"s"), mlm.ConnectionClose()):
            self.setUp()
            self.open("r", mlm.StreamRead(b"s", b""), credit=0)
            self.do("w", *write(*numbers(10)))
            self.assertEqual(len(self.store.records(b"s", 0, 100)), 10)
            self.do("r", end)
            self.pass_time(0.1)
            self.assertEqual(self.store.records(b"s", 0, 100), [])

    def test_large_journal_is_emptied_in_steps(self) -> None:
        """A tick removes records of a limited total size, or one record that is larger, and the next ones go on."""
        self.patch(one_stream, "TRIM_MAX_OCTETS", 1000)
        self.open("r", mlm.StreamRead(b"s", b""), credit=0)
        sizes = [300] * 5 + [5000] * 2 + [300] * 5
        self.do("w", mlm.StreamWrite(b"s"), *[mlm.StreamSend(b"", (bytes(size),)) for size in sizes])
        self.do("r", CLOSE)
        left = [len(sizes)]
        while left[-1]:
            self.pass_time(0.05)
            left.append(len(self.store.records(b"s", 0, 100)))
        self.assertEqual(left, [12, 9, 7, 6, 5, 2, 0])

    def test_many_journals_are_emptied_in_turns(self) -> None:
        """When a client leaves many streams at once, each tick empties some of them, until all are removed."""
        self.patch(streams, "TRIM_WORK_PER_TICK", 5 * streams.WORK_PER_TRIM)
        self.open("r", *[mlm.StreamRead(b"%d" % number, b"") for number in range(20)], credit=0)
        for number in range(20):
            self.do("w", mlm.StreamWrite(b"%d" % number), mlm.StreamSend(b"", (b"x",)))
        self.do("r", CLOSE)
        self.assertEqual(len(self.broker.streams._streams), 20)
        self.pass_time(0.05)
        self.assertIn(len(self.broker.streams._streams), range(10, 16))
        self.pass_time(1)
        self.assertEqual(len(self.broker.streams._streams), 0)

    def test_large_credit_is_fed_in_turns(self) -> None:
        """A reader that lags far behind is fed by several ticks, without a gap."""
        self.open("r", mlm.StreamRead(b"s", b""), credit=0)
        self.do("w", *write(*numbers(10_000)))
        self.do("r", mlm.Credit(60_000))
        self.do("w", *write(*numbers(5, 10_000)))
        self.pass_time(1, "w", "r")
        self.assertEqual(self.taken("r"), numbers(10_005))

    def test_many_patterns_are_fed_in_shorter_turns(self) -> None:
        """With many patterns per reader, fewer records are examined per call."""
        patterns = [mlm.StreamRead(b"s", b"x" * count + b"?") for count in range(1, 41)]
        self.open("r", mlm.StreamRead(b"s", b""), *patterns, credit=0)
        self.do("w", *write(*numbers(1000)))
        self.do("r", mlm.Credit(60_000))
        first = self.taken("r")
        self.assertLess(len(first), 300)
        self.pass_time(1, "w", "r")
        self.assertEqual(first + self.taken("r"), numbers(1000))

    def test_own_records_are_limited(self) -> None:
        """Only a limited number of records is remembered as written by a lagging reader without address."""
        self.patch(stream_readers, "MAX_OWN_RECORDS", 3)
        self.do("r", mlm.ConnectionOpen(b""), mlm.Credit(0), mlm.StreamRead(b"s", b""), mlm.StreamWrite(b"s"))
        self.do("w", *write(b"1"))
        self.do("r", *[mlm.StreamSend(b"own", ())] * 5)
        self.do("r", mlm.Credit(10))
        self.assertEqual(self.taken("r"), [b"1", b"own", b"own"])

    def test_own_records_of_many_streams_are_limited(self) -> None:
        """The limit is one for all streams; positions count until the reader has caught up or cancels."""
        self.patch(stream_readers, "MAX_OWN_RECORDS", 6)
        self.do("r", mlm.ConnectionOpen(b""), mlm.Credit(0), *[mlm.StreamRead(b"%d" % n, b"") for n in range(8)])
        self.do("w", *[command for number in range(8) for command in write(b"1", stream=b"%d" % number)])
        for number in range(5):
            self.do("r", mlm.StreamWrite(b"%d" % number), *[mlm.StreamSend(b"own", ())] * 2)
        self.do("r", mlm.StreamCancel(b"0"), mlm.StreamWrite(b"5"), *[mlm.StreamSend(b"own", ())] * 2)
        self.do("r", mlm.Credit(100))
        self.pass_time(0.1, "w", "r")
        self.assertEqual(sorted(self.taken("r")), [b"1"] * 7 + [b"own"] * 4)
        self.assertEqual(self.broker.streams._own_records.count, 0)


class ReplayTests(StreamTestCase):
    """Replay from the journal."""

    limits = Limits(retention=Retention(most_records=100))

    def test_from_the_oldest(self) -> None:
        """Position 0 means the oldest stored record; positions start at 1."""
        self.do("w", *write(*numbers(5)))
        self.open("r", credit=100)
        self.assertEqual(self.say("r", mlm.StreamReplay(b"s", b"", 0))[0], mlm.Ok(200, b"last=5"))
        self.open("r2", credit=100)
        self.do("r2", mlm.StreamReplay(b"s", b"", 0))
        self.assertEqual(self.records("r2"), list(enumerate(numbers(5), 1)))

    def test_from_a_position(self) -> None:
        """Position n means the first record at or after n."""
        self.do("w", *write(*numbers(5)))
        self.open("r", mlm.StreamReplay(b"s", b"", 4), credit=100)
        self.take("r")
        self.open("r2", credit=100)
        self.do("r2", mlm.StreamReplay(b"s", b"", 4))
        self.assertEqual(self.records("r2"), [(4, b"3"), (5, b"4")])

    def test_from_now(self) -> None:
        """The highest possible position means only new messages."""
        self.do("w", *write(*numbers(5)))
        self.open("r", credit=100)
        self.do("r", mlm.StreamReplay(b"s", b"", LIVE))
        self.do("w", *write(b"new"))
        self.assertEqual(self.records("r"), [(6, b"new")])

    def test_record_fields(self) -> None:
        """A record has its position, its time in ms, stream, sender, subject and content."""
        self.now = 12.5
        self.do("w", *write(b"x"))
        self.open("r", credit=1)
        self.do("r", mlm.StreamReplay(b"s", b"", 0))
        self.assertEqual(self.take("r")[-1], mlm.StreamRecord(1, 12500, b"s", b"w", b"x", (b"x",)))

    @given(st.lists(st.sampled_from(["write", "credit", "replay", "tick"]), max_size=40), st.integers(0, 12))
    def test_no_gap_and_no_repeat(self, steps: list[str], position: int) -> None:
        """In any order of writes, credit and ticks, a reader gets each position from its start on exactly once."""
        self.setUp()
        self.do("w", *write(*numbers(10)))
        self.open("r", credit=0)
        self.do("r", mlm.StreamReplay(b"s", b"", position))
        written = 10
        for step in (*steps, *["credit"] * 30):
            if step == "write":
                self.do("w", *write(*numbers(3, written)))
                written += 3
            elif step == "credit":
                self.do("r", mlm.Credit(7))
            else:
                self.pass_time(0.05, "w")
        positions = [each for each, _ in self.records("r")]
        first = max(position, 1)
        self.assertEqual(positions, list(range(first, written + 1)))

    def test_credit(self) -> None:
        """Replayed records use credit like any delivery."""
        self.do("w", *write(*numbers(5)))
        self.open("r", credit=2)
        self.do("r", mlm.StreamReplay(b"s", b"", 0))
        self.assertEqual(len(self.records("r")), 2)
        self.do("r", mlm.Credit(1))
        self.assertEqual(self.records("r"), [(3, b"2")])


class SeveralPatternsTests(StreamTestCase):
    """A client that reads a stream with several patterns, each from a different position."""

    limits = Limits(retention=Retention(most_records=100))

    def setUp(self) -> None:
        super().setUp()
        self.do("w", *write(b"a1", b"b2", b"ab3", b"a4"))
        self.open("r", credit=100)

    def replay(self, pattern: bytes, position: int) -> list[int]:
        """Let r replay with a pattern; return the positions that it gets."""
        self.do("r", mlm.StreamReplay(b"s", pattern, position))
        return [position for position, _ in self.records("r")]

    def test_one_after_the_other(self) -> None:
        """A record that was sent for one pattern is not sent again for another."""
        self.assertEqual(self.replay(b"a", 0), [1, 3, 4])
        self.assertEqual(self.replay(b"b", 0), [2])
        self.do("w", *write(b"ab5"))
        self.assertEqual(self.records("r"), [(5, b"ab5")])

    def test_later_position_leaves_no_gap(self) -> None:
        """A pattern with a later position does not make a lagging pattern miss records."""
        self.do("r", mlm.StreamReplay(b"s", b"a", LIVE))
        self.open("slow", credit=1)
        self.do("slow", mlm.StreamReplay(b"s", b"a", 0), mlm.StreamReplay(b"s", b"b", 3))
        self.do("slow", mlm.StreamReplay(b"s", b"^$", 50), mlm.Credit(100))
        self.assertEqual([position for position, _ in self.records("slow")], [1, 3, 4])

    def test_from_now_while_another_lags(self) -> None:
        """A pattern from now on gets no past records while another pattern lags."""
        self.open("slow", credit=0)
        self.do("slow", mlm.StreamReplay(b"s", b"a", 0), mlm.StreamRead(b"s", b"b"), mlm.Credit(100))
        self.do("w", *write(b"b5"))
        self.assertEqual([position for position, _ in self.records("slow")], [1, 3, 4, 5])

    def test_position_to_come(self) -> None:
        """A pattern with a future position starts there, while another is live."""
        self.do("r", mlm.StreamRead(b"s", b"b"), mlm.StreamReplay(b"s", b"a", 7))
        self.do("w", *write(b"a5", b"b6", b"a7", b"a8"))
        self.assertEqual([position for position, _ in self.records("r")], [6, 7, 8])

    def test_again(self) -> None:
        """A second replay with the same pattern sends the records again, from its position on."""
        self.assertEqual(self.replay(b"a", 0), [1, 3, 4])
        self.assertEqual(self.replay(b"a", 3), [3, 4])


class RetentionTests(StreamTestCase):
    """Retention."""

    limits = Limits(
        retention=Retention(most_records=10),
        retention_of={
            b"octets": Retention(None, most_octets=30),
            b"age": Retention(None, most_seconds=60.0),
            b"none": Retention(0),
        },
    )

    def kept(self, stream: bytes) -> list[bytes]:
        """Return the subjects of the stored records, after a trim."""
        self.pass_time(1.1, "w")
        return [record.subject for record in self.store.records(stream, 0, 1000)]

    def test_count(self) -> None:
        """The newest records are kept, up to the maximum number."""
        self.do("w", *write(*numbers(25)))
        self.assertEqual(self.kept(b"s"), numbers(10, 15))

    def test_octets(self) -> None:
        """The newest records are kept, up to the maximum octets of content."""
        self.do("w", *write(*numbers(20, 10), stream=b"octets"))
        self.assertEqual(self.kept(b"octets"), numbers(15, 15))

    def test_age_and_the_wall_clock(self) -> None:
        """Setting the wall clock forward or back does not change the age of records."""
        self.broker.tick(self.now, 1000.0)
        self.do("w", *write(b"old", stream=b"age"))
        self.broker.tick(self.now + 10, 1010.0 + 3600)
        self.assertEqual(self.kept(b"age"), [b"old"])
        self.now += 80
        self.broker.tick(self.now, 1080.0)
        self.assertEqual(self.kept(b"age"), [])

    def test_records_are_dated_by_the_wall_clock(self) -> None:
        """The time of a record is the wall-clock time."""
        self.broker.tick(self.now, 1000.0)
        self.do("w", *write(b"x", stream=b"age"))
        self.broker.tick(self.now, 500.0)
        self.do("w", *write(b"y", stream=b"age"))
        self.assertEqual([record.time for record in self.store.records(b"age", 0, 10)], [1_000_000, 500_000])

    def test_age(self) -> None:
        """Records older than the maximum age are removed."""
        self.do("w", *write(b"old", stream=b"age"))
        self.pass_time(40, "w")
        self.do("w", *write(b"new", stream=b"age"))
        self.pass_time(21, "w")
        self.assertEqual(self.kept(b"age"), [b"new"])

    def test_none(self) -> None:
        """A stream's own retention of 0 records overrides the default retention."""
        self.do("w", *write(b"x", stream=b"none"))
        self.assertEqual(self.kept(b"none"), [])

    def test_lag_beyond_retention(self) -> None:
        """Records that a connected reader has not got yet are kept beyond the retention."""
        self.open("r", mlm.StreamRead(b"s", b""), credit=0)
        self.do("w", *write(*numbers(50)))
        self.pass_time(2, "w", "r")
        self.do("r", mlm.Credit(100))
        self.assertEqual(self.taken("r"), numbers(50))


class LimitTests(StreamTestCase):
    """The size limit for lagging readers."""

    limits = Limits(stream=QueueLimits(10))

    def test_records_beyond_limit_are_dropped(self) -> None:
        """Beyond the limit records for lagging readers are dropped; after they have caught up there is room again."""
        self.open("r", mlm.StreamRead(b"s", b""), credit=0)
        self.do("w", *write(*numbers(20)))
        self.do("r", mlm.Credit(100))
        self.assertEqual(self.taken("r"), numbers(10))
        self.do("w", *write(b"live"))
        self.assertEqual(self.taken("r"), [b"live"])


class ContentLimitTests(StreamTestCase, LogCase):
    """The size limit for one message."""

    limits = Limits(content_octets=5)

    def setUp(self) -> None:
        LogCase.setUp(self)
        StreamTestCase.setUp(self)

    def test_too_large(self) -> None:
        """A message that is too large is not delivered, with one warning; other messages are."""
        self.open("r", mlm.StreamRead(b"s", b""))
        self.do("w", *write(b"small", b"large ", b"larger", b"last"))
        self.assertEqual(self.taken("r"), [b"small", b"last"])
        self.assertEqual(len(self.logged(LogLevel.warn)), 1)

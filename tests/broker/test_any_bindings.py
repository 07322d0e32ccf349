"""Bindings through any steps of writers, workers, disk writes and crashes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from alaska.broker import bindings
from alaska.broker.limits import Limits
from alaska.message import Retention
from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, OFFER
from tests.broker.test_bindings import KEY
from tests.broker.test_durability import DurableTestCase

WORKERS = ("v1", "v2", "v3")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["come", "work", "leave"]), st.sampled_from(WORKERS)),
        st.sampled_from([("tick", 0), ("disk", 0), ("crash", 0), ("drain", 0)]),
    ),
    max_size=40,
)


class AnyStepsTests(DurableTestCase):
    """A stream that is bound to a service with three workers."""

    limits = Limits(client_timeout=1000.0, attempts=None, retention=Retention(most_records=None))

    def setUp(self) -> None:
        super().setUp()
        self.patch(bindings, "MOST_UNFINISHED", 7)
        self.patch(bindings, "MIN_READ_RECORDS", 2)
        self.patch(bindings, "WORK_PER_TICK", 20)

    def start(self) -> None:
        """Begin with the broker of this test, and its writer."""
        self.connected: set[str] = set()
        self.done: Counter[int] = Counter()
        self.written = 0
        self.stored = 0
        self.count_crashes = 0
        self.open("w", mlm.StreamWrite(b"s"))

    def step(self, what: str, argument: object) -> None:
        """Let something happen."""
        if what == "publish":
            assert isinstance(argument, int)
            for _ in range(argument):
                self.written += 1
                subject = b"skip" if self.written % 4 == 0 else b"take"
                self.do("w", mlm.StreamSend(subject, (b"%d" % self.written,)))
        elif what == "tick":
            self.pass_time(0.05)
        elif what == "disk":
            self.write()
            self.stored = self.written
        elif what == "drain":
            self.broker.queues.is_draining = not self.broker.queues.is_draining
        elif what == "crash":
            self.count_crashes += 1
            # What the disk does not have is neither in the stream nor in the queue.
            self.crash()
            self.connected.clear()
            self.gone.clear()
            self.written = self.stored
            self.do("w", mlm.ConnectionOpen(b"w"), mlm.StreamWrite(b"s"))
        else:
            self.worker(what, str(argument))

    def worker(self, what: str, name: str) -> None:
        """Let a worker come, leave without a confirmation, or confirm what it has."""
        if what == "come" and name not in self.connected:
            self.connected.add(name)
            self.open_second(name, OFFER, credit=3)
        elif what == "leave" and name in self.connected:
            self.connected.discard(name)
            self.do(name, CLOSE)
            self.take(name)
        elif what == "work" and name in self.connected:
            for each in self.take(name):
                if isinstance(each, mlm.ServiceDeliver):
                    self.done[int(each.content[0])] += 1
                    confirm = mlm.Confirm(b"", 200, b"", {"lease": each.properties["lease"]})
                    self.do(name, confirm, mlm.Credit(1))

    @given(STEPS)
    def test_each_record_has_its_request(self, steps: list[tuple[str, object]]) -> None:
        """Each record that is stored becomes a request that is done, and without a crash exactly one."""
        DurableTestCase.setUp(self)
        self.start()
        self.broker.bindings.bind(KEY._replace(pattern=b"take"), 0, "test")
        self.write()
        for what, argument in steps:
            self.step(what, argument)
        self.broker.queues.is_draining = False
        self.worker("come", "v1")
        for _ in range(120):
            self.step("tick", 0)
            self.write()
            for name in WORKERS:
                self.worker("work", name)
        expected = {number for number in range(1, self.written + 1) if number % 4}
        self.assertEqual(expected - self.done.keys(), set())
        if not self.count_crashes:
            self.assertEqual(self.done, Counter(expected))
        (binding,) = self.broker.bindings
        self.assertEqual((binding.position, binding.lost), (self.written + 1, 0))

"""Random histories of a broker, with each kind of store, against a model of what it may do."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker import backlog, bindings, lanes, queues, served_backlog, stream, streams
from alaska.store import write_batches
from tests.broker.broker_machine import QUEUES
from tests.broker.broker_model import MOST_UNFINISHED
from tests.broker.operation_machine import OperationMachine
from tests.histories import try_histories
from tests.store.kinds import FileKind, LaterKind, MemoryKind, SpillingKind

EXAMPLES = 40
STEPS = 50
NAMES = "from tests.broker.operation_machine import *\ntake_small_steps()"
"""What a program that reproduces a failure needs besides the names here."""


class MemoryMachine(OperationMachine):
    """A broker with a store in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryKind())


class FileMachine(OperationMachine):
    """A broker with a store in a file."""

    def __init__(self) -> None:
        super().__init__(FileKind())


class SpillingMachine(OperationMachine):
    """A broker with a store that spills most messages to a temporary file."""

    def __init__(self) -> None:
        super().__init__(SpillingKind())


class LaterMachine(OperationMachine):
    """A broker with a shared store that answers later."""

    def __init__(self) -> None:
        super().__init__(LaterKind())


def take_small_steps(patch: Callable[[object, str, object], object] = setattr) -> None:
    """Reduce batch and window sizes, so that few messages suffice to exceed them."""
    for name, size in {
        "WINDOW_MESSAGES": 4,
        "WINDOW_OCTETS": 14,
        "TOTAL_WINDOW_OCTETS": 3000,
        "MAX_REFILLED_OCTETS": 4000,
        "NARROW_WINDOW_OCTETS": 600,
        "FREE_LANES": 2,
        "MAX_LANE_OCTETS": 2000,
    }.items():
        patch(lanes, name, size)
    for name, size in {"READ_MESSAGES": 3, "SKIMMED_MESSAGES": 4, "REFILLS_PER_READ": 2, "MAX_MATCHES": 4}.items():
        patch(backlog, name, size)
    patch(served_backlog, "READS_PER_CALL", 2)
    patch(served_backlog, "MANY_LANES", 2)
    patch(served_backlog, "MIN_DELIVERIES_PER_CALL", 2)
    patch(queues, "WORK_PER_TICK", 100)
    for name, size in {"READ_RECORDS": 3, "MIN_READ_RECORDS": 2, "FEED_RECORDS": 5, "TRIM_AFTER_RECORDS": 4}.items():
        patch(stream, name, size)
    patch(streams, "FEED_RECORDS", stream.FEED_RECORDS)
    patch(streams, "FEED_BETWEEN_TICKS", 10)
    patch(write_batches, "SPILL_OCTETS", 300)
    for name, size in {"MOST_UNFINISHED": MOST_UNFINISHED, "READ_RECORDS": 4, "MIN_READ_RECORDS": 2}.items():
        patch(bindings, name, size)
    patch(bindings, "WORK_PER_TICK", 20)
    patch(write_batches, "MOST_LAZY_MOVES", 3)


class BrokerModelTests(SynchronousTestCase):
    """Random histories, with each kind of store."""

    def setUp(self) -> None:
        take_small_steps(self.patch)

    def try_histories(self, machine: type[OperationMachine], count: int = EXAMPLES) -> None:
        """Run random histories."""
        try_histories(machine, count, STEPS, NAMES)

    def test_memory(self) -> None:
        """In any history, a broker with a store in memory follows the protocol."""
        self.try_histories(MemoryMachine)

    def test_file(self) -> None:
        """In any history, a broker with a store in a file follows the protocol, also across restarts and crashes."""
        self.try_histories(FileMachine, EXAMPLES // 2)

    def test_later(self) -> None:
        """In any history, a broker with a shared store that answers later follows the protocol."""
        self.try_histories(LaterMachine, EXAMPLES // 5)  # each takes several times as long

    def test_temporary_file(self) -> None:
        """In any history, a broker that spills to a temporary file follows the protocol."""
        self.try_histories(SpillingMachine)

    def test_confirmed_twice(self) -> None:
        """If the end of a confirmed message is not stored before a crash, the message is delivered again."""
        state = FileMachine()
        state.begin()
        state.send(pick=1, queue=QUEUES[0], subjects=[b"x1"], trackers=b"t%d", timeout=0)
        state.model.open(b"a", None)
        state.model.settle()
        state.credit(pick=0, amount=0)
        state.work(pick=0, confirmations=[(0, 200)], credit=0)
        state.chance("crash")
        state.teardown()
        message = state.model.messages[1]
        self.assertEqual((message.final_status, message.statuses), (200, [200]))

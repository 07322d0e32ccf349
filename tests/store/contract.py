"""The contract of all stores, as tests: a mixin for a test case that creates the store."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from alaska.interfaces import IStore
from alaska.message import Message
from tests import examples
from tests.store.contract_case import EVERYTHING, FIRST, JOBS, MAIL, letter, message, record
from tests.store.contract_messages import CallbackContract, ExpiryContract, MessageContract
from tests.store.contract_records import DeadLetterContract, StreamContract
from tests.store.model import StoreModel, message_values

OPERATIONS = (
    "keep",
    "keep",
    "keep",
    "forget",
    "forget",
    "attempt",
    "move",
    "move",
    "bury",
    "drop",
    "record",
    "record",
    "trim",
    "reopen",
)


class StoreContract(MessageContract, CallbackContract, ExpiryContract, DeadLetterContract, StreamContract):
    """The contract of all stores; that of stores that know ids is :class:`tests.store.contract_ids.IdContract`."""

    def test_interface(self) -> None:
        """The store provides the interface."""
        verifyObject(IStore, self.store)

    def test_empty(self) -> None:
        """All queries of a new store return nothing."""
        self.assertEqual(self.store.last_position, 0)
        for found in (
            self.store.queues(),
            self.store.streams(),
            self.dead_letters(0, EVERYTHING),
            self.waiting(JOBS, 0, EVERYTHING),
            self.whole_records(b"s", 0, EVERYTHING),
            self.page(lambda: self.store.overdue(1e12, FIRST, EVERYTHING)),
        ):
            self.assertEqual(found, [])

    def test_restart(self) -> None:
        """After a restart a durable store has the same content, and another store is empty."""
        mine = Message(3, MAIL, b"joe", b"s", b"t", (b"x", b""), is_tracked=True, expires=1e9 + 0.125)
        self.keep(mine, message(4), message(5))
        mine.attempts = 2
        self.store.take(mine, None)
        self.store.add_dead_letter(letter(message(4)))
        self.store.record(record(1, b"abc"))
        self.restart()
        if not self.store.is_durable:
            self.test_empty()
            return
        self.assertEqual([message_values(each) for each in self.waiting(MAIL, 0, EVERYTHING)], [message_values(mine)])
        self.assertEqual(self.positions(JOBS), [5])
        self.assertEqual([each.message.position for each in self.dead_letters(0, EVERYTHING)], [4])
        self.assertEqual(self.whole_records(b"s", 0, EVERYTHING), [record(1, b"abc")])
        self.assertEqual(self.store.last_position, 5)

    def test_last_position(self) -> None:
        """The last position is the highest one of messages and dead letters when the store was opened."""
        self.keep(message(7), message(8))
        self.store.add_dead_letter(letter(message(9)))
        self.assertEqual(self.store.last_position, 0)
        self.restart()
        self.assertEqual(self.store.last_position, 9 if self.store.is_durable else 0)

    # Hypothesis warns because the same test runs for each kind of store.
    @settings(max_examples=examples(60), suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 11), st.booleans()), max_size=40))
    def test_any_operations(self, operations: list[tuple[str, int, bool]]) -> None:
        """After any sequence of operations, the store has the same content as the model."""
        store, model = self.make_store(), StoreModel()
        try:
            for operation, number, is_quick in operations:
                if operation == "reopen":
                    store = self.reopen(store)
                    model.reopened(store.is_durable)
                else:
                    model.do(store, operation, number)
                    self.settle() if not is_quick else None
                self.assertEqual(model.seen_in(store, self.page), model.expected())
            self.settle()
            self.assertEqual(sorted(model.heard), sorted(model.to_hear))
        finally:
            store.close()

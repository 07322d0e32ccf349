"""The contract of stores for dead letters and streams."""

from __future__ import annotations

from alaska.message import QueueSize, StreamSize
from tests.store.contract_case import EVERYTHING, JOBS, StoreCase, letter, message, record
from tests.store.model import letter_values


class DeadLetterContract(StoreCase):
    """Dead letters."""

    def test_bury(self) -> None:
        """A message that becomes a dead letter is deleted from its queue, and the dead letter is returned unchanged."""
        mine = message(1, JOBS, b"x", b"")
        mine.attempts = 3
        self.keep(mine, message(2))
        self.store.add_dead_letter(letter(mine))
        self.assertEqual(self.positions(), [2])
        self.assertEqual(self.store.queues(), [QueueSize(JOBS, 1, 0)])
        (found,) = self.dead_letters(0, EVERYTHING)
        self.assertEqual(letter_values(found), letter_values(letter(mine)))

    def test_bury_what_is_not_kept(self) -> None:
        """A message that was never stored can become a dead letter."""
        self.store.add_dead_letter(letter(message(1)))
        self.assertEqual(len(self.dead_letters(0, EVERYTHING)), 1)
        self.assertEqual(self.store.queues(), [])

    def test_letters(self) -> None:
        """Dead letters are returned in the order of positions, after a position and up to a limit."""
        self.keep(*map(message, range(1, 6)))
        for position in (4, 1, 5, 2):
            self.store.add_dead_letter(letter(message(position)))

        def found(after: int, limit: int) -> list[int]:
            return [each.message.position for each in self.dead_letters(after, limit)]

        self.assertEqual(found(0, EVERYTHING), [1, 2, 4, 5])
        self.assertEqual(found(1, 2), [2, 4])
        self.assertEqual(found(5, EVERYTHING), [])

    def test_drop_letter(self) -> None:
        """A dropped dead letter is deleted; dropping one that does not exist has no effect, nor has it on messages."""
        self.keep(message(1), message(2))
        self.store.add_dead_letter(letter(message(1)))
        for position in (2, 1, 1):
            self.store.delete_dead_letter(position)
        self.assertEqual(self.dead_letters(0, EVERYTHING), [])
        self.assertEqual(self.positions(), [2])


class StreamContract(StoreCase):
    """Streams and their records."""

    def test_records(self) -> None:
        """Records are returned unchanged by stream, oldest first, after a position and up to a limit."""
        for position in range(1, 6):
            self.store.record(record(position, b"x" * position, b""))
            self.store.record(record(position, stream=b"\xffother"))
        self.assertEqual(self.records(), [1, 2, 3, 4, 5])
        self.assertEqual(self.records(after=2, limit=2), [3, 4])
        self.assertEqual(self.records(after=5), [])
        self.assertEqual(self.records(b"\xffother", after=4), [5])
        self.assertEqual(self.whole_records(b"s", 1, 1), [record(2, b"xx", b"")])

    def test_positions_with_gaps(self) -> None:
        """Positions of records may have gaps."""
        for position in (3, 7, 1000):
            self.store.record(record(position))
        self.assertEqual(self.records(after=3, limit=1), [7])
        self.assertEqual(self.store.streams(), [StreamSize(b"s", 3, 1000, 0)])

    def test_trim(self) -> None:
        """Trimming deletes a stream's records up to and including a position, and returns their size."""
        for position in range(1, 6):
            self.store.record(record(position, b"x" * position))
            self.store.record(record(position, stream=b"other"))
        self.assertEqual(self.answer(self.store.trim(b"s", 3)), 1 + 2 + 3)
        self.assertEqual(self.answer(self.store.trim(b"never seen", 3)), 0)
        self.assertEqual((self.records(), self.records(b"other")), ([4, 5], [1, 2, 3, 4, 5]))
        self.assertEqual(self.answer(self.store.trim(b"s", 2)), 0)
        self.assertEqual(self.records(), [4, 5])
        self.settle()
        self.assertEqual(self.answer(self.store.trim(b"s", 5)), 4 + 5)

    def test_streams(self) -> None:
        """Each stream is listed with its first and last position and its size, also after trimming."""
        for position in range(1, 4):
            self.store.record(record(position, b"abc"))
        self.store.record(record(1, b"x", stream=b"other"))
        self.assertEqual(set(self.store.streams()), {StreamSize(b"s", 1, 3, 9), StreamSize(b"other", 1, 1, 1)})
        self.store.trim(b"s", 2)
        self.assertIn(StreamSize(b"s", 3, 3, 3), self.store.streams())

    def test_empty_stream_knows_its_last_position(self) -> None:
        """A stream without records still has its last position, so that the position is not used again."""
        for position in range(1, 4):
            self.store.record(record(position, b"abc"))
        self.store.trim(b"s", 3)
        self.assertEqual(self.store.streams(), [StreamSize(b"s", 4, 3, 0)])
        self.settle()
        self.restart()
        self.assertEqual(self.store.streams(), [StreamSize(b"s", 4, 3, 0)] if self.store.is_durable else [])
        self.store.record(record(4, b"d"))
        self.assertIn(StreamSize(b"s", 4, 4, 1), self.store.streams())

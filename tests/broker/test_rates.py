"""The bucket of a rate, with a time that the tests choose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.rates import Bucket


def take(bucket: Bucket, now: float) -> int:
    """Take all tokens of a bucket; return how many these were."""
    taken = 0
    while bucket.has_token(now):
        bucket.take()
        taken += 1
    return taken


class BucketTests(SynchronousTestCase):
    """A bucket."""

    def test_burst(self) -> None:
        """A bucket is full at first, and after a pause that is long enough, and never holds more."""
        bucket = Bucket(10, 5, 0.0)
        self.assertEqual(take(bucket, 0.0), 5)
        self.assertFalse(bucket.has_token(0.09))
        self.assertTrue(bucket.has_token(0.1))
        # Nobody waits for a token from here on.
        bucket.take()
        self.assertTrue(bucket.has_token(0.3))
        self.assertEqual(take(bucket, 100.0), 5)

    def test_several_between_looks(self) -> None:
        """Tokens that became due while somebody waited for them are there together, also if the bucket is smaller."""
        bucket = Bucket(200, 1, 0.0)
        taken = [take(bucket, tick / 20) for tick in range(21)]
        self.assertEqual(taken, [1, *[10] * 20])

    def test_nobody_waits(self) -> None:
        """What was due and not taken is lost when time goes on, except for the burst."""
        bucket = Bucket(200, 1, 0.0)
        take(bucket, 0.0)
        self.assertTrue(bucket.has_token(0.05))
        self.assertEqual(take(bucket, 0.1), 1)

    def test_late(self) -> None:
        """Whoever looks very late gets what was due in the last second."""
        bucket = Bucket(200, 1, 0.0)
        take(bucket, 0.0)
        self.assertEqual(take(bucket, 60.0), 200)

    def test_put_back(self) -> None:
        """A token that was put back can be taken again, and does not make a full bucket larger."""
        bucket = Bucket(1, 1, 0.0)
        bucket.take()
        bucket.put_back()
        bucket.put_back()
        self.assertEqual(take(bucket, 0.0), 1)

    def test_configure(self) -> None:
        """Another rate counts from the change on, and a smaller size takes the tokens above it."""
        bucket = Bucket(1, 10, 0.0)
        bucket.configure(100, 2, 0.0)
        self.assertEqual(take(bucket, 0.0), 2)
        self.assertEqual(take(bucket, 0.05), 5)

    def test_time_stands_still(self) -> None:
        """A time that is earlier than the last one adds nothing."""
        bucket = Bucket(10, 1, 5.0)
        self.assertEqual(take(bucket, 5.0), 1)
        self.assertFalse(bucket.has_token(4.0))
        self.assertFalse(bucket.has_token(5.0))

    @given(
        st.integers(1, 1000),
        st.integers(1, 100),
        st.lists(st.tuples(st.floats(0, 0.2), st.integers(0, 300)), max_size=30),
    )
    def test_never_more(self, per_second: int, burst: int, steps: list[tuple[float, int]]) -> None:
        """In no time are more tokens taken than the burst and the rate allow, but for the time between two looks."""
        bucket, now, taken = Bucket(per_second, burst, 0.0), 0.0, 0
        for passed, wanted in steps:
            now += passed
            for _ in range(wanted):
                if not bucket.has_token(now):
                    break
                bucket.take()
                taken += 1
            self.assertLessEqual(taken, burst + per_second * now + 1e-3)

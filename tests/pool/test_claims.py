"""The claims of a batch."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from alaska.pool.claims import Batch, Claims

RUN_OUT = b"0"


class ClaimsTests(SynchronousTestCase):
    """The pipe of claims."""

    def setUp(self) -> None:
        self.claims = Claims()
        self.addCleanup(self.claims.close)
        self.lua = os.open(self.claims.path, os.O_RDONLY)
        self.addCleanup(os.close, self.lua)

    def test_taken_one_by_one(self) -> None:
        """A reader of the path takes one claim at a time, and ``left`` counts down."""
        self.claims.issue(3)
        self.assertEqual(self.claims.left, 3)
        self.assertEqual(os.read(self.lua, 1), b"1")
        self.assertEqual(self.claims.left, 2)

    def test_draw(self) -> None:
        """Drawing takes all claims that are left; a second draw gets none."""
        self.claims.issue(3)
        os.read(self.lua, 1)
        self.assertEqual((self.claims.draw(), self.claims.draw(), self.claims.left), (2, 0, 0))

    def test_withdraw(self) -> None:
        """After a withdrawal the reader gets the end mark; there is none if no claim was left."""
        self.claims.issue(2)
        self.assertEqual(self.claims.withdraw(), 2)
        self.assertEqual(os.read(self.lua, 1), RUN_OUT)
        self.assertEqual((self.claims.withdraw(), self.claims.left), (0, 0))

    def test_batch(self) -> None:
        """The number of begun requests is one plus the number of claims taken."""
        batch = Batch(self.claims, 4)
        self.assertEqual(batch.begun, 1)
        os.read(self.lua, 1)
        self.assertEqual(batch.begun, 2)
        self.assertEqual((batch.withdraw(), batch.begun), (2, 2))
        self.assertEqual((batch.withdraw(), batch.begun), (0, 2))
        self.assertEqual(os.read(self.lua, 1), RUN_OUT)
        self.assertEqual(batch.close(), 2)

    def test_batch_that_ends_early(self) -> None:
        """Claims left at the end of a batch are requests that have not begun, and do not leak into the next batch."""
        batch = Batch(self.claims, 4)
        self.assertEqual(batch.close(), 1)
        cut = Batch(self.claims, 3)
        cut.withdraw()
        self.assertEqual(cut.close(), 1)
        self.assertEqual(self.claims.left, 0)

    def test_kept_from_children(self) -> None:
        """Programs started by scripts do not inherit the descriptor that Lua has opened."""
        os.set_inheritable(self.lua, True)
        self.claims.keep_from_children()
        self.assertFalse(os.get_inheritable(self.lua))

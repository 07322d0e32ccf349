"""Answers of the broker's own services."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.messaging.delivery import Delivery
from alaska.messaging.operations import count_of, decoded_letters
from alaska.mlm import commands as mlm

UNREADABLE = (b"[]", b"1", b"\xff", b'{"count": "x"}', b'{"count": 1e999}', b'{"status": {}}', b"[" * 100_000)


def answer(content: bytes) -> Delivery:
    """Return an answer with this content."""
    return Delivery(mlm.MailboxDeliver(b"alaska.admin", b"me", b"cancel", b"t", (content,)), 1)


class AnswerTests(SynchronousTestCase):
    """What a program gets of them."""

    def test_read(self) -> None:
        """The number is returned, and an error is raised as such."""
        self.assertEqual(count_of(answer(b'{"done": true, "count": 3}')), 3)
        error = self.assertRaises(errors.OperationFailed, count_of, answer(b'{"error": "no", "status": 404}'))
        self.assertEqual((str(error), error.status), ("no", 404))

    def test_unreadable(self) -> None:
        """An answer that is something else is an error of the client, too."""
        for content in UNREADABLE:
            self.assertRaises(errors.OperationFailed, count_of, answer(content))
        for content in (b"[]", b"\xff", b"[" * 100_000):
            self.assertRaises(errors.Refused, decoded_letters, answer(content))

    def test_deep_content(self) -> None:
        """Content with too many brackets is no valid JSON for a program, either."""
        self.assertRaises(ValueError, answer(b"[" * 100_000).json)

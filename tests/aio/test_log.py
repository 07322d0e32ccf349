"""What clients for asyncio log."""

from __future__ import annotations

import logging

from twisted.trial.unittest import SynchronousTestCase

from alaska.sockets.asyncio_loop import StandardLog
from tests.aio.aio_case import keep_lines


class StandardLogTests(SynchronousTestCase):
    """Lines of Python's log."""

    def test_control_characters(self) -> None:
        """What a broker says is in one line, and cannot control a terminal."""
        lines: list[str] = []
        keep_lines(self, lines)
        StandardLog(logging.getLogger("alaska.aio")).error(
            "{name}: {error}", name="é", error=ValueError("a\n\x1b[2J\x9b")
        )
        self.assertEqual(lines, [r"é: a\n\x1b[2J\x9b"])

"""Base class for tests of commands that send and read messages, with a broker in memory."""

from __future__ import annotations

import io
import sys
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from alaska.commands.connection import Connection
from alaska.commands.credentials import Credentials
from alaska.commands.speaking import Talk, conversation
from tests.commands.asking_case import AskingCase
from tests.commands.json_fits import check_fits
from tests.network_case import ENDPOINT


class SpeakingCase(AskingCase):
    """Commands that send and read messages."""

    def setUp(self) -> None:
        super().setUp()
        self.output, self.errors = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)

    def speak(self, command: click.Command, *arguments: str) -> tuple[int | None, str]:
        """Run a command for a while; return its exit status, None if it has not ended, and what it has printed."""
        statuses: list[int] = []

        def speak(_connection: Connection, talk: Talk, client: dict[str, Any]) -> None:
            connection = Connection(ENDPOINT, Credentials())
            spoken = ensureDeferred(conversation(self.reactor, connection, talk, client, self.process()))
            spoken.addCallback(statuses.append)
            self.addCleanup(self.end, spoken)

        before = self.output.buffer.tell()
        command.main(list(arguments), standalone_mode=False, obj=speak)
        self.run_on()
        printed = self.printed(before)
        check_fits([command.name or "", *arguments], printed)
        return statuses[0] if statuses else None, printed

    def end(self, spoken: Deferred[Any]) -> None:
        """End a command that goes on."""
        spoken.addErrback(lambda failure: failure.trap(CancelledError))
        spoken.cancel()
        self.run_on()

    def printed(self, since: int = 0) -> str:
        """Return what was printed from an offset on."""
        self.output.buffer.seek(since)
        return self.output.buffer.read().decode()

    def said(self) -> str:
        """Return what was printed to the standard error."""
        self.errors.buffer.seek(0)
        return self.errors.buffer.read().decode()

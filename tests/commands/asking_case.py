"""Base class for tests of commands that ask a broker, with a broker in memory."""

from __future__ import annotations

import click
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from alaska.broker.broker import Broker
from alaska.broker.limits import Limits
from alaska.broker.queues import Queues
from alaska.broker.service import BrokerService
from alaska.commands.admin_client import AdminClient
from alaska.commands.asking import Answer, Talk, conversation, exit_status
from alaska.commands.command import said
from alaska.commands.credentials import Credentials
from alaska.errors import AlaskaError
from alaska.store.memory import MemoryStore
from alaska.testing import run_for
from tests.commands.json_fits import check_fits
from tests.network_case import ENDPOINT, NetworkCase


class AskingCase(NetworkCase):
    """A broker, and commands that ask it."""

    wall = 1_800_000_000.0
    status = 0
    """The exit status of the last command."""
    note = ""
    """What the last command has printed to the standard error."""

    def setUp(self) -> None:
        super().setUp()
        self.service = BrokerService(
            self.reactor, self.process, MemoryStore, [ENDPOINT], Limits(), wall=lambda: self.wall
        )
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.run_on()

    @property
    def broker(self) -> Broker:
        """The broker."""
        assert self.service.broker is not None
        return self.service.broker

    @property
    def queues(self) -> Queues:
        """Its queues."""
        return self.broker.queues

    def run_on(self) -> None:
        """Let time pass."""
        run_for(self.clock, self.network, 6.0)

    def alas(self, command: click.Command, *arguments: str) -> str:
        """Run a command, and return what it prints.

        :raises AlaskaError: the broker cannot do it.
        """
        talks: list[Talk] = []
        command.main(list(arguments), standalone_mode=False, obj=lambda _connection, talk: talks.append(talk))
        text = self.talk(talks[0])
        check_fits([command.name or "", *arguments], text)
        return text

    def talk(self, talk: Talk) -> str:
        """Talk to the broker, and return what is to be printed; see :meth:`alas`."""
        answers: list[str | Answer | Failure] = []
        broker = AdminClient(self.reactor, ENDPOINT, Credentials(), self.process())
        ensureDeferred(conversation(broker, talk)).addBoth(answers.append)
        self.run_on()
        (answer,) = answers
        if isinstance(answer, Failure):
            answer.raiseException()
        found = answer if isinstance(answer, Answer) else Answer(str(answer))
        self.status, self.note = found.status, found.note
        return found.text

    def fails(self, command: click.Command, *arguments: str) -> str:
        """Run a command that the broker cannot carry out; return why, with the exit status in front."""
        error = self.assertRaises(AlaskaError, self.alas, command, *arguments)
        return f"{exit_status(error)}: {error}"

    def refused(self, command: click.Command, *arguments: str) -> str:
        """Run a command whose arguments are refused, and return what it prints."""
        return said(self.assertRaises(click.UsageError, self.alas, command, *arguments))

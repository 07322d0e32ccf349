"""The callbacks of the client's state machine."""

from __future__ import annotations

from typing import Protocol

from alaska import errors
from alaska.mlm import commands as mlm
from alaska.mlm.replay import ReaderStart
from alaska.mlm.setups import Request
from alaska.mlm.states import State

Delivered = mlm.StreamDeliver | mlm.MailboxDeliver | mlm.ServiceDeliver | mlm.StreamRecord


class Listener(Protocol):
    """The callbacks of a :class:`ClientMachine`."""

    def transmit(self, command: mlm.Command) -> None:
        """Send a command over the link."""

    def opened(self) -> None:
        """The client is open, for the first time or again."""

    def interrupted(self, state: State) -> None:
        """The client has lost the broker, and will open again when it is back."""

    def closed(self, error: errors.ClientError | None) -> None:
        """The client is closed: on request (None), or because the broker refused it."""

    def refused_again(self, error: errors.ClientError) -> None:
        """The broker has refused to open the client again; it tries again all the same."""

    def answered(self, request: Request, error: errors.ClientError | None) -> None:
        """The broker has executed (None) or refused a request."""

    def reader_started(self, start: ReaderStart) -> None:
        """The broker has said from where a durable reader reads on, for the first time or again."""

    def write_refused(self, error: errors.ClientError) -> None:
        """The broker has refused the stream of messages, which are lost."""

    def delivered(self, command: Delivered, session: int) -> None:
        """A message was delivered; ``session`` has to be passed to :meth:`ClientMachine.confirm`."""

    def confirmed(self, command: mlm.Confirm) -> None:
        """The broker has reported the status of a message that was sent with a tracker."""

    def proven(self, count: int) -> None:
        """The broker has received the first ``count`` messages of this client."""

"""The setup commands of a client (streams and offers), which are sent again after a reconnect."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from alaska import errors
from alaska.mlm import commands as mlm
from alaska.mlm.replay import ReaderStart, Replay

Setup = mlm.StreamWrite | mlm.StreamRead | mlm.StreamReplay | mlm.ServiceOffer


@dataclass(eq=False, slots=True)
class Request:
    """A command that the broker answers with OK or ERROR. Setup commands are sent again after a reconnect.

    A setup command that succeeded once is sent again even if a later broker has refused it: the next may accept it.
    """

    command: Setup | mlm.StreamCancel
    was_done: bool = False


class Setups:
    """The current setup commands, in order, the progress of replays, and the commands that wait for an answer."""

    def __init__(self) -> None:
        self.current: list[Request] = []
        self._replays: dict[Request, Replay] = {}
        self._unanswered: deque[Request | None] = deque()

    def add(self, request: Request) -> None:
        """Add a setup command; a STREAM-CANCEL removes the subscriptions of its stream instead."""
        command = request.command
        if isinstance(command, mlm.StreamCancel):
            self.current = [known for known in self.current if not _reads(known.command, command.stream)]
            for known in [known for known in self._replays if known not in self.current]:
                del self._replays[known]
            return
        if isinstance(command, mlm.StreamWrite):
            self.current = [known for known in self.current if not isinstance(known.command, mlm.StreamWrite)]
        self.current.append(request)
        if isinstance(command, mlm.StreamReplay):
            self._replays[request] = Replay(command)

    def reopened(self) -> list[Request]:
        """Return the setup commands to send again, now that the broker has answered OPEN."""
        for replay in self._replays.values():
            replay.reopened()
        return self.current

    def delivered(self, record: mlm.StreamRecord) -> None:
        """Record the progress of replays."""
        for replay in self._replays.values():
            replay.delivered(record)

    # Answers

    def restart(self) -> None:
        """Forget the unanswered commands, which were sent in an earlier session."""
        self._unanswered.clear()

    def sent(self, request: Request) -> Setup | mlm.StreamCancel:
        """Record that a command is sent; return the command, which for a replay has its current position."""
        self._unanswered.append(request)
        replay = self._replays.get(request)
        return request.command if replay is None else replay.command

    def sent_internally(self) -> None:
        """Record that a command was sent whose answer is of no interest."""
        self._unanswered.append(None)

    @property
    def awaits_answer(self) -> bool:
        """Whether a command is unanswered."""
        return bool(self._unanswered)

    def answered(self) -> Request | None:
        """Return the oldest unanswered command, which is answered now; None if its answer is of no interest."""
        return self._unanswered.popleft() if self._unanswered else None

    @property
    def current_replays(self) -> list[mlm.StreamReplay]:
        """The replays, each from the position of the first record that was not delivered."""
        return [replay.command for replay in self._replays.values()]

    def must_repeat(self, request: Request, ok: mlm.Ok) -> bool:
        """Return whether a replay that the broker has accepted must be sent again, for a stream that is a new one."""
        replay = self._replays.get(request)
        return replay is not None and not replay.name and not replay.started(ok.status_reason)

    # Durable readers

    def resumed(self, request: Request, ok: mlm.Ok, session: int) -> ReaderStart | None:
        """Return from where a durable reader reads on that the broker has accepted; None if the request is none."""
        replay = self._replays.get(request)
        return None if replay is None or not replay.name else replay.resumed(ok.status_reason, session)

    def processed(self, stream: bytes, position: int, session: int) -> None:
        """Record that the program has processed a stream's records up to a position."""
        for replay in self._replays.values():
            if replay.name and replay.command.stream == stream:
                replay.processed(position, session)

    def confirmations(self) -> list[mlm.Confirm]:
        """Return the confirmations of what durable readers have processed since the last call."""
        found = (replay.confirmation() for replay in self._replays.values() if replay.name)
        return [each for each in found if each is not None]

    def taken_over(self, stream: bytes, name: bytes) -> None:
        """Remove a durable reader that another client has now."""
        for request, replay in list(self._replays.items()):
            if replay.name == name and replay.command.stream == stream:
                del self._replays[request]
                if request in self.current:
                    self.current.remove(request)

    def refused(self) -> Request | None:
        """Return the same as :meth:`answered`; the command is removed unless it succeeded once."""
        request = self.answered()
        if request is not None and request in self.current and not request.was_done:
            self.current.remove(request)
            self._replays.pop(request, None)
        return request


def _reads(command: mlm.Command, stream: bytes) -> bool:
    return isinstance(command, mlm.StreamRead | mlm.StreamReplay) and command.stream == stream


def refusal(error: mlm.Error) -> errors.Refused:
    """Return the exception for an ERROR of the broker."""
    reason = error.status_reason.decode("utf-8", "backslashreplace")
    return errors.Refused(f"the broker refuses: {reason or error.status_code}", error.status_code)

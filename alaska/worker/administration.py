"""What administrators can ask of a worker: by HTTP, by mail to its address, and what it tells its broker.

See docs/administration.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct, structs
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from alaska import errors
from alaska.admin import snapshots as shown
from alaska.admin.operations import WORKER, IAdministered, Operation
from alaska.admin.pages import Turns
from alaska.admin.requests import MOST_SUMMARY_OCTETS, SUMMARY
from alaska.admin.text import UNREADABLE
from alaska.admin.warnings import of_worker
from alaska.client import Client, Delivery
from alaska.errors import AlaskaError, OperationFailed
from alaska.names import printable
from alaska.worker.snapshots import WorkerSnapshots, WorkerState

TELL_SECONDS = 1.0
TURN_SECONDS = 0.01
MAX_REQUEST_OCTETS = 16 * 1024
MOST_ANSWERS = 20
"""The maximum number of answers by mail each second; other mail is dropped."""
BY_MAIL = frozenset(("overview", "scripts"))
"""What everyone may ask by mail. The trackers of running requests are not for everyone: who knows one could answer."""
_OF_ANSWERS = frozenset(("error", "items", "program", "done", "text"))


@implementer(IAdministered)
class WorkerAdministration:
    """The operations on a worker."""

    _log = Logger()
    operations: Mapping[str, Operation] = WORKER

    def __init__(self, reactor: IReactorTime, state: WorkerState) -> None:
        self._reactor = reactor
        self._state = state
        self.snapshots = snapshots = WorkerSnapshots(state)
        self._turns = Turns()
        self._turns.on_more = self._continue_soon
        self._due: IDelayedCall | None = None
        self.configuration: Callable[[], shown.Configuration | None] = lambda: None
        """Returns the settings in force."""
        do = self._turns.do
        self._do: dict[str, Callable[[Any], Any]] = {
            "overview": lambda _: snapshots.overview(),
            "running": lambda query: do(snapshots.running(query)),
            "scripts": lambda query: do(snapshots.scripts(query)),
            "configuration": lambda _: self._configuration(),
            "drain": lambda _: _done(state.drain),
            "resume": lambda _: _done(state.resume),
        }

    def overview(self) -> shown.WorkerOverview:
        """See :class:`IAdministered`."""
        return self.snapshots.overview()

    def warnings(self) -> list[str]:
        """Return what an operator should look at although the worker works."""
        return of_worker(self.overview(), self.snapshots.all_scripts())

    def perform(self, name: str, request: Struct, who: str) -> Deferred[Any]:
        """See :class:`IAdministered`."""
        do, operation = self._do.get(name), self.operations.get(name)
        if do is None or operation is None:
            return fail(OperationFailed(f"there is no operation {name[:40]!r}", errors.NOT_FOUND))
        if operation.is_change:
            self._log.info("{who} asks for {name}", who=who, name=name)
        return maybeDeferred(do, request)

    def _configuration(self) -> shown.Configuration:
        configuration = self.configuration()
        if configuration is None:
            raise OperationFailed("this worker has no configuration file", errors.NOT_FOUND)
        return configuration

    def _continue_soon(self) -> None:
        self._due = self._reactor.callLater(TURN_SECONDS, self._continue)

    def stop(self) -> None:
        """End what is done in turns."""
        if self._due is not None and self._due.active():
            self._due.cancel()

    def _continue(self) -> None:
        self._turns.tick()
        if self._turns:
            self._continue_soon()

    def summary(self) -> bytes:
        """Return what the broker is told, of limited size."""
        scripts, progress = self.snapshots.all_scripts(), self.snapshots.progress()
        has_traces = True
        while True:
            told = msgspec.json.encode(shown.Summary(overview=self.overview(), scripts=scripts, progress=progress))
            if len(told) <= MOST_SUMMARY_OCTETS or not (scripts or progress):
                return told
            if has_traces:
                scripts, has_traces = [structs.replace(script, last_trace="") for script in scripts], False
                continue
            scripts, progress = scripts[: len(scripts) // 2], progress[: len(progress) // 2]


class SummarySender:
    """Tells the broker the summary of a worker once a second, as long as it is connected to one of ours."""

    _log = Logger()

    def __init__(self, reactor: IReactorTime, client: Client, summary: Callable[[], bytes]) -> None:
        self._client = client
        self._summary = summary
        self._calls = LoopingCall(self.tell)
        self._calls.clock = reactor

    def start(self) -> None:
        """Begin."""
        self._calls.start(TELL_SECONDS)

    def stop(self) -> None:
        """End."""
        if self._calls.running:
            self._calls.stop()

    def tell(self) -> None:
        """Tell it now, too; what is told too often is ignored."""
        try:
            if self._client.is_connected and "admin" in self._client.capabilities:
                self._client.tell_broker(SUMMARY, self._summary())
        except Exception:  # LoopingCall stops when a call raises.
            self._log.failure("the broker could not be told about this worker")


class MailService:
    """Answers mail to a worker whose subject is an operation. ``is_open`` returns whether everyone may ask for all."""

    _log = Logger()

    def __init__(
        self, reactor: IReactorTime, client: Client, administration: WorkerAdministration, is_open: Callable[[], bool]
    ) -> None:
        self._reactor = reactor
        self._client = client
        self._administration = administration
        self._is_open = is_open
        self._second = 0
        self._answers = 0

    def received(self, delivery: Delivery) -> bool:
        """Answer mail, or return False if it asks for nothing."""
        operation = WORKER.get(delivery.subject)
        if operation is None or not delivery.sender or delivery.sender == self._client.address:
            return False
        content = delivery.content[0] if delivery.content else b""
        if not self._may_answer() or _is_answer(content):
            return False
        answer = partial(self._answer, delivery)
        if operation.name not in BY_MAIL and not self._is_open():
            reason = "by mail, that needs worker/admin/open = 1"
            answer(shown.Failure(error=reason, status=errors.ACCESS_REFUSED))
            return True
        try:
            if len(content) > MAX_REQUEST_OCTETS:
                raise OperationFailed(f"the content must have at most {MAX_REQUEST_OCTETS} octets")
            request = msgspec.json.decode(content or b"{}", type=operation.takes)
        except (*UNREADABLE, OperationFailed) as error:
            answer(shown.Failure(error=f"the content is not valid: {error}", status=errors.COMMAND_INVALID))
            return True
        performed = self._administration.perform(operation.name, request, f"mail from {printable(delivery.sender)}")
        performed.addErrback(self._failed).addCallback(answer)
        return True

    def _may_answer(self) -> bool:
        second = int(self._reactor.seconds())
        if second != self._second:
            self._second, self._answers = second, 0
        self._answers += 1
        return self._answers <= MOST_ANSWERS

    def _failed(self, failure: Failure) -> shown.Failure:
        if isinstance(failure.value, AlaskaError):
            return shown.Failure(error=str(failure.value), status=failure.value.status)
        self._log.failure("what was asked by mail failed", failure)
        return shown.Failure(error="it failed; see the worker's log", status=errors.INTERNAL_ERROR)

    def _answer(self, delivery: Delivery, answer: Struct) -> None:
        self._client.answer_mail(delivery, msgspec.json.encode(answer))


def _is_answer(content: bytes) -> bool:
    """Return whether the content of mail is itself an answer, so that two workers do not answer each other for ever."""
    if len(content) > MAX_REQUEST_OCTETS:
        return True
    try:
        decoded = msgspec.json.decode(content or b"{}")
    except UNREADABLE:
        return False
    return isinstance(decoded, dict) and not _OF_ANSWERS.isdisjoint(decoded)


def _done(do: Callable[[], None]) -> shown.Done:
    do()
    return shown.Done()

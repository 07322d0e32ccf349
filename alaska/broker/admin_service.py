"""The broker's own service ``alaska.admin``: the operations of administrators, in-band (docs/administration.md).

The subject of a request is the name of an operation, its content JSON. The answer is mail to the sender's address, with
the subject and tracker of the request, and JSON. A plain client without an address gets it directly.
``alaska.letters`` is the service of earlier versions for dead letters (:mod:`alaska.broker.dead_letter_service`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska import errors
from alaska.access import Level
from alaska.admin import snapshots as shown
from alaska.admin.operations import BROKER, Operation
from alaska.admin.requests import SUMMARY
from alaska.admin.text import UNREADABLE
from alaska.broker.administration import Administration
from alaska.broker.clients import Client
from alaska.broker.counters import Counters
from alaska.broker.queues import Queues
from alaska.errors import OperationFailed, StoreError
from alaska.mlm import commands as mlm
from alaska.names import printable

ADDRESS = b"alaska.admin"
CANCEL = "cancel"
MOST_HELD = 16
"""The maximum number of answers that are held for clients that do not read, one for each."""
REFUSED = "access to alaska.admin is refused: there are no access rules, and the client is not on this machine"
Refusal = Callable[[Client, Level, bool], str]
Permits = Callable[[Client, str, bytes], bool]
_SUMMARY = SUMMARY.encode()
_LETTERS = frozenset(name for name in BROKER if "letter" in name)


class AdminService:
    """Answers the requests of clients.

    ``refusal`` returns why the client of the command that is being executed may not do what needs a level, or an empty
    text if it may; the last argument is whether it is about dead letters, which have a setting of their own.
    ``permits`` returns whether it may ask for an operation, with a content, whatever its level.
    """

    _log = Logger()

    def __init__(
        self, administration: Administration, queues: Queues, counters: Counters, refusal: Refusal, permits: Permits
    ) -> None:
        self._administration = administration
        self._queues = queues
        self._counters = counters
        self._refusal = refusal
        self._permits = permits
        self.may_administer: Callable[[Client, Level], bool] = lambda _client, _level: True
        """Says whether a client may do what needs a level, without counting a refusal. Others may cancel their own."""
        self._held: dict[Client, mlm.MailboxDeliver] = {}

    def received(self, client: Client, command: mlm.ServiceSend, now: float) -> None:
        """Carry out a request of a client, or refuse it; the answer may come later."""
        if command.subject == _SUMMARY:
            self._told(client, command, now)
            return
        operation = BROKER.get(printable(command.subject))
        level = Level.VIEW if operation is None else operation.level
        if operation is not None and operation.name == CANCEL and not self.may_administer(client, level):
            self._perform(client, command, operation, self._cancel_own)
            return
        refused = ""
        if operation is None or not self._is_permitted(client, operation, command):
            refused = self._refusal(client, level, operation is not None and operation.name in _LETTERS)
        if refused:
            self._refuse(client, command, refused)
        elif operation is None:
            known = ", ".join(BROKER)
            self._fail(client, command, OperationFailed(f"the subject must be one of {known}", errors.NOT_FOUND))
        else:
            self._perform(client, command, operation)

    def _is_permitted(self, client: Client, operation: Operation, command: mlm.ServiceSend) -> bool:
        """Return whether a client may ask for an operation whatever its level; what is too large is not even read."""
        content = command.content[0] if len(command.content) == 1 else b""
        return len(content) <= operation.most_octets and self._permits(client, operation.name, content)

    def _told(self, client: Client, command: mlm.ServiceSend, now: float) -> None:
        """Take over the summary of a worker: of whoever offers a service, and is no plain client."""
        content = command.content[0] if len(command.content) == 1 else b""
        is_worker = not client.is_plain and bool(self._queues.offered_by(client))
        if not is_worker or not self._administration.workers.told(client, content, now):
            self._counters.invalid += 1

    def _refuse(self, client: Client, command: mlm.ServiceSend, reason: str) -> None:
        self._counters.admin_refused += 1
        if command.tracker and not client.is_plain:
            client.send(mlm.Confirm(command.tracker, errors.ACCESS_REFUSED, reason.encode()[: mlm.MAX_STRING_OCTETS]))
        else:
            self._fail(client, command, OperationFailed(reason, errors.ACCESS_REFUSED))

    def _cancel_own(self, client: Client, request: Any) -> Deferred[Any]:  # noqa: ANN401  # a requests.Cancel
        return self._administration.cancel_own(request, client, _who(client))

    def _perform(
        self,
        client: Client,
        command: mlm.ServiceSend,
        operation: Operation,
        perform: Callable[[Client, Any], Deferred[Any]] | None = None,
    ) -> None:
        """Carry out an operation, by another function if that is given."""
        content = command.content[0] if command.content else b""
        try:
            if len(content) > operation.most_octets or len(command.content) > 1:
                raise OperationFailed(f"the content must be one frame of at most {operation.most_octets} octets")
            request = msgspec.json.decode(content or b"{}", type=operation.takes)
        except UNREADABLE as error:
            self._fail(client, command, OperationFailed(f"the content is not valid: {error}"))
        except OperationFailed as error:
            self._fail(client, command, error)
        else:
            if perform is None:
                performed = self._administration.perform(operation.name, request, _who(client))
            else:
                performed = perform(client, request)
            performed.addCallback(partial(self._answer, client, command))
            performed.addErrback(partial(self._failed, client, command))

    def _failed(self, client: Client, command: mlm.ServiceSend, failure: Failure) -> None:
        error = failure.value
        if not isinstance(error, OperationFailed | StoreError):
            self._log.failure("{subject} failed", failure, subject=printable(command.subject))
            error = OperationFailed("it failed; see the broker's log", errors.INTERNAL_ERROR)
        self._fail(client, command, error)

    def _fail(self, client: Client, command: mlm.ServiceSend, error: errors.AlaskaError) -> None:
        self._answer(client, command, shown.Failure(error=str(error), status=error.status))

    def _answer(self, client: Client, command: mlm.ServiceSend, answer: msgspec.Struct) -> None:
        content = msgspec.json.encode(answer)
        if client.address:
            mail = mlm.MailboxSend(client.address, command.subject, command.tracker, 0, (content,))
            self._queues.send_mail(mail, ADDRESS, self._administration.now())
        elif client.is_plain:
            # It has no mailbox. A credit client would have to confirm it.
            self._deliver(client, mlm.MailboxDeliver(ADDRESS, b"", command.subject, command.tracker, (content,)))

    def _deliver(self, client: Client, answer: mlm.MailboxDeliver) -> None:
        """Send an answer to a client without a mailbox, or hold it while there is too much that it has not read."""
        if not self._administration.is_connected(client):
            return
        client.recheck_is_full()
        if client.is_ready:
            client.deliver(answer, len(answer.content[0]))
        elif len(self._held) < MOST_HELD:
            # A client that has asked for more before it has read this loses the rest.
            self._held.setdefault(client, answer)

    def tick(self) -> None:
        """Send what is held, as far as its clients have read."""
        if self._held:
            held, self._held = self._held, {}
            for client, answer in held.items():
                self._deliver(client, answer)


def _who(client: Client) -> str:
    user = "" if client.user is None else printable(client.user)
    return f"{client.name} (user {user})" if user else client.name

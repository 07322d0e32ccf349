"""The operations on broker and worker by HTTP: what is asked in-band, as paths of the API."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from alaska.access import ANONYMOUS
from alaska.admin.http.answers import Answer, in_json
from alaska.admin.http.loop_share import LoopShare
from alaska.admin.http.message_fields import STATUSES
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.users import Role
from alaska.admin.operations import IAdministered, Operation
from alaska.errors import HTTPRefused, OperationFailed, StoreError

RESOURCES: Mapping[str, tuple[tuple[str, str, Mapping[str, str]], ...]] = {
    "read-letter": (("GET", "letters/{position}", {}),),
    "drop-letter": (("DELETE", "letters/{position}", {}),),
    "purge": (
        ("DELETE", "mailboxes/{name}", {"kind": "mailbox"}),
        ("DELETE", "services/{name}", {"kind": "service"}),
        ("DELETE", "streams/{name}", {"kind": "stream"}),
    ),
    "add-schedule": (("POST", "schedules", {}),),
    "remove-schedule": (("DELETE", "schedules/{name}", {}),),
    "close-client": (("DELETE", "clients/{number}", {}),),
}
"""Further paths of operations: method, path, and what the path says."""


def operation_routes(administered: IAdministered, path: str, share: LoopShare | None = None) -> list[Route]:
    """Return the routes of all operations of a broker or worker, below a path.

    What changes nothing is asked with GET and has its arguments in the query; the others are asked with POST and have
    them in the body, in JSON. Some have a path of their own besides (:data:`RESOURCES`). With ``share``, they have only
    that of the time.
    """
    routes = []
    for name, operation in administered.operations.items():
        if operation.is_in_band_only:
            continue
        method = "POST" if operation.is_change else "GET"
        for verb, below, fixed in ((method, name, {}), *RESOURCES.get(name, ())):
            routes.append(_route(administered, operation, verb, f"{path}/{below}", fixed, share))
    return routes


def _route(
    administered: IAdministered,
    operation: Operation,
    method: str,
    path: str,
    fixed: Mapping[str, str],
    share: LoopShare | None,
) -> Route:
    return Route(
        method,
        path,
        partial(_perform, share, administered, operation.name),
        Role[operation.level.name],
        operation.doc,
        {200: ("Success.", operation.returns)},
        level=operation.level,
        request=operation.takes,
        most_octets=operation.most_octets,
        fixed=fixed,
    )


def _perform(share: LoopShare | None, administered: IAdministered, name: str, asked: Asked) -> Deferred[Answer]:
    def perform() -> Deferred[Answer]:
        return ensureDeferred(_answer(administered, name, asked))

    return perform() if share is None else share.do(perform)


async def _answer(administered: IAdministered, name: str, asked: Asked) -> Answer:
    request: Any = asked.arguments["request"]
    try:
        return in_json(await administered.perform(name, request, who_asks(asked)))
    except (OperationFailed, StoreError) as error:
        raise failed(error) from None


def who_asks(asked: Asked) -> str:
    """Return who asks for an operation, for the log."""
    return f"{asked.user.name or ANONYMOUS} ({asked.address}, HTTP)"


def failed(error: OperationFailed | StoreError) -> HTTPRefused:
    """Return the error for an operation that was refused or has failed."""
    status = STATUSES.get(error.status, 409) if isinstance(error, OperationFailed) else 503
    return HTTPRefused(status, str(error), mlm_status=error.status)

"""What a shell completes: the names that a broker has, those of contexts, and files.

A broker is asked when the tab key is pressed, with the endpoint and credentials that were typed before it. If it does
not answer soon, or refuses, nothing is offered.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

SECONDS: Final = 1.5
"""How long a broker may take; somebody waits at the keyboard."""
MOST: Final = 200
"""The maximum number of names."""

Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def names_of(operation: str) -> Complete:
    """Return what completes the names that a list of the broker has, such as ``services``."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in _asked(operation, context.params, incomplete)]

    return complete


def nothing(_context: click.Context, _parameter: click.Parameter, _incomplete: str) -> list[CompletionItem]:
    """Complete nothing."""
    return []


def contexts(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the names of contexts."""
    from alaska.commands import contexts as file  # noqa: PLC0415  # only while a shell completes

    try:
        names = file.names(file.load(file.path(os.environ)))
    except ValueError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a file."""
    return [CompletionItem(incomplete, type="file")]


def _asked(operation: str, options: dict[str, Any], incomplete: str) -> list[str]:
    """Return the names in a list of the broker that begin with a text; none if it does not answer."""
    from twisted.internet.defer import Deferred, ensureDeferred  # noqa: PLC0415  # only while a shell completes
    from twisted.internet.task import react  # noqa: PLC0415

    from alaska.admin.requests import ScheduleQuery  # noqa: PLC0415
    from alaska.admin.scheduled import Schedule  # noqa: PLC0415
    from alaska.commands.admin_client import AdminClient  # noqa: PLC0415
    from alaska.commands.connection import Connection  # noqa: PLC0415
    from alaska.commands.credentials import Given  # noqa: PLC0415
    from alaska.commands.lists import LISTS  # noqa: PLC0415
    from alaska.interfaces import Reactor  # noqa: PLC0415

    kinds: dict[str, tuple[Any, Any]] = {each.name: (each.query, each.item) for each in LISTS}
    kinds["schedules"] = (ScheduleQuery, Schedule)
    found: list[str] = []
    try:
        given = Given(*(options.get(name) for name in Given._fields))
        connection = Connection.of(options.get("endpoint"), given, options.get("context_name"), os.environ)
    except ValueError:
        return found

    async def ask(reactor: Reactor) -> None:
        broker = AdminClient(reactor, connection.endpoint, connection.credentials)
        await broker.connect()
        query, item = kinds[operation]
        every = await broker.ask_all(operation, query(match=f"^{incomplete}" if incomplete else ""), item, MOST)
        found.extend(each.name for each in every)

    def begin(reactor: Reactor) -> Deferred[None]:
        ended: Deferred[None] = Deferred()
        # Not cancelled: to end a connection that is not there takes longer.
        ensureDeferred(ask(reactor)).addBoth(lambda _result: None if ended.called else ended.callback(None))
        return ended.addTimeout(SECONDS, reactor).addErrback(lambda _failure: None)

    with suppress(SystemExit):
        react(begin)
    return [name for name in found if name.startswith(incomplete) and name.isprintable()]

"""The options of commands, as their command lines give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from alaska.commands.connection import Connection, take_connection
from alaska.commands.credentials import Given
from alaska.commands.many_options import take_many
from alaska.commands.send import Sent, send
from alaska.commands.term_options import terms_of


def options_of(command: click.Command, *arguments: str) -> dict[str, Any]:
    """Return the options of a command line.

    :raises click.UsageError: it is wrong.
    """
    return dict(command.make_context(f"alas {command.name}", list(arguments)).params)


def connection_of(*arguments: str, environ: Mapping[str, str] | None = None) -> Connection:
    """Return the connection that a command line and an environment give.

    :raises click.UsageError: they are wrong.
    """
    return take_connection(options_of(send, *arguments), {"XDG_CONFIG_HOME": "/nowhere", **(environ or {})})


def sent_of(*arguments: str) -> Sent:
    """Return what a command line of ``alas send`` sends.

    :raises click.UsageError: it is wrong.
    """
    options = options_of(send, *arguments)
    for name in (*Given._fields, "endpoint", "context_name", "as_json"):
        del options[name]
    take_many(options)
    return Sent(terms=terms_of(options), **options)

"""The options with which a command connects to a broker: its endpoint, credentials, and a context that has both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

import click

from alaska.commands import completing, contexts
from alaska.commands.credentials import (
    KEY_VARIABLE,
    PASSWORD_VARIABLE,
    SERVER_KEY_VARIABLE,
    USERNAME_VARIABLE,
    Credentials,
    Given,
)
from alaska.commands.values import FILE

ENDPOINT = "tcp://127.0.0.1:9999"
ENDPOINT_VARIABLE = "ALASKA_ENDPOINT"
CONTEXT_VARIABLE = "ALASKA_CONTEXT"

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.option(
        "-e", "--endpoint", metavar="ENDPOINT", help=f"The broker's endpoint (or {ENDPOINT_VARIABLE}; {ENDPOINT})."
    ),
    click.option("-u", "--username", metavar="NAME", help=f"The user name for PLAIN (or {USERNAME_VARIABLE})."),
    click.option(
        "-p",
        "--password",
        metavar="PASSWORD",
        help=f"The password (or {PASSWORD_VARIABLE}, which other users of the machine cannot see).",
    ),
    click.option("--password-file", type=FILE, metavar="FILE", help="A file whose first line is the password."),
    click.option("--key", type=FILE, metavar="FILE", help=f"The secret certificate for CURVE (or {KEY_VARIABLE})."),
    click.option(
        "--server-key",
        type=FILE,
        metavar="FILE",
        help=f"The public certificate of the broker for CURVE (or {SERVER_KEY_VARIABLE}).",
    ),
    click.option(
        "--context",
        "context_name",
        metavar="NAME",
        shell_complete=completing.contexts,
        help=f"Take what is not given from this context (or {CONTEXT_VARIABLE}; see alas context).",
    ),
)


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a command connects to, and as whom."""

    endpoint: str
    credentials: Credentials

    @classmethod
    def of(cls, endpoint: str | None, given: Given, context_name: str | None, environ: Mapping[str, str]) -> Connection:
        """Return the connection of options, or else of the environment, or else of the context, or the default one.

        :raises ValueError: they contradict each other, or a file cannot be read; the text has no password.
        """
        context = contexts.chosen(context_name, environ.get(CONTEXT_VARIABLE) or None, contexts.path(environ))
        found = endpoint or environ.get(ENDPOINT_VARIABLE) or context.endpoint or ENDPOINT
        try:
            return cls(found, Credentials.of(given, environ, context.given))
        except ValueError as error:
            if Credentials.are_given(given, environ) or not context.name:
                raise
            raise ValueError(f"{error} (context {context.name}; see alas context list)") from None


def take_connection(options: dict[str, Any], environ: Mapping[str, str] = os.environ) -> Connection:
    """Take the options of :func:`broker_options` out of the arguments of a command; return their connection.

    :raises click.UsageError: see :meth:`Connection.of`.
    """
    endpoint, context_name = options.pop("endpoint"), options.pop("context_name")
    given = Given(*(options.pop(name) for name in Given._fields))
    try:
        return Connection.of(endpoint, given, context_name, environ)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def broker_options(function: F) -> F:
    """Add the options to a command, whose function gets a :class:`Connection` as ``connection``."""

    @wraps(function)
    def with_connection(*args: Any, **options: Any) -> Any:  # noqa: ANN401  # what click passes
        connection = take_connection(options)
        return function(*args, connection=connection, **options)

    result: Callable[..., Any] = with_connection
    for option in reversed(_OPTIONS):
        result = option(result)
    return cast("F", result)

"""``alas context``: shows, sets, chooses and removes contexts, which have the endpoint and credentials of a broker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import tomlkit

from alaska.commands import completing, contexts, shown, streams
from alaska.commands.command import Command, Entry, Group, failed
from alaska.commands.credentials import Given
from alaska.commands.values import FILE

_HERE = "alaska.commands.context"
_EXIT_STATUSES = "exit status: 0 if it is done, 1 if the file of contexts cannot be used, 2 for a wrong command line"
_COLUMNS = ("", "NAME", "ENDPOINT", "USER", "SECURITY")


@click.group(
    "context",
    cls=Group,
    sections={
        "Commands": {
            "list": Entry(f"{_HERE}:show", "Show the contexts, without passwords."),
            "set": Entry(f"{_HERE}:set_context", "Add a context, or replace one."),
            "use": Entry(f"{_HERE}:use", "Choose the context that applies where none is named."),
            "remove": Entry(f"{_HERE}:remove", "Remove a context."),
        }
    },
)
def context() -> None:
    """Keep endpoints and credentials of brokers by name, so that they need not be typed.

    A command takes what its options and the environment do not give from the context of --context, or of the variable
    ALASKA_CONTEXT, or of alas context use.
    """


@contextmanager
def _document(*, is_changed: bool) -> Iterator[tuple[tomlkit.TOMLDocument, Path]]:
    """Read the file, and write it if it is changed; what is wrong ends the command."""
    file = contexts.path(os.environ)
    try:
        document = contexts.load(file)
        yield document, file
        if is_changed:
            contexts.save(document, file)
    except OSError as error:
        raise failed(f"{file} cannot be written: {error.strerror}") from None
    except ValueError as error:
        raise failed(str(error)) from None


@click.command("list", cls=Command, epilog=_EXIT_STATUSES)
@shown.json_option
def show(as_json: bool) -> None:
    """Show the contexts, without passwords; a star marks the one that applies where none is named."""
    with _document(is_changed=False) as (document, _):
        default = document.get(contexts.DEFAULT)
        found = []
        for name in contexts.names(document):
            table = document[name]
            security = "curve" if "key" in table else "plain" if "username" in table else "none"
            texts = {key: str(table.get(key, "")) for key in ("endpoint", "username")}
            found.append({"name": name, "default": name == default, **texts, "security": security})
    if as_json:
        text = shown.lines(found)
    else:
        keys = ("name", "endpoint", "username", "security")
        rows = [("*" if each["default"] else "", *(str(each[key]) for key in keys)) for each in found]
        text = shown.table(_COLUMNS, rows)
        if not found:
            streams.write_line("there are no contexts: alas context set NAME --endpoint ENDPOINT", sys.stderr)
    if text:
        streams.write_line(text)


_EPILOG_OF_SET = f"{_EXIT_STATUSES}\n\nexample: alas context set staging -e tcp://staging.example:9999 -u ann"


@click.command("set", cls=Command, epilog=_EPILOG_OF_SET)
@click.argument("name", shell_complete=completing.contexts)
@click.option("-e", "--endpoint", metavar="ENDPOINT", help="The broker's endpoint.")
@click.option("-u", "--username", metavar="NAME", help="The user name for PLAIN.")
@click.option("--password-file", type=FILE, metavar="FILE", help="A file whose first line is the password.")
@click.option("--key", type=FILE, metavar="FILE", help="The secret certificate for CURVE.")
@click.option("--server-key", type=FILE, metavar="FILE", help="The public certificate of the broker for CURVE.")
@click.option("--use", "is_used", is_flag=True, help="Also choose it, as alas context use does.")
@shown.json_option
def set_context(
    name: str, endpoint: str | None, username: str | None, password_file: Path | None, key: Path | None,
    server_key: Path | None, is_used: bool, as_json: bool,
) -> None:  # fmt: skip
    """Add a context, or replace the one with this name.

    It applies to commands with --context NAME, and after alas context use (or with --use) to all that name none.

    A password is not taken: it stays in a file of its own (--password-file), or in the variable ALASKA_PASSWORD.
    """
    if name == contexts.DEFAULT or not name.isprintable() or not name.strip():
        raise click.UsageError(f"a context cannot have this name; {contexts.DEFAULT} is a word of the file")
    given = Given(username, None, password_file, key, server_key)
    if given.has_login and given.has_keys:
        raise click.UsageError("either a user name and password, or keys can be given, not both")
    values = {
        "endpoint": endpoint,
        "username": username,
        "password-file": _absolute(password_file),
        "key": _absolute(key),
        "server-key": _absolute(server_key),
    }
    if not any(values.values()):
        raise click.UsageError("a context needs an endpoint or credentials, such as -e tcp://staging.example:9999")
    with _document(is_changed=True) as (document, file):
        table = tomlkit.table()
        for key_name, value in values.items():
            if value is not None:
                table.add(key_name, value)
        document[name] = table
        if is_used:
            contexts.choose(document, name)
        applies = document.get(contexts.DEFAULT) == name
    how = (
        "it applies where none is named"
        if applies
        else f"--context {name} names it, alas context use {name} chooses it"
    )
    fields = {"name": name, "default": applies, "file": str(file)}
    streams.write_line(shown.either(fields, f"{file} has the context {name} now; {how}", as_json))


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.expanduser().absolute())


@click.command("use", cls=Command, epilog=_EXIT_STATUSES)
@click.argument("name", shell_complete=completing.contexts)
@shown.json_option
def use(name: str, as_json: bool) -> None:
    """Choose the context that applies where none is named."""
    with _document(is_changed=True) as (document, file):
        contexts.check_known(document, name, file)
        contexts.choose(document, name)
    text = f"the context {name} applies where none is named"
    streams.write_line(shown.either({"name": name, "default": True, "file": str(file)}, text, as_json))


@click.command("remove", cls=Command, epilog=_EXIT_STATUSES)
@click.argument("name", shell_complete=completing.contexts)
@shown.json_option
def remove(name: str, as_json: bool) -> None:
    """Remove a context."""
    with _document(is_changed=True) as (document, file):
        contexts.check_known(document, name, file)
        del document[name]
        if document.get(contexts.DEFAULT) == name:
            del document[contexts.DEFAULT]
    text = f"the context {name} is removed"
    streams.write_line(shown.either({"name": name, "default": False, "file": str(file)}, text, as_json))

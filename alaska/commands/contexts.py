"""Contexts: endpoints with credentials, by name, in ``~/.config/alaska/contexts.toml``.

The file has a table for each context, and the name of the one that applies where none is named::

    default = "local"

    [local]
    endpoint = "tcp://127.0.0.1:9999"

    [staging]
    endpoint = "tcp://staging.example:9999"
    username = "ann"
    password-file = "~/.config/alaska/staging.password"
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from alaska.commands.credentials import Given

MOST_OCTETS = 2**20
DEFAULT = "default"
_SECRET = "password"  # noqa: S105  # it is the name of one
KEYS = ("endpoint", "username", _SECRET, "password-file", "key", "server-key")


class Context(NamedTuple):
    """What a context has: the endpoint, and credentials as if they were given as options; and its name."""

    endpoint: str | None = None
    given: Given = Given()
    name: str = ""


def path(environ: Mapping[str, str]) -> Path:
    """Return the file with the contexts of the user."""
    folder = environ.get("XDG_CONFIG_HOME") or ""
    return (Path(folder) if Path(folder).is_absolute() else Path("~/.config").expanduser()) / "alaska/contexts.toml"


def load(file: Path) -> tomlkit.TOMLDocument:
    """Read the file; one that does not exist is empty.

    :raises ValueError: it cannot be read, or is not valid; others can read passwords in it, or anybody can change it.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(MOST_OCTETS + 1)
    except FileNotFoundError:
        return tomlkit.document()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    if len(text) > MOST_OCTETS:
        raise ValueError(f"{file} has more than {MOST_OCTETS} octets")
    try:
        document = tomlkit.parse(text.decode())
    except (TOMLKitError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid: {error}") from None
    _check(document, file)
    if mode & stat.S_IWOTH:
        # Who changes an endpoint is sent the user name and password.
        raise ValueError(f"{file} can be changed by anybody; do: chmod o-w {file}")
    has_password = any(isinstance(table, Mapping) and _SECRET in table for table in document.values())
    if has_password and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"{file} has a password, and others can read it; do: chmod 600 {file}")
    return document


def _check(document: tomlkit.TOMLDocument, file: Path) -> None:
    for name, table in document.items():
        if name == DEFAULT:
            if not isinstance(table, str):
                raise ValueError(f"{file}: {DEFAULT} must be the name of a context")
        elif not isinstance(table, Mapping):
            raise ValueError(f"{file}: {name} must be a table, [{name}]")
        else:
            for key, value in table.items():
                if key not in KEYS:
                    raise ValueError(f"{file}: [{name}] has the unknown key {key}; there are {', '.join(KEYS)}")
                if not isinstance(value, str):
                    raise ValueError(f"{file}: {key} of [{name}] must be a text")


def names(document: tomlkit.TOMLDocument) -> list[str]:
    """Return the names of all contexts."""
    return [name for name in document if name != DEFAULT]


def chosen(option: str | None, variable: str | None, file: Path) -> Context:
    """Return the context that an option names, or else the environment, or else the file; or an empty one.

    :raises ValueError: there is none of this name, or the file is not valid.
    """
    document = load(file)
    name = option or variable or document.get(DEFAULT)
    if name is None:
        return Context()
    check_known(document, name, file)
    table = cast("Mapping[str, object]", document[name])
    found = {key: str(value) for key, value in table.items()}
    password_file, key, server_key = (
        None if each is None else Path(each).expanduser()
        for each in (found.get("password-file"), found.get("key"), found.get("server-key"))
    )
    given = Given(found.get("username"), found.get(_SECRET), password_file, key, server_key)
    return Context(found.get("endpoint"), given, name)


def check_known(document: tomlkit.TOMLDocument, name: str, file: Path) -> None:
    """Check that there is a context.

    :raises ValueError: there is none of this name.
    """
    if name not in names(document):
        raise ValueError(f"{file} has no context {name}; it has {', '.join(names(document)) or 'none'}")


def choose(document: tomlkit.TOMLDocument, name: str) -> None:
    """Make a context the one that applies where none is named."""
    others = [(key, value) for key, value in document.items() if key != DEFAULT]
    document.clear()
    # It has to be before all tables.
    document[DEFAULT] = name
    for key, value in others:
        document[key] = value


def save(document: tomlkit.TOMLDocument, file: Path) -> None:
    """Replace the file, which only the user can read.

    :raises OSError: it cannot be written; it is as before.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # NamedTemporaryFile makes files that only the user can read.
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, prefix=".contexts-", delete=False) as new:
        try:
            new.write(tomlkit.dumps(document))
            new.flush()
            os.fsync(new.fileno())
            os.replace(new.name, file)
        except OSError:
            with suppress(OSError):
                os.unlink(new.name)
            raise

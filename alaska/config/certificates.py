"""Certificate files for CURVE, as CZMQ's zcert and pyzmq write them, and the keys of the clients that may connect.

A certificate is a ZPL file with ``curve/public-key`` and, if it is secret, ``curve/secret-key``. A key is 40 characters
of Z85 (ZeroMQ RFC 32). A file that contains nothing but a public key is accepted as well.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alaska.authentication import KeyPair
from alaska.config import zpl
from alaska.config.zpl import shown
from alaska.errors import ConfigurationError

KEY_CHARACTERS: Final = 40
SECRET_SUFFIX: Final = "_secret"  # noqa: S105  # it is the end of a file name
MOST_OCTETS: Final = 64 * 1024
"""The maximum size of a certificate."""
MOST_LIST_OCTETS: Final = 16 * 2**20
"""The maximum size of a file with the keys or passwords of many clients."""
MOST_KEYS: Final = 10_000
MOST_FAULTS: Final = 100
"""The maximum number of faults that are reported at once."""
_SUFFIXES: Final = ("", ".cert", ".key", ".pub", ".txt")
_MOST_NAME_OCTETS: Final = 255
_Z85: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_GROUP: Final = 5


def is_key(text: str) -> bool:
    """Return whether a text is a key: eight groups of five characters, each of which stands for four octets."""
    if len(text) != KEY_CHARACTERS or not set(text) <= set(_Z85):
        return False
    for at in range(0, KEY_CHARACTERS, _GROUP):
        value = 0
        for character in text[at : at + _GROUP]:
            value = value * len(_Z85) + _Z85.index(character)
        if value >= 2**32:
            return False
    return True


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a regular file.

    :raises ConfigurationError: it cannot be read, is not a regular file, or has more than ``most`` octets.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # Path.open takes no descriptor
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigurationError(f"{path}: it is not a regular file")
            content = file.read(most + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise ConfigurationError(f"{path}: the file has more than {most} octets")
    return content


def read_public_key(path: Path) -> str:
    """Return the public key of a certificate, or of a file that contains only a key.

    :raises ConfigurationError: the file cannot be read, or has no valid key.
    """
    return _read(path)[0]


def read_pair(path: Path) -> KeyPair:
    """Return the keys of a secret certificate. Whether they belong together is not checked.

    :raises ConfigurationError: the file cannot be read, or has no valid keys. The text never contains a secret key.
    """
    public, tree = _read(path)
    if tree is None:
        raise ConfigurationError(f"{path}: a secret certificate is needed, found only a key")
    return KeyPair(public, _key(path, tree, "secret-key"))


def is_readable_by_others(path: Path) -> bool:
    """Return whether other users than the owner may read a file."""
    return _has_mode(path, stat.S_IRGRP | stat.S_IROTH)


def is_writable_by_all(path: Path) -> bool:
    """Return whether all users of the machine may change a file, or add files to a folder."""
    return _has_mode(path, stat.S_IWOTH)


def _has_mode(path: Path, mode: int) -> bool:
    try:
        return bool(path.stat().st_mode & mode)
    except OSError:
        return False


def _read(path: Path) -> tuple[str, zpl.Item | None]:
    content = read_bounded(path, MOST_OCTETS)
    alone = content.strip().decode("ascii", "replace")
    if is_key(alone):
        return alone, None
    tree = zpl.loads(content, str(path))
    return _key(path, tree, "public-key"), tree


def _key(path: Path, tree: zpl.Item, name: str) -> str:
    item = tree.find(f"curve/{name}")
    if item is None:
        hint = "; this is a public certificate" if name.startswith("secret") else ""
        raise ConfigurationError(f"{path}: there is no curve/{name}{hint}")
    if not is_key(item.value or ""):
        raise ConfigurationError(f"{item.where}: curve/{name} must be {KEY_CHARACTERS} characters of Z85")
    return item.value or ""


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The names of the clients that may connect, by public key; ``warnings`` are sentences."""

    names: dict[str, str]
    warnings: tuple[str, ...] = ()


def read_client_keys(path: Path) -> ClientKeys:
    """Return the keys in a folder of certificates, or in a file with lines ``name=key``.

    In a folder, the name of a client is the name of its file without ``.cert``, ``.key``, ``.pub`` or ``.txt``: whoever
    has written a certificate could write any name into it. Secret certificates (``…_secret``), files with other
    suffixes, hidden files and folders are skipped. In a file, empty lines and lines that begin with ``#`` are skipped.
    A name may have several keys.

    :raises ConfigurationError: something cannot be read, a file or line is not valid, a key has two names, or there are
        more than 10 000 keys. The text has one line for each fault.
    """
    if path.is_dir():
        return _read_folder(path)
    return ClientKeys(_collected((path, number, *entry) for number, entry in _lines(path)))


def _lines(path: Path) -> Iterator[tuple[int, tuple[str, str]]]:
    for number, line in enumerate(read_bounded(path, MOST_LIST_OCTETS).split(b"\n"), 1):
        text = line.strip().decode("utf-8", "surrogateescape")
        if text and not text.startswith("#"):
            name, _equals, key = (part.strip() for part in text.partition("="))
            yield number, (name, key)


def _read_folder(folder: Path) -> ClientKeys:
    warnings: list[str] = []
    faults: list[str] = []
    entries: list[tuple[Path, int, str, str]] = []
    for path in _files(folder):
        name, suffix = path.stem, path.suffix
        if path.name.startswith(".") or path.name.endswith(SECRET_SUFFIX):
            continue
        if suffix not in _SUFFIXES or not path.is_file():
            warnings.append(f"{path} is not read: it is not a file with one of the suffixes {' '.join(_SUFFIXES[1:])}")
            continue
        try:
            key, tree = _read(path)
        except ConfigurationError as error:
            faults.append(str(error))
            continue
        entries.append((path, 0, name, key))
        inner = None if tree is None else tree.get("metadata/name")
        if inner and inner != name:
            warnings.append(f"{path}: the user is {shown(name)}; metadata/name = {shown(inner)} has no effect")
    if faults:
        raise ConfigurationError("\n".join(faults))
    return ClientKeys(_collected(iter(entries)), tuple(warnings))


def _files(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot be read: {error.strerror}") from None
    if len(found) > 2 * MOST_KEYS:
        raise ConfigurationError(f"{folder}: there are more than {2 * MOST_KEYS} files")
    return found


def _collected(entries: Iterator[tuple[Path, int, str, str]]) -> dict[str, str]:
    names: dict[str, str] = {}
    faults = []
    for path, line, name, key in entries:
        where = f"{path}:{line}" if line else str(path)
        if not is_key(key):
            faults.append(f"{where}: expected name=key with a key of {KEY_CHARACTERS} characters of Z85")
        elif not name.isprintable() or not 1 <= len(name.encode("utf-8", "replace")) <= _MOST_NAME_OCTETS:
            faults.append(f"{where}: the name must be printable and have 1 to {_MOST_NAME_OCTETS} octets")
        elif names.setdefault(key, name) != name:
            faults.append(f"{where}: the key of {shown(name)} is also that of {shown(names[key])}")
        if len(names) > MOST_KEYS:
            faults.append(f"{where}: there are more than {MOST_KEYS} keys")
            break
    if faults:
        raise ConfigurationError("\n".join(faults[:MOST_FAULTS]))
    return names

"""Write the settings in force as a settings file, with the origin of each value as a comment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from alaska.config import zpl
from alaska.config.entries import Entry
from alaska.config.free_sections import items_in_force
from alaska.config.known_paths import KnownPaths
from alaska.config.settings import Settings, items_of
from alaska.names import printable

DEFAULT: Final = "default"
"""The origin of a value that is given neither in the file nor in the environment."""
_SECRET = re.compile("pass|pwd|secret|token|credential|private|bearer|(^|api|access|[^a-z])key$", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]+@")
_NAME = re.compile(r"[0-9A-Za-z$\-_@.&+]+")


def in_force(cls: type[Settings], tree: zpl.Item, environ: Mapping[str, str]) -> str:
    """Return the settings in force as the text of a settings file: defaults, values of the file and the environment.

    The text gives the same settings when it is loaded without the environment, except for values that are not written:
    secrets, and values of the environment that a settings file cannot contain. In place of each is a comment. A value
    in a free-form section is a secret if its name says so, such as ``password``, and so is any URL with a password.
    """
    entries = cls.entries().values()
    tree = replace(tree, children=tuple(KnownPaths(entries).in_effect(tree)))
    for entry in entries:
        variable = cls.variable(entry.path)
        if entry.read_tree is not None:
            continue
        if entry.free:
            items = items_in_force(entry.path, tree.find(entry.path), environ, cls.variable)
            if items:
                tree = _changed(tree, entry.path, partial(replace, children=items))
        elif variable in environ:
            given = zpl.Item("", environ[variable], source=variable)
            everywhere = _everywhere if entry.beside is not None else _changed
            tree = everywhere(_without(tree, entry.path), entry.path, partial(_renamed, given))
        elif entry.default is not None and not items_of(entry, tree):
            tree = _with_value(tree, entry.path, zpl.Item("", entry.default, source=DEFAULT))
    return "".join(f"{line}\n" for item in tree.children for line in _lines(item, 0, item.name, _secrets(entries)))


def _secrets(entries: Iterable[Entry]) -> Callable[[str], bool]:
    """Return a function that says whether the value at a path is secret."""
    secret = {entry.path for entry in entries if entry.secret}
    free = tuple(f"{entry.path}/" for entry in entries if entry.free)

    def is_secret(path: str) -> bool:
        return path in secret or (path.startswith(free) and _SECRET.search(path.rpartition("/")[2]) is not None)

    return is_secret


def _with_value(tree: zpl.Item, path: str, given: zpl.Item) -> zpl.Item:
    return _changed(tree, path, partial(_renamed, given))


def _renamed(given: zpl.Item, old: zpl.Item) -> zpl.Item:
    return replace(given, name=old.name)


def _everywhere(item: zpl.Item, path: str, change: Callable[[zpl.Item], zpl.Item]) -> zpl.Item:
    """Do as :func:`_changed` in each of several sections with the same name, below the first top-level section."""
    top, _, rest = path.partition("/")
    section, _, name = rest.rpartition("/")
    tree = _changed(item, f"{top}/{section}", lambda each: each)

    def change_all(first: zpl.Item) -> zpl.Item:
        children = (_changed(each, name, change) if each.name == section else each for each in first.children)
        return replace(first, children=tuple(children))

    return _changed(tree, top, change_all)


def _changed(item: zpl.Item, path: str, change: Callable[[zpl.Item], zpl.Item]) -> zpl.Item:
    """Return a tree in which the first item at a path is changed; it is added if there is none."""
    if not path:
        return change(item)
    name, _, rest = path.partition("/")
    children = list(item.children)
    at = next((at for at, child in enumerate(children) if child.name == name), len(children))
    child = children[at] if at < len(children) else zpl.Item(name)
    children[at : at + 1] = [_changed(child, rest, change)]
    return replace(item, children=tuple(children))


def _without(item: zpl.Item, path: str) -> zpl.Item:
    """Return a tree without any item at a path."""
    name, _, rest = path.partition("/")
    children = (
        _without(each, rest) if each.name == name else each for each in item.children if rest or each.name != name
    )
    return replace(item, children=tuple(children))


def _lines(item: zpl.Item, level: int, path: str, is_secret: Callable[[str], bool]) -> Iterator[str]:
    indentation = " " * (zpl.INDENT * level)
    yield indentation + (item.name if item.value is None else _value_line(item, is_secret(path)))
    for child in item.children:
        yield from _lines(child, level + 1, f"{path}/{child.name}", is_secret)


def _value_line(item: zpl.Item, is_secret: bool) -> str:
    value, origin = item.value or "", printable(item.where)
    if is_secret or _URL_WITH_PASSWORD.search(value):
        return f"# {printable(item.name)} is not shown; it is given: {origin}"
    for quote in ('"', "'"):
        if quote not in value and _is_writable(item.name, value):
            return f"{item.name} = {quote}{value}{quote}    # {origin}"
    line = f"{item.name} = {value}"
    if _is_writable(item.name, value) and zpl.parse(line, "")[0].get(item.name) == value:
        # Without quotes, a comment after the value could belong to it.
        return line
    return (
        f"# {printable(item.name)} is not shown, since a settings file cannot contain its value; it is given: {origin}"
    )


def _is_writable(name: str, value: str) -> bool:
    """Return whether a settings file can contain a name, and a value at least in quotes."""
    try:
        octets = value.encode()
    except UnicodeEncodeError:
        return False
    return _NAME.fullmatch(name) is not None and not {0, 10}.intersection(octets)

"""ZPL, the text format of the configuration files, as CZMQ's zconfig reads and writes it.

A line is ``name``, ``name = value`` or ``name = "value"``, indented by four spaces for each level, and ``#`` begins a
comment. What zconfig reads gives the same tree here, and what it refuses is refused, with a sentence. There is one
difference: a file that is not UTF-8 text, or that holds a NUL octet, is refused as well, where zconfig cuts the line
at the NUL and hands any other octet on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from alaska.errors import ConfigurationError

INDENT = 4
ROOT = "root"
# What C's isspace knows; Python's own idea of white space takes in much more.
_BLANKS = " \t\v\f\r"
_NAME_CHARACTERS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz$-_@.&+/")
_QUOTES = ("'", '"')
_MOST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Item:
    """One name of a tree, with its value and what stands below it.

    ``value`` is None for a section that was built here; one that was loaded has the empty value. ``comments`` are the
    lines, without their ``#``, that are written above the item: loading puts every comment that starts in column one
    on the root. ``line`` is 0 for what was not loaded. Two items are equal whatever their source and line.
    """

    name: str
    value: str | None = None
    children: tuple[Item, ...] = ()
    comments: tuple[str, ...] = ()
    source: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def where(self) -> str:
        """Source and line, as an error names them: ``alaska.cfg:3``."""
        return f"{self.source}:{self.line}" if self.line else self.source

    def all(self, name: str) -> Iterator[Item]:
        """Yield the children of this name, in order."""
        return (child for child in self.children if child.name == name)

    def find(self, path: str) -> Item | None:
        """Return the item at a path of names with ``/`` between them, or None.

        Of several children with one name only the first is looked at, at each level. A ``/`` in front of the path is
        ignored.
        """
        here: Item | None = self
        for name in _names(path):
            here = next(here.all(name), None) if here is not None else None
        return here

    def get(self, path: str, default: str | None = None) -> str | None:
        """Return the value at a path, or the default where there is no such item.

        An item that is there without a value does not give the default: its value is empty, or None in a section that
        was built.
        """
        found = self.find(path)
        return default if found is None else found.value

    def put(self, path: str, value: str) -> Item:
        """Return this tree with a value at a path; what is missing on the way there is appended."""
        return _put(self, _names(path), value)


def _names(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _put(item: Item, names: list[str], value: str) -> Item:
    if not names:
        return replace(item, value=value)
    name, *rest = names
    children = list(item.children)
    at = next((at for at, child in enumerate(children) if child.name == name), len(children))
    child = children[at] if at < len(children) else Item(name, source=item.source)
    children[at : at + 1] = [_put(child, rest, value)]
    return replace(item, children=tuple(children))


class _Fault(Exception):
    """What is wrong with a line; whoever knows its number makes the error of it."""


class _Open:
    """An item whose children are still to come."""

    __slots__ = ("children", "line", "name", "value")

    def __init__(self, name: str, value: str | None, line: int) -> None:
        self.name = name
        self.value = value
        self.line = line
        self.children: list[Item] = []


class _Builder:
    """The way from the root to the item that was read last."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._way = [_Open(ROOT, None, 0)]

    def add(self, level: int, name: str, value: str, line: int) -> None:
        """Put an item below the last one of the level above its own."""
        deepest = len(self._way) - 1
        if level > deepest:
            most = deepest * INDENT
            raise _Fault(f"{name} must be indented by at most {most} spaces here, found {level * INDENT}")
        self._close_to(level + 1)
        self._way.append(_Open(name, value, line))

    def finish(self, comments: list[str]) -> Item:
        """Return the tree."""
        self._close_to(1)
        (root,) = self._way
        return Item(ROOT, None, tuple(root.children), tuple(comments), self._source)

    def _close_to(self, length: int) -> None:
        while len(self._way) > length:
            done = self._way.pop()
            item = Item(done.name, done.value, tuple(done.children), (), self._source, done.line)
            self._way[-1].children.append(item)


def load(path: str | os.PathLike[str]) -> Item:
    """Return the tree that a file holds.

    :raises FileNotFoundError: there is no such file.
    :raises ConfigurationError: it cannot be read, or :func:`loads` refuses what it holds.
    """
    try:
        text = Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    return loads(text, os.fspath(path))


def loads(text: str | bytes, source: str) -> Item:
    """Return the tree that a text holds; its root has the name ``root`` and no value.

    :param source: what errors call the text, mostly the name of the file.
    :raises ConfigurationError: one line is not as it must be, so none counts; nothing else is raised, whatever the
        text. The sentence names source, line and what was expected.
    """
    # A lone surrogate makes octets that are no UTF-8, and so an error that knows its line.
    octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    builder = _Builder(source)
    comments: list[str] = []
    for number, octets_of_line in enumerate(octets.split(b"\n"), 1):
        try:
            line = _text(octets_of_line).rstrip(_BLANKS)
            if line.startswith("#"):
                comments.append(line[1:])
            elif line:
                _read(line, number, builder)
        except _Fault as fault:
            raise ConfigurationError(f"{source}:{number}: {fault}") from None
    return builder.finish(comments)


def _text(octets: bytes) -> str:
    if b"\0" in octets:
        raise _Fault("expected text, found a NUL octet")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Fault(f"expected UTF-8 text, found the octet {octets[error.start]:#04x}") from None


def _read(line: str, number: int, builder: _Builder) -> None:
    indented = line.lstrip(" ")
    level, over = divmod(len(line) - len(indented), INDENT)
    if over:
        raise _Fault(f"indentation must be a multiple of {INDENT} spaces, found {level * INDENT + over}")
    name, rest = _name(indented)
    if name:
        builder.add(level, name, _value(name, rest), number)


def _name(text: str) -> tuple[str, str]:
    """Return the name that a line begins with, which is empty for a comment, and what follows it."""
    end = next((at for at, character in enumerate(text) if character not in _NAME_CHARACTERS), len(text))
    name, rest = text[:end], text[end:]
    if name.startswith("/") or name.endswith("/"):
        raise _Fault(f"a name must neither begin nor end with /, found {shown(name)}")
    if not name and not rest.lstrip(_BLANKS).startswith("#"):
        raise _Fault(_no_name(rest))
    return name, rest


def _no_name(text: str) -> str:
    if text.startswith("\ufeff"):
        return "expected a name, found a byte order mark: save the file without it"
    if text.startswith("\t"):
        return f"indentation must be made of {INDENT} spaces a level, found a tab"
    return f"expected a name, found {shown(text)}"


def _value(name: str, rest: str) -> str:
    text = rest.lstrip(_BLANKS)
    if not text.startswith("="):
        _must_end(text, f"expected = after the name {name}")
        return ""
    value = text[1:].lstrip(_BLANKS)
    if value.startswith(_QUOTES):
        return _quoted(name, value)
    comment = value.find("#")
    # A # behind white space that follows the = is no comment but begins the value, and then everything is value.
    if comment < 0 or (comment == 0 and text[1] in _BLANKS):
        return value
    return value[:comment].rstrip(_BLANKS)


def _quoted(name: str, text: str) -> str:
    quote = text[0]
    end = text.find(quote, 1)
    if end < 0:
        raise _Fault(f"the value of {name} must end with {quote}, found {shown(text)}")
    _must_end(text[end + 1 :].lstrip(_BLANKS), f"expected nothing but a comment after the quoted value of {name}")
    return text[1:end]


def _must_end(text: str, expected: str) -> None:
    if text and not text.startswith("#"):
        raise _Fault(f"{expected}, found {shown(text)}")


def shown(text: str) -> str:
    """Return a text as errors quote it: on one line, and not at length."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…")


def dumps(tree: Item) -> str:
    """Return a tree as text, its root left out but for its comments.

    Every value stands in double quotes and nothing is escaped, as zconfig does it: a value that holds a double quote
    or the end of a line, or a name that is none in ZPL, gives a text that does not load.
    """
    lines: list[str] = []
    waiting = [(tree, -1)]
    # No recursion: a file may nest deeper than Python's stack.
    while waiting:
        item, level = waiting.pop()
        if item.comments:
            lines += [f"#{comment}" for comment in item.comments]
            lines.append("")
        if level >= 0:
            value = "" if item.value is None else f' = "{item.value}"'
            lines.append(f"{' ' * (INDENT * level)}{item.name}{value}")
        waiting += [(child, level + 1) for child in reversed(item.children)]
    return "".join(f"{line}\n" for line in lines)

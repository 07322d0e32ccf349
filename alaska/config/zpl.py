"""ZPL, the text format of the configuration files, as CZMQ's zconfig reads and writes it.

A line is ``name``, ``name = value`` or ``name = "value"``, indented by four spaces for each level; ``#`` begins a
comment. A file that zconfig accepts gives the same tree here, and a file that it refuses is refused, with an error
message. There is one difference: a file that is not UTF-8 or contains a NUL octet is also refused; zconfig cuts the
line at the NUL and accepts any other octet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from alaska.errors import ConfigurationError

INDENT = 4
ROOT = "root"
# White space as defined by C's isspace; Python's str.isspace accepts many more characters.
_BLANKS = " \t\v\f\r"
_NAME_CHARACTERS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz$-_@.&+/")
_QUOTES = ("'", '"')
_MAX_SHOWN = 40
MAX_FAULTS = 100
MAX_OCTETS = 8 * 2**20
"""The maximum size of a file."""
"""The number of faulty lines after which reading ends."""
UNREADABLE = ""
"""The name of the item that stands for a line that cannot be read, so that the lines below it are read correctly."""


@dataclass(frozen=True, slots=True)
class Item:
    """A node of the tree: a name, its value and its children.

    ``value`` is None for a section that was built in memory, and empty for a section that was loaded. ``comments`` are
    the comment lines, without ``#``, that are written above the item; the loader collects all comments that start in
    column one on the root. ``line`` is 0 for an item that was not loaded. Source and line do not count for equality.
    """

    name: str
    value: str | None = None
    children: tuple[Item, ...] = ()
    comments: tuple[str, ...] = ()
    source: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def where(self) -> str:
        """Source and line, in the form that errors use: ``alaska.cfg:3``."""
        return f"{self.source}:{self.line}" if self.line else self.source

    def all(self, name: str) -> Iterator[Item]:
        """Yield the children with this name, in order."""
        return (child for child in self.children if child.name == name)

    def find(self, path: str) -> Item | None:
        """Return the item at a path of names separated by ``/``, or None.

        At each level, only the first child with the name is considered. A leading ``/`` is ignored.
        """
        here: Item | None = self
        for name in _names(path):
            here = next(here.all(name), None) if here is not None else None
        return here

    def get(self, path: str, default: str | None = None) -> str | None:
        """Return the value at a path, or the default if there is no such item.

        An item without a value does not give the default: its value is empty, or None in a section that was built in
        memory.
        """
        found = self.find(path)
        return default if found is None else found.value

    def put(self, path: str, value: str) -> Item:
        """Return a copy of this tree with a value at a path; missing sections are appended."""
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


class _LineError(Exception):
    """An error in a line; :func:`loads` adds the source and the line number."""


class _OpenItem:
    """An item whose children are not all read yet."""

    __slots__ = ("children", "line", "name", "value")

    def __init__(self, name: str, value: str | None, line: int) -> None:
        self.name = name
        self.value = value
        self.line = line
        self.children: list[Item] = []


class _Builder:
    """Builds the tree; holds the path from the root to the item that was read last."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._path = [_OpenItem(ROOT, None, 0)]

    def add(self, level: int, name: str, value: str, line: int) -> None:
        """Add an item below the last item of the level above."""
        deepest = len(self._path) - 1
        if level > deepest:
            most = deepest * INDENT
            raise _LineError(f"{name} must be indented by at most {most} spaces here, found {level * INDENT}")
        self._close_to(level + 1)
        self._path.append(_OpenItem(name, value, line))

    def skip(self, indentation: int) -> None:
        """Add an item without a name for an unreadable line, at the nearest level that is possible here."""
        level = min((indentation + INDENT // 2) // INDENT, len(self._path) - 1)
        self._close_to(level + 1)
        self._path.append(_OpenItem(UNREADABLE, None, 0))

    def finish(self, comments: list[str]) -> Item:
        """Return the complete tree."""
        self._close_to(1)
        (root,) = self._path
        return Item(ROOT, None, tuple(root.children), tuple(comments), self._source)

    def _close_to(self, length: int) -> None:
        while len(self._path) > length:
            done = self._path.pop()
            item = Item(done.name, done.value, tuple(done.children), (), self._source, done.line)
            self._path[-1].children.append(item)


def load(path: str | os.PathLike[str]) -> Item:
    """Return the tree of a file.

    :raises FileNotFoundError: there is no such file.
    :raises ConfigurationError: the file cannot be read, or :func:`loads` refuses its content.
    """
    return loads(read(path), os.fspath(path))


def read(path: str | os.PathLike[str]) -> bytes:
    """Return the octets of a file.

    :raises FileNotFoundError: there is no such file.
    :raises ConfigurationError: the file cannot be read, or has more than :data:`MAX_OCTETS`.
    """
    try:
        with Path(path).open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{os.fspath(path)}: cannot be read: {error.strerror}") from error
    if len(octets) > MAX_OCTETS:
        raise ConfigurationError(f"{os.fspath(path)}: has more than {MAX_OCTETS} octets, and is not read")
    return octets


def loads(text: str | bytes, source: str) -> Item:
    """Return the tree of a text; its root has the name ``root`` and no value.

    :param source: the name of the text in errors, usually the name of the file.
    :raises ConfigurationError: lines are not valid. The message has one line for each of them, with source, line and
        what was expected. No text raises any other error.
    """
    tree, faults = parse(text, source)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return tree


def parse(text: str | bytes, source: str) -> tuple[Item, list[str]]:
    """Return the tree of a text, and a sentence for each line that is not valid, with source and line.

    In place of such a line, the tree has an item with the name :data:`UNREADABLE`, with the items that are indented
    below the line. Reading ends at :data:`MAX_FAULTS`.
    """
    # A lone surrogate becomes octets that are not UTF-8; decoding them below gives an error with a line number.
    octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    builder = _Builder(source)
    comments: list[str] = []
    faults: list[str] = []
    for number, octets_of_line in enumerate(octets.split(b"\n"), 1):
        try:
            line = _text(octets_of_line).rstrip(_BLANKS)
            if line.startswith("#"):
                comments.append(line[1:])
            elif line:
                _read(line, number, builder)
        except _LineError as error:
            faults.append(f"{source}:{number}: {error}")
            if len(faults) == MAX_FAULTS:
                break
            blanks = octets_of_line[: len(octets_of_line) - len(octets_of_line.lstrip(b" \t"))]
            builder.skip(len(blanks.expandtabs(INDENT)))
    return builder.finish(comments), faults


def _text(octets: bytes) -> str:
    if b"\0" in octets:
        raise _LineError("expected text, found a NUL octet")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _LineError(f"expected UTF-8 text, found the octet {octets[error.start]:#04x}") from None


def _read(line: str, number: int, builder: _Builder) -> None:
    indented = line.lstrip(" ")
    level, over = divmod(len(line) - len(indented), INDENT)
    if over:
        raise _LineError(f"indentation must be a multiple of {INDENT} spaces, found {level * INDENT + over}")
    name, rest = _name(indented)
    if name:
        builder.add(level, name, _value(name, rest), number)


def _name(text: str) -> tuple[str, str]:
    """Return the name at the start of a line, which is empty for a comment, and the rest of the line."""
    end = next((at for at, character in enumerate(text) if character not in _NAME_CHARACTERS), len(text))
    name, rest = text[:end], text[end:]
    if name.startswith("/") or name.endswith("/"):
        raise _LineError(f"a name must neither begin nor end with /, found {shown(name)}")
    if not name and not rest.lstrip(_BLANKS).startswith("#"):
        raise _LineError(_no_name(rest))
    return name, rest


def _no_name(text: str) -> str:
    if text.startswith("\ufeff"):
        return "expected a name, found a byte order mark: save the file without it"
    if text.startswith("\t"):
        return f"indentation must be {INDENT} spaces for each level, found a tab"
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
    # As in zconfig, a # that follows "= " begins the value, and the value is then the rest of the line.
    if comment < 0 or (comment == 0 and text[1] in _BLANKS):
        return value
    return value[:comment].rstrip(_BLANKS)


def _quoted(name: str, text: str) -> str:
    quote = text[0]
    end = text.find(quote, 1)
    if end < 0:
        raise _LineError(f"the value of {name} must end with {quote}, found {shown(text)}")
    _must_end(text[end + 1 :].lstrip(_BLANKS), f"expected nothing but a comment after the quoted value of {name}")
    return text[1:end]


def _must_end(text: str, expected: str) -> None:
    if text and not text.startswith("#"):
        raise _LineError(f"{expected}, found {shown(text)}")


def shown(text: str) -> str:
    """Return a text as errors quote it: on one line and shortened."""
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")


def dumps(tree: Item) -> str:
    """Return a tree as text; of the root, only the comments are written.

    As in zconfig, every value is written in double quotes and nothing is escaped: a value with a double quote or a
    line end, or a name that is not valid in ZPL, gives a text that cannot be loaded.
    """
    lines: list[str] = []
    waiting = [(tree, -1)]
    # Not recursive: a file may be nested deeper than Python's recursion limit.
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

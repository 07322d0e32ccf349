"""Declare settings: :func:`setting` and :func:`section` make the attributes of a :class:`Settings` class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, overload

from alaska.config import zpl
from alaska.config.kinds import LINE, Kind
from alaska.config.zpl import shown

T = TypeVar("T")

Section: TypeAlias = "tuple[tuple[str, str | Section], ...]"
"""The names of a free-form section, each with its value or with a section."""

MOST_SHOWN = 100
"""The maximum length of a value in a log line, in characters."""
_KEY = "alaska.setting"


@dataclass(frozen=True, slots=True)
class Entry:
    """The declaration of one setting; ``default`` and ``created`` are written as in the file.

    ``default`` applies if the setting is absent; None means no value. ``created`` is written into a new file when the
    file is missing. A ``repeated`` setting has a tuple of values, one for each occurrence below the first top-level
    section. With ``beside``, its tuple has a value, or None, for each occurrence of the setting ``beside`` in the same
    section. A ``free`` entry is a free-form section, which may contain any names. An entry with ``read_tree`` is a
    section that this function reads, and checks as a whole. A ``live`` setting takes effect when the running program
    reloads its configuration; all others need a restart. ``doc`` is the setting's sentence in docs/settings.md.
    """

    path: str
    kind: Kind[Any]
    default: str | None
    doc: str
    created: str | None = None
    repeated: bool = False
    secret: bool = False
    free: bool = False
    live: bool = False
    read_tree: Callable[[zpl.Item], Any] | None = None
    beside: str | None = None

    def value(self, text: str | None) -> object:
        """Return the value of a text, or None for no text."""
        return None if text is None else self.kind.read(text)

    def default_value(self) -> object:
        """Return the value that applies if the setting is absent."""
        if self.repeated or self.free:
            return () if self.default is None else (self.value(self.default),)
        return self.value(self.default)

    def shown(self, value: object) -> str:
        """Return a value on one line, as it is written in the file; a secret is not shown."""
        if self.secret:
            return "***"
        if value is None:
            return "max" if self.kind.expected.endswith("or max") else "not set"
        if self.repeated and isinstance(value, tuple):
            return ", ".join(map(self._text, value)) or "not set"
        return self._text(value)

    def _text(self, value: object) -> str:
        text = self.kind.write(value)
        return shown(text) if len(text) > MOST_SHOWN or not text.isprintable() else text

    def row(self) -> str:
        """Return the setting as a row of a Markdown table."""
        default = "" if self.default is None else f"`{self.default}`"
        if self.created not in (None, self.default):
            default += f"; `{self.created}` in a new file"
        repeated = "; may be repeated" if self.repeated and self.beside is None else ""
        expected = "a section with any names" if self.free else self.kind.expected
        if self.read_tree is not None:
            expected = "a section"
        return (
            f"| `{self.path}` | {expected}{repeated} | {default} | {'yes' if self.live else 'restart'} | {self.doc} |"
        )


@overload
def setting(
    path: str, kind: Kind[T], default: str, doc: str, *, created: str | None = ..., secret: bool = ..., live: bool = ...
) -> T: ...
@overload
def setting(
    path: str,
    kind: Kind[T],
    default: None,
    doc: str,
    *,
    created: str | None = ...,
    secret: bool = ...,
    live: bool = ...,
) -> T | None: ...
@overload
def setting(
    path: str,
    kind: Kind[T],
    default: str | None,
    doc: str,
    *,
    created: str | None = ...,
    repeated: Literal[True],
    live: bool = ...,
) -> tuple[T, ...]: ...
@overload
def setting(
    path: str, kind: Kind[T], default: None, doc: str, *, repeated: Literal[True], beside: str, live: bool = ...
) -> Any: ...  # noqa: ANN401  # T | None does not match the type of the attribute
def setting(
    path: str,
    kind: Kind[Any],
    default: str | None,
    doc: str,
    *,
    created: str | None = None,
    repeated: bool = False,
    secret: bool = False,
    live: bool = False,
    beside: str | None = None,
) -> Any:
    """Declare a setting; the arguments are those of :class:`Entry`. A secret is not shown in ``repr`` and errors."""
    entry = Entry(path, kind, default, doc, created, repeated, secret, live=live, beside=beside)
    return dataclasses.field(default=entry.default_value(), repr=not secret, metadata={_KEY: entry})


def section(path: str, doc: str) -> Section:
    """Declare a free-form section, which may contain any names, with values or sections."""
    entry = Entry(path, LINE, None, doc, free=True)
    field: Any = dataclasses.field(default=(), metadata={_KEY: entry})
    value: Section = field
    return value


def read_section(path: str, read_tree: Callable[[zpl.Item], T | None], doc: str) -> T | None:
    """Declare a live section that ``read_tree`` reads from the whole tree, or returns None if there is no such section.

    The function raises ConfigurationError for whatever is not valid. No environment variable overrides the section.
    """
    entry = Entry(path, LINE, None, doc, live=True, read_tree=read_tree)
    field: Any = dataclasses.field(default=None, metadata={_KEY: entry})
    value: T | None = field
    return value


def entry_of(field: dataclasses.Field[Any]) -> Entry:
    """Return the entry with which an attribute was declared."""
    entry: Entry = field.metadata[_KEY]
    return entry

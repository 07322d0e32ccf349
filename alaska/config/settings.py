"""How settings are declared, read from a tree and an environment, and listed; alaska/config.py declares them.

A setting is an attribute of a frozen dataclass that derives from :class:`Settings`, made by :func:`setting`. What is
read, what is written into a file that is missing, which names are known and the table of them all follow from that.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, overload

from alaska.config import zpl
from alaska.config.kinds import LINE, Kind
from alaska.errors import ConfigurationError, PatternError

T = TypeVar("T")
S = TypeVar("S", bound="Settings")

Section: TypeAlias = "tuple[tuple[str, str | Section], ...]"
"""The names of a free section, each with its value or with what stands below it."""

_CLOSE_ENOUGH = 0.7
_CLOSE_VARIABLE = 0.8
_KEY = "alaska.setting"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one setting; ``default`` and ``created`` as they would stand in the file.

    ``default`` counts where the setting is absent, None being no value at all. ``created`` is written into a file that
    is missing. ``repeated`` settings have a tuple of values, from every place below the first top-level section.
    ``free`` ones are a section, in which any names may stand.
    """

    path: str
    kind: Kind[Any]
    default: str | None
    doc: str
    created: str | None = None
    repeated: bool = False
    secret: bool = False
    free: bool = False

    def value(self, text: str | None) -> object:
        """Return what a text stands for, or None for none."""
        return None if text is None else self.kind.read(text)

    def default_value(self) -> object:
        """Return the value where the setting is absent."""
        if self.repeated or self.free:
            return () if self.default is None else (self.value(self.default),)
        return self.value(self.default)

    def row(self) -> str:
        """Return the setting as a row of a table in Markdown."""
        default = "" if self.default is None else f"`{self.default}`"
        if self.created not in (None, self.default):
            default += f", in a new file `{self.created}`"
        repeated = "; may be repeated" if self.repeated else ""
        expected = "a section with any names" if self.free else self.kind.expected
        return f"| `{self.path}` | {expected}{repeated} | {default} | {self.doc} |"


@overload
def setting(
    path: str, kind: Kind[T], default: str, doc: str, *, created: str | None = ..., secret: bool = ...
) -> T: ...
@overload
def setting(
    path: str, kind: Kind[T], default: None, doc: str, *, created: str | None = ..., secret: bool = ...
) -> T | None: ...
@overload
def setting(
    path: str, kind: Kind[T], default: str | None, doc: str, *, created: str | None = ..., repeated: Literal[True]
) -> tuple[T, ...]: ...
def setting(
    path: str,
    kind: Kind[Any],
    default: str | None,
    doc: str,
    *,
    created: str | None = None,
    repeated: bool = False,
    secret: bool = False,
) -> Any:
    """Declare a setting; the arguments are those of :class:`Entry`. A secret is left out of texts and errors."""
    entry = Entry(path, kind, default, doc, created, repeated, secret)
    return dataclasses.field(default=entry.default_value(), repr=not secret, metadata={_KEY: entry})


def section(path: str, doc: str) -> Section:
    """Declare a section in which any names may stand, with values or further names below them."""
    entry = Entry(path, LINE, None, doc, free=True)
    field: Any = dataclasses.field(default=(), metadata={_KEY: entry})
    value: Section = field
    return value


class Settings:
    """What the settings of both programs have in common."""

    __slots__ = ()

    file: ClassVar[str]
    environment: ClassVar[str]

    @classmethod
    def entries(cls) -> dict[str, Entry]:
        """Return the table: by the name of the attribute, in the order of the file."""
        assert dataclasses.is_dataclass(cls)
        return {field.name: field.metadata[_KEY] for field in dataclasses.fields(cls)}

    @classmethod
    def variable(cls, path: str) -> str:
        """Return the name of the environment variable of a setting."""
        return f"{cls.environment}_{path}".translate({ord("/"): "_", ord("-"): "_"}).upper()

    @classmethod
    def from_tree(cls: type[S], tree: zpl.Item, environ: Mapping[str, str] | None = None) -> S:
        """Return the settings that a tree and an environment give; without one, only the tree counts.

        :raises ConfigurationError: a value cannot be used; the text has a line for each such value, which names file
            and line, or the variable, and what was expected. Else: values cannot be used together, a line for each of
            :meth:`conflicts`.
        """
        values: dict[str, object] = {}
        faults: list[str] = []
        for name, entry in cls.entries().items():
            try:
                if entry.free:
                    values[name] = cls._section(entry.path, tree.find(entry.path), environ or {})
                else:
                    values[name] = _read(entry, list(cls._given(entry, tree, environ or {})))
            except ConfigurationError as fault:
                faults.append(str(fault))
        if faults:
            raise ConfigurationError("\n".join(faults))
        settings = cls(**values)
        conflicts = settings.conflicts()
        if conflicts:
            raise ConfigurationError("\n".join(conflicts))
        return settings

    def differing(self, other: Settings) -> list[str]:
        """Return the paths of the settings that have another value in the same program's other settings."""
        return [entry.path for name, entry in self.entries().items() if getattr(self, name) != getattr(other, name)]

    @classmethod
    def default_tree(cls, source: str) -> zpl.Item:
        """Return the tree that is written when the file is missing."""
        tree = zpl.Item(zpl.ROOT, source=source)
        for entry in cls.entries().values():
            if entry.created is not None:
                tree = tree.put(entry.path, entry.created)
        return tree

    @classmethod
    def oddities(cls, tree: zpl.Item) -> list[str]:
        """Return a sentence for each line of a file that has no effect: a name that is not known, or one given again.

        A name that is not known comes with the known one that looks most like it, if any does.
        """
        return list(_Names(cls.entries().values()).oddities(tree))

    @classmethod
    def unknown_variables(cls, environ: Mapping[str, str]) -> list[str]:
        """Return a sentence for each variable of an environment that looks like one of a setting and is none."""
        known = {cls.variable(entry.path): entry for entry in cls.entries().values()}
        free = tuple(f"{name}_" for name, entry in known.items() if entry.free)
        tops = tuple({cls.variable(entry.path.partition("/")[0]) + "_" for entry in known.values()})
        sentences = []
        for name in sorted(environ):
            upper = name.upper()
            if not upper.startswith(f"{cls.environment}_") or name in known or name.startswith(free):
                continue
            near = difflib.get_close_matches(upper, known, 1, _CLOSE_VARIABLE)
            if near or upper.startswith(tops):
                hint = f"; did you mean {near[0]}?" if near else ""
                sentences.append(f"the environment variable {zpl.shown(name)} is not known and has no effect{hint}")
        return sentences

    @classmethod
    def table(cls) -> str:
        """Return all settings as a table in Markdown."""
        lines = [
            f"In `{cls.file}`, or as `{cls.environment}_…` in the environment:",
            "",
            "| setting | value | default | meaning |",
            "| --- | --- | --- | --- |",
            *(entry.row() for entry in cls.entries().values()),
        ]
        return "".join(f"{line}\n" for line in lines)

    def conflicts(self) -> list[str]:
        """Return a sentence for each combination of values with which the program does not start."""
        return []

    def doubts(self) -> list[str]:
        """Return a sentence for each setting that has no effect because of another one."""
        return []

    def absent(self, folder: Path) -> list[str]:
        """Return a sentence for each file or folder that the settings need and that is not there.

        Relative paths start from ``folder``, the working directory of the program.
        """
        return []

    @classmethod
    def _given(cls, entry: Entry, tree: zpl.Item, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield each value of a setting behind what an error begins with."""
        variable = cls.variable(entry.path)
        if variable in environ:
            yield variable, environ[variable]
            return
        for item in _places(entry, tree):
            yield f"{item.where}: {entry.path}", item.value or ""

    @classmethod
    def _section(cls, path: str, item: zpl.Item | None, environ: Mapping[str, str]) -> Section:
        """Return what stands below an item, and what the environment adds to it.

        Of a name that is given again, the first counts. A variable that belongs to no name of the file adds one, in
        lower case.
        """
        values: dict[str, str | Section] = {}
        beginning = f"{cls.variable(path)}_"
        added = {name for name in environ if name.startswith(beginning) and name != beginning}
        for child in item.children if item is not None else ():
            below = f"{path}/{child.name}"
            if child.name in values or "/" in child.name:
                continue
            variable = cls.variable(below)
            if child.children:
                values[child.name] = cls._section(below, child, environ)
                added = {name for name in added if not name.startswith(f"{variable}_")}
            else:
                values[child.name] = environ.get(variable, child.value or "")
                added.discard(variable)
        for name in sorted(added):
            values.setdefault(name.removeprefix(beginning).lower(), environ[name])
        return tuple(values.items())


def _places(entry: Entry, tree: zpl.Item) -> list[zpl.Item]:
    if not entry.repeated:
        found = tree.find(entry.path)
        return [] if found is None else [found]
    top, *names = entry.path.split("/")
    items = list(tree.all(top))[:1]
    for name in names:
        items = [child for item in items for child in item.all(name)]
    return items


def _read(entry: Entry, given: list[tuple[str, str]]) -> object:
    if not given:
        return entry.default_value()
    values = [_parsed(entry, what, text) for what, text in given]
    return tuple(values) if entry.repeated else values[0]


def _parsed(entry: Entry, what: str, text: str) -> object:
    try:
        return entry.value(text)
    except PatternError as error:
        raise ConfigurationError(f"{what} must be {entry.kind.expected}: {error}") from None
    except ValueError:
        found = "" if entry.secret else f", found {zpl.shown(text)}"
        raise ConfigurationError(f"{what} must be {entry.kind.expected}{found}") from None


class _Names:
    """The paths that mean something in a file."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._values: set[str] = set()
        self._sections: set[str] = set()
        self._repeated: set[str] = set()
        self._free: set[str] = set()
        for entry in entries:
            if entry.free:
                self._free.add(entry.path)
                self._sections.add(entry.path)
            else:
                self._values.add(entry.path)
            above = list(accumulate(entry.path.split("/"), "{}/{}".format))[:-1]
            self._sections.update(above)
            if entry.repeated:
                self._repeated.update([*above[1:], entry.path])

    def oddities(self, item: zpl.Item, above: str = "", is_free: bool = False) -> Iterator[str]:
        """Yield a sentence for each line below an item that has no effect; in a free section all names have one."""
        first: dict[str, zpl.Item] = {}
        for child in item.children:
            path = above + child.name
            before = first.setdefault(child.name, child)
            if "/" in child.name:
                yield f"{child.where}: the name {zpl.shown(child.name)} has no effect: write sections instead of the /"
            elif not is_free and path not in self._values | self._sections:
                yield f"{child.where}: {zpl.shown(path)} is not known and has no effect{self._hint(path)}"
            elif before is not child and path not in self._repeated:
                yield f"{child.where}: {path} is given again and has no effect: line {before.line} counts"
            else:
                is_section = bool(child.children) if is_free else path not in self._values
                if child.value and is_section:
                    yield f"{child.where}: {path} is a section, its value has no effect"
                yield from self.oddities(child, f"{path}/", is_free or path in self._free)

    def _hint(self, path: str) -> str:
        """Return what to say of the name beside it that looks most like it, else of the same name elsewhere."""
        above, slash, name = path.rpartition("/")
        known = sorted(self._values | self._sections)
        beside = [other.rpartition("/")[2] for other in known if other.rpartition("/")[0] == above]
        near = [above + slash + other for other in difflib.get_close_matches(name, beside, 1, _CLOSE_ENOUGH)]
        found = near or [other for other in known if other.rpartition("/")[2] == name]
        return f"; did you mean {found[0]}?" if found else ""

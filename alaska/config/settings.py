"""The base class of the settings: gets values from file and environment, checks and documents them.

A settings class is a frozen dataclass derived from :class:`Settings`; its attributes are declared with
:func:`alaska.config.entries.setting`. The declarations also give the content of a new file, the known names and the
tables in docs/settings.md.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import ClassVar, TypeVar

from alaska.config import zpl
from alaska.config.entries import Entry, entry_of
from alaska.config.free_sections import items_in_force
from alaska.config.free_sections import values as section_values
from alaska.config.kinds import Fault
from alaska.config.known_paths import KnownPaths
from alaska.errors import ConfigurationError, PatternError, ScheduleError

S = TypeVar("S", bound="Settings")

_MIN_SIMILARITY = 0.8
_OF_ALAS = frozenset({"ALASKA_ENDPOINT", "ALASKA_USERNAME", "ALASKA_PASSWORD"})
"""Variables that are no settings, but similar to some."""
_HEADER, _RULE = "| setting | value | default | reload | meaning |", "| --- | --- | --- | --- | --- |"


class Settings:
    """The settings of a program.

    ``program`` is its title in docs/settings.md, ``file`` the default name of its settings file, ``environment`` the
    prefix of its environment variables. ``subjects`` are the headings of docs/settings.md, each with the settings or
    sections that are listed below it.
    """

    __slots__ = ()

    program: ClassVar[str]
    file: ClassVar[str]
    environment: ClassVar[str]
    subjects: ClassVar[Mapping[str, tuple[str, ...]]]

    @classmethod
    def entries(cls) -> dict[str, Entry]:
        """Return the declarations by attribute name, in the order of a new file."""
        assert dataclasses.is_dataclass(cls)
        return {field.name: entry_of(field) for field in dataclasses.fields(cls)}

    @classmethod
    def variable(cls, path: str) -> str:
        """Return the name of the environment variable of a setting."""
        return f"{cls.environment}_{path}".translate({ord("/"): "_", ord("-"): "_"}).upper()

    @classmethod
    def from_tree(cls: type[S], tree: zpl.Item, environ: Mapping[str, str] | None = None) -> S:
        """Return the settings of a tree; values in the environment override it.

        :raises ConfigurationError: values are not valid. The message has one line for each of them, with file and line
            or the environment variable, and the expected value. If all values are valid, but some cannot be combined,
            it has one line for each of :meth:`conflicts`.
        """
        settings, errors, _ = cls.readable(tree, environ or {})
        if errors := errors or settings.conflicts():
            raise ConfigurationError("\n".join(errors))
        return settings

    @classmethod
    def readable(cls: type[S], tree: zpl.Item, environ: Mapping[str, str]) -> tuple[S, list[str], set[str]]:
        """Return the settings of a tree with defaults for the values that are not valid.

        Also return one line for each value that is not valid, as in :meth:`from_tree`, and the paths of these settings.
        """
        values: dict[str, object] = {}
        errors: list[str] = []
        invalid: set[str] = set()
        for name, entry in cls.entries().items():
            try:
                if entry.read_tree is not None:
                    values[name] = entry.read_tree(tree)
                elif entry.free:
                    items = items_in_force(entry.path, tree.find(entry.path), environ, cls.variable)
                    values[name] = section_values(items)
                elif entry.beside is not None:
                    values[name] = cls._values_beside(entry, tree, environ)
                else:
                    values[name] = _read(entry, list(cls._given_values(entry, tree, environ)))
            except ConfigurationError as error:
                errors += str(error).split("\n")
                invalid.add(entry.path)
        return cls(**values), errors, invalid

    def differing(self, other: Settings) -> list[str]:
        """Return the paths of the settings whose values differ from those in other settings of the same program."""
        return [entry.path for name, entry in self.entries().items() if getattr(self, name) != getattr(other, name)]

    def changes(self, new: Settings) -> list[str]:
        """Return a sentence for each setting that has another value in newer settings of the same program."""
        sentences = []
        for name, entry in self.entries().items():
            old_value, new_value = getattr(self, name), getattr(new, name)
            if old_value == new_value:
                continue
            if entry.secret or entry.free or entry.read_tree is not None:
                sentences.append(f"{entry.path} has changed")
            else:
                sentences.append(f"{entry.path} is now {entry.shown(new_value)}; it was {entry.shown(old_value)}")
        return sentences

    @classmethod
    def default_tree(cls, source: str) -> zpl.Item:
        """Return the tree of a new file, which is written if the file is missing."""
        tree = zpl.Item(zpl.ROOT, source=source)
        for entry in cls.entries().values():
            if entry.created is not None:
                tree = tree.put(entry.path, entry.created)
        return tree

    @classmethod
    def file_warnings(cls, tree: zpl.Item) -> list[str]:
        """Return a sentence for each line of a file that has no effect, such as an unknown or repeated name.

        For an unknown name, the sentence suggests the most similar known name, if there is one. There is an end to
        them at :data:`alaska.config.zpl.MAX_FAULTS`.
        """
        found = list(islice(KnownPaths(cls.entries().values()).warnings(tree), zpl.MAX_FAULTS + 1))
        if len(found) > zpl.MAX_FAULTS:
            found[-1] = f"{tree.source}: further lines have no effect; they are not listed"
        return found

    @classmethod
    def environment_warnings(cls, environ: Mapping[str, str]) -> list[str]:
        """Return a sentence for each environment variable that looks like a setting but is unknown."""
        known = {cls.variable(entry.path): entry for entry in cls.entries().values() if entry.read_tree is None}
        free = tuple(f"{name}_" for name, entry in known.items() if entry.free)
        tops = tuple({cls.variable(entry.path.partition("/")[0]) + "_" for entry in known.values()})
        sentences = []
        for name in sorted(environ):
            upper = name.upper()
            if (
                not upper.startswith(f"{cls.environment}_")
                or name in known
                or name in _OF_ALAS
                or name.startswith(free)
            ):
                continue
            similar = difflib.get_close_matches(upper, known, 1, _MIN_SIMILARITY)
            if similar or upper.startswith(tops):
                hint = f"; did you mean {similar[0]}?" if similar else ""
                sentences.append(f"the environment variable {zpl.shown(name)} is not known and has no effect{hint}")
        return sentences

    @classmethod
    def table(cls) -> str:
        """Return all settings as Markdown, with one table for each subject."""
        entries = list(cls.entries().values())
        example = entries[0].path
        lines = [
            f"## {cls.program}: `{cls.file}`",
            "",
            f"An environment variable overrides the file: `{example}` is `{cls.variable(example)}`.",
        ]
        for subject, paths in cls.subjects.items():
            rows = [entry.row() for path in paths for entry in entries if f"{entry.path}/".startswith(f"{path}/")]
            lines += ["", f"### {subject}", "", _HEADER, _RULE]
            lines += rows
        return "".join(f"{line}\n" for line in lines)

    def conflicts(self) -> list[str]:
        """Return a sentence for each combination of values that prevents the program from starting."""
        return []

    def warnings(self) -> list[str]:
        """Return a sentence for each setting that has no effect, or an unwanted one, because of another setting."""
        return []

    def created_files(self) -> dict[str, Path | None]:
        """Return the files that the program creates, by the paths of their settings."""
        return {}

    def misplaced_files(self, folder: Path) -> list[str]:
        """Return a sentence for each file that cannot be created, since it is a folder or its folder is missing.

        Relative paths are relative to ``folder``. Whether the program may write there is not checked: it can have
        another user than whoever checks.
        """
        problems = []
        for setting, file in self.created_files().items():
            path = None if file is None else folder / file
            if path is not None and path.is_dir():
                problems.append(f"{setting}: {path} is a folder; a file was expected")
            elif path is not None and not path.parent.is_dir():
                problems.append(f"{setting}: there is no folder {path.parent}")
        return problems

    def missing_files(self, folder: Path) -> list[str]:
        """Return a sentence for each required file or folder that is missing.

        Relative paths are relative to ``folder``, the working directory of the program.
        """
        return []

    @classmethod
    def _given_values(cls, entry: Entry, tree: zpl.Item, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yield each given value of a setting, preceded by its origin as errors name it."""
        variable = cls.variable(entry.path)
        if variable in environ:
            yield variable, environ[variable]
            return
        for item in items_of(entry, tree):
            yield f"{item.where}: {entry.path}", item.value or ""

    @classmethod
    def _values_beside(cls, entry: Entry, tree: zpl.Item, environ: Mapping[str, str]) -> tuple[object, ...]:
        """Return the value, or None, for each setting that the entry is beside of; none if there is only None.

        A value of the environment is for all. If the environment replaces the other setting, each value counts once.
        """
        variable = cls.variable(entry.path)
        if variable in environ:
            return (_parsed(entry, variable, environ[variable]),)
        above, _, name = entry.path.rpartition("/")
        sections = _repeated_items(above, tree)
        counts = [len(list(section.all(str(entry.beside)))) for section in sections]
        if not any(counts):
            # The other setting has its default, as if it were given in the first section.
            counts = [1]
        values: list[object] = []
        for section, count in zip(sections, counts, strict=False):
            item = next(section.all(name), None)
            value = None if item is None else _parsed(entry, f"{item.where}: {entry.path}", item.value or "")
            values += [value] * count
        if cls.variable(f"{above}/{entry.beside}") in environ:
            values = list(dict.fromkeys(values))
        return () if set(values) == {None} else tuple(values)


def items_of(entry: Entry, tree: zpl.Item) -> list[zpl.Item]:
    """Return the items of a tree that give values of a setting."""
    if not entry.repeated:
        found = tree.find(entry.path)
        return [] if found is None else [found]
    return _repeated_items(entry.path, tree)


def _repeated_items(path: str, tree: zpl.Item) -> list[zpl.Item]:
    """Return all items at a path below the first top-level section."""
    top, *names = path.split("/")
    items = list(tree.all(top))[:1]
    for name in names:
        items = [child for item in items for child in item.all(name)]
    return items


def _read(entry: Entry, given: list[tuple[str, str]]) -> object:
    if not given:
        return entry.default_value()
    values: list[object] = []
    errors: list[str] = []
    for origin, text in given:
        try:
            values.append(_parsed(entry, origin, text))
        except ConfigurationError as error:
            errors.append(str(error))
    if errors:
        raise ConfigurationError("\n".join(errors))
    return tuple(values) if entry.repeated else values[0]


def _parsed(entry: Entry, origin: str, text: str) -> object:
    try:
        return entry.value(text)
    except (PatternError, ScheduleError) as error:
        raise ConfigurationError(f"{origin} must be {entry.kind.expected}: {error}") from None
    except Fault as fault:
        raise ConfigurationError(f"{origin}: {fault}") from None
    except ValueError:
        found = "" if entry.secret else f", found {zpl.shown(text)}"
        raise ConfigurationError(f"{origin} must be {entry.kind.expected}{found}") from None

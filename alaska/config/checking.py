"""Check a settings file without using it: find all its faults, not only the first, and their lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from alaska.config import zpl
from alaska.config.settings import Settings
from alaska.errors import ConfigurationError

S = TypeVar("S", bound=Settings)

NEW_FILE: Final = "default of a new file"
"""The origin of the values of a file that is missing."""


@dataclass(frozen=True, slots=True)
class Checked(Generic[S]):
    """A settings file that was checked.

    ``tree`` is its content, or that of a new file if it is ``missing``. ``settings`` has the defaults in place of
    values that are not valid. ``faults`` has a sentence for each fault, with file and line, in the order of the lines.
    ``warnings`` has a sentence for each setting that has no effect, or an unwanted one.
    """

    tree: zpl.Item
    missing: bool
    settings: S
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def check(
    cls: type[S], path: str, environ: Mapping[str, str], is_required: bool, problems_of: Callable[[S], list[str]]
) -> Checked[S]:
    """Check a settings file with the environment that overrides it; nothing is created or changed.

    A line without effect, such as an unknown name, is a fault. A missing file is one if it ``is_required``.
    ``problems_of`` returns sentences about settings that cannot be used on this system; each names its settings.
    """
    tree, missing = zpl.Item(zpl.ROOT, source=path), False
    faults: list[str] = []
    unread = ""
    try:
        tree, faults = zpl.parse(zpl.read(path), path)
    except FileNotFoundError:
        missing = True
        tree = replace(cls.default_tree(NEW_FILE), source=path)
        if is_required:
            unread = f"there is no configuration file {zpl.shown(path)}"
    except ConfigurationError as error:
        unread = str(error)
    settings, errors, invalid = cls.readable(tree, environ)
    if unread:
        # What else the defaults would lack does not matter.
        return Checked(tree, missing, settings, (unread,), ())

    def certain(found: list[str]) -> Iterator[str]:
        """Yield the located sentences; a default in place of an invalid value must not be reported."""
        sure = [each for each in found if not invalid.intersection(_paths(cls, each))]
        return _located(cls, tree, environ, sure)

    faults += [*cls.file_warnings(tree), *errors, *certain([*settings.conflicts(), *problems_of(settings)])]
    warnings = [*cls.environment_warnings(environ), *certain(settings.warnings())]
    return Checked(tree, missing, settings, tuple(sorted(faults, key=_line)), tuple(warnings))


def _located(cls: type[Settings], tree: zpl.Item, environ: Mapping[str, str], sentences: list[str]) -> Iterator[str]:
    """Yield each sentence with the origin of a setting in it in front: file and line, or environment variable.

    It is the first setting or section that is given, or else the section of a setting that is missing, or the file.
    """
    for sentence in sentences:
        yield f"{next(_origins(cls, tree, environ, sentence), tree.source)}: {sentence}"


def _origins(cls: type[Settings], tree: zpl.Item, environ: Mapping[str, str], sentence: str) -> Iterator[str]:
    paths = _paths(cls, sentence)
    for path in paths:
        item = tree.find(path)
        if cls.variable(path) in environ:
            yield cls.variable(path)
        elif item is not None and item.line:
            yield item.where
    # What is missing belongs into its section.
    for above in (path.rpartition("/")[0] for path in paths):
        item = tree.find(above) if "/" in above else None
        if item is not None and item.line:
            yield item.where


def _paths(cls: type[Settings], sentence: str) -> list[str]:
    """Return the paths of settings, and of their sections, in a sentence, in order."""
    settings = {entry.path for entry in cls.entries().values()}
    known = settings | {path.rpartition("/")[0] for path in settings}
    return [word for word in re.findall(r"[a-z_]+(?:/[a-z-]+)+", sentence) if word in known]


def _line(sentence: str) -> int:
    """Return the number of the line in a sentence about a file; 0 if it is about something else."""
    found = re.match(r".*?:([0-9]+): ", sentence)
    return int(found[1]) if found else 0

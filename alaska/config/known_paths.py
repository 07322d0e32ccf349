"""Find the names in a settings file that have no effect, and suggest the name that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate

from alaska.config import zpl
from alaska.config.entries import Entry

_MIN_SIMILARITY = 0.7


class KnownPaths:
    """The paths of settings and sections that a settings file may contain."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._values: set[str] = set()
        self._sections: set[str] = set()
        self._repeated: set[str] = set()
        self._free: set[str] = set()
        self._checked: set[str] = set()
        for entry in entries:
            if entry.read_tree is not None:
                self._checked.add(entry.path)
                self._sections.add(entry.path)
            elif entry.free:
                self._free.add(entry.path)
                self._sections.add(entry.path)
            else:
                self._values.add(entry.path)
            above = list(accumulate(entry.path.split("/"), "{}/{}".format))[:-1]
            self._sections.update(above)
            if entry.repeated and entry.beside is None:
                self._repeated.update([*above[1:], entry.path])

    def warnings(self, item: zpl.Item, above: str = "", is_free: bool = False) -> Iterator[str]:
        """Yield a sentence for each line below an item that has no effect; a free-form section may have any names."""
        for child, path, fault in self._judged(item, above, is_free):
            if fault:
                yield fault
                continue
            if path in self._checked:
                continue
            if child.value and self._is_section(child, path, is_free):
                yield f"{child.where}: {path} is a section, its value has no effect"
            yield from self.warnings(child, f"{path}/", is_free or path in self._free)

    def in_effect(self, item: zpl.Item, above: str = "", is_free: bool = False) -> Iterator[zpl.Item]:
        """Yield the items directly below an item that have an effect, each with such items below it.

        Sections have the value None.
        """
        for child, path, fault in self._judged(item, above, is_free):
            if path in self._checked:
                yield replace(child, value=None)
            elif not fault:
                children = tuple(self.in_effect(child, f"{path}/", is_free or path in self._free))
                value = None if self._is_section(child, path, is_free) else child.value or ""
                yield replace(child, value=value, children=children)

    def _judged(self, item: zpl.Item, above: str, is_free: bool) -> Iterator[tuple[zpl.Item, str, str]]:
        """Yield each item below an item with its path, and the reason if it has no effect."""
        first: dict[str, zpl.Item] = {}
        for child in item.children:
            if child.name == zpl.UNREADABLE:
                continue
            path = above + child.name
            before = first.setdefault(child.name, child)
            fault = ""
            if path in self._checked:
                pass  # Whoever reads it checks it.
            elif "/" in child.name:
                fault = f"the name {zpl.shown(child.name)} has no effect: write sections instead of the /"
            elif not is_free and path not in self._values | self._sections:
                fault = f"{zpl.shown(path)} is not known and has no effect{self._hint(path)}"
            elif before is not child and path not in self._repeated:
                fault = f"{path} is given again and has no effect: line {before.line} counts"
            yield child, path, f"{child.where}: {fault}" if fault else ""

    def _is_section(self, item: zpl.Item, path: str, is_free: bool) -> bool:
        return bool(item.children) if is_free else path not in self._values

    def _hint(self, path: str) -> str:
        """Suggest the most similar name in the same section, or else the same name in another section."""
        above, slash, name = path.rpartition("/")
        known = sorted(self._values | self._sections)
        siblings = [other.rpartition("/")[2] for other in known if other.rpartition("/")[0] == above]
        similar = [above + slash + other for other in difflib.get_close_matches(name, siblings, 1, _MIN_SIMILARITY)]
        found = similar or [other for other in known if other.rpartition("/")[2] == name]
        return f"; did you mean {found[0]}?" if found else ""

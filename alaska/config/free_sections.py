"""Free-form sections: their items in the file, and the environment that overrides and adds some."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from alaska.config import zpl
from alaska.config.entries import Section


def items_in_force(
    path: str, item: zpl.Item | None, environ: Mapping[str, str], variable: Callable[[str], str]
) -> tuple[zpl.Item, ...]:
    """Return the items in force of a free-form section; a section among them has the value None.

    The first of several equal names counts. An environment variable that matches no name of the file adds a name, in
    lower case. ``variable`` returns the environment variable of a path; it is the source of the items that it gives.
    """
    found: dict[str, zpl.Item] = {}
    prefix = f"{variable(path)}_"
    added = {name for name in environ if name.startswith(prefix) and name != prefix}
    for child in item.children if item is not None else ():
        if child.name in found or "/" in child.name or child.name == zpl.UNREADABLE:
            continue
        below = f"{path}/{child.name}"
        name = variable(below)
        if child.children:
            children = items_in_force(below, child, environ, variable)
            found[child.name] = replace(child, value=None, children=children)
            added = {each for each in added if not each.startswith(f"{name}_")}
        elif name in environ:
            found[child.name] = zpl.Item(child.name, environ[name], source=name)
            added.discard(name)
        else:
            found[child.name] = replace(child, value=child.value or "")
    for name in sorted(added):
        lower = name.removeprefix(prefix).lower()
        found.setdefault(lower, zpl.Item(lower, environ[name], source=name))
    return tuple(found.values())


def values(items: Iterable[zpl.Item]) -> Section:
    """Return the names of items with their values and sections."""
    return tuple((item.name, values(item.children) if item.value is None else item.value) for item in items)

"""Pages of scripts, sorted as they are asked for: of one worker, or of all workers together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from alaska.admin.pages import Key, Work, page_of
from alaska.admin.requests import Query, ScriptQuery
from alaska.admin.snapshots import Page, Script

_NUMBERS: Mapping[str, Callable[[Script], float]] = {
    "calls": lambda script: script.calls,
    "errors": lambda script: sum(script.errors.values()),
    "mean": lambda script: script.seconds / script.calls if script.calls else 0,
    "memory": lambda script: script.memory,
    "seconds": lambda script: script.seconds,
}
"""What is sorted by, the largest first; as a whole number of millionths in keys."""


def page_of_scripts(scripts: Mapping[bytes, Script], query: ScriptQuery) -> Work[Page[Script]]:
    """Return a page of scripts, which are given by their names."""
    page = Query(after=query.after, limit=query.limit)
    number = _NUMBERS.get(query.sort)
    if number is None:
        keys: list[Key] = [(name,) for name in scripts]
        return (yield from page_of(keys, page, (bytes,), lambda key: scripts[key[-1]]))
    keys = [(-round(number(script) * 1e6), name) for name, script in scripts.items()]
    return (yield from page_of(keys, page, (int, bytes), lambda key: scripts[key[-1]]))

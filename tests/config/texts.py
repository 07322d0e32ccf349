"""Helpers for tests: settings from a text, and a text with one setting."""

from __future__ import annotations

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.zpl import loads


def worker(text: str, environ: dict[str, str] | None = None) -> WorkerSettings:
    """Return the settings of a worker from the text of its file."""
    return WorkerSettings.from_tree(loads(text, "alaska.cfg"), environ)


def broker(text: str, environ: dict[str, str] | None = None) -> BrokerSettings:
    """Return the settings of a broker from the text of its file."""
    return BrokerSettings.from_tree(loads(text, "malamute.cfg"), environ)


def one(path: str, value: str) -> str:
    """Return a text with one setting; the number of its line is the number of names in its path."""
    *sections, name = path.split("/")
    lines = [f"{' ' * 4 * level}{section}" for level, section in enumerate(sections)]
    return "\n".join([*lines, f"{' ' * 4 * len(sections)}{name} = '{value}'"])

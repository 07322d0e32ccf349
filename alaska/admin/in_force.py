"""The settings in force of a running program, for administrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alaska.admin.snapshots import Configuration
from alaska.config.settings import Settings
from alaska.daemon.reload import ConfigurationFile
from alaska.names import printable


def in_force_of(file: ConfigurationFile[Any]) -> Callable[[], Configuration]:
    """Return a function that returns the settings in force of a program with this configuration file.

    They are those with which it runs: a setting that needs a restart is shown as it was at the start.
    """
    return lambda: Configuration(file=printable(str(file.path)), text=text_of(file.settings))


def text_of(settings: Settings) -> str:
    """Return a line for each setting; what may be secret is not shown, so of a free-form section only that it is."""
    lines = []
    for name, entry in settings.entries().items():
        value = getattr(settings, name)
        if entry.secret or entry.free or entry.read_tree is not None:
            lines.append(f"{entry.path} is {'given, and not shown' if value else 'not given'}")
        else:
            lines.append(f"{entry.path} = {entry.shown(value)}")
    return "".join(f"{line}\n" for line in lines)

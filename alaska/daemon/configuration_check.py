"""Check the configuration files again while a program runs (SIGHUP), without applying them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from alaska.config import Loaded
from alaska.config.settings import Settings
from alaska.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """A configuration file that a program has read: its loader, and the settings in force."""

    path: Path
    load: Callable[[str], Loaded[Any]]
    settings: Settings

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], load: Callable[[str], Loaded[Any]], loaded: Loaded[Any]
    ) -> ConfigurationFile:
        """Make the path absolute, because a daemon changes its working directory."""
        return cls(Path(path).absolute(), load, loaded.settings)


class ConfigurationCheck:
    """Reads the configuration files again when it is called, and logs which settings a restart would change."""

    _log = Logger()

    def __init__(self, files: Sequence[ConfigurationFile]) -> None:
        self._files = files

    def __call__(self) -> None:
        """Check all files and log the result; the settings in force do not change."""
        for file in self._files:
            try:
                # The loader would create a missing file.
                loaded = file.load(str(file.path)) if file.path.exists() else None
            except ConfigurationError as error:
                self._log.error("the configuration is left as it is: {error}", error=error)
                continue
            if loaded is None:
                self._log.error("the configuration is left as it is: there is no file {path}", path=file.path)
                continue
            for warning in loaded.warnings:
                self._log.warn("{sentence}", sentence=warning)
            changed = file.settings.differing(loaded.settings)
            if changed:
                self._log.info("{path}: a restart is needed for {changed}", path=file.path, changed=", ".join(changed))
            else:
                self._log.info("{path}: nothing has changed", path=file.path)

"""Load a settings file, create a missing one with the defaults, and collect warnings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from alaska.config import zpl
from alaska.config.broker import BrokerSettings
from alaska.config.settings import Settings
from alaska.config.worker import WorkerSettings

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings with warnings for the log.

    ``created`` is whether the file was missing and has been created; each of ``warnings`` is a sentence.
    """

    settings: S
    created: bool
    warnings: tuple[str, ...]


def load_worker(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Loaded[WorkerSettings]:
    """Return the settings of the worker; a missing file is created with the defaults.

    If it cannot be created, the defaults apply, and a warning says so.

    :raises ConfigurationError: the file cannot be read, or :meth:`Settings.from_tree` refuses a value.
    """
    return _load(WorkerSettings, path, environ)


def load_broker(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Loaded[BrokerSettings]:
    """Return the settings of the broker; the rest is as in :func:`load_worker`."""
    return _load(BrokerSettings, path, environ)


def settings_table() -> str:
    """Return the settings of both programs as Markdown, for docs/settings.md."""
    return "\n".join(cls.table() for cls in (WorkerSettings, BrokerSettings))


def _load(cls: type[S], path: str | os.PathLike[str], environ: Mapping[str, str]) -> Loaded[S]:
    warnings: list[str] = []
    created = False
    try:
        tree = zpl.load(path)
    except FileNotFoundError:
        tree = cls.default_tree(os.fspath(path))
        try:
            with Path(path).open("x", encoding="utf-8") as file:
                file.write(zpl.dumps(tree))
            created = True
        except OSError as error:
            warnings.append(f"{tree.source} is missing and cannot be created: {error.strerror}")
    settings = cls.from_tree(tree, environ)
    warnings += [*cls.file_warnings(tree), *cls.environment_warnings(environ), *settings.warnings()]
    return Loaded(settings, created, tuple(warnings))

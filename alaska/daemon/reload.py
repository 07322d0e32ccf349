"""Reading the configuration again while a program runs: at SIGHUP, or when an administrator asks for it.

All or nothing: first all files are read and checked, then all parts of the program prepare, and only if none of them
has an objection do all of them apply what they have prepared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from alaska.config import Loaded
from alaska.config.settings import Settings
from alaska.errors import AlaskaError, ConfigurationError

S = TypeVar("S", bound=Settings)

INTERVAL_SECONDS = 1.0
"""The minimum time between two reloads that are requested by :meth:`Reload.soon`."""
MOST_SENTENCES = 100
"""The maximum number of sentences of one part that are logged."""


class Change(NamedTuple):
    """What a part has prepared: ``apply`` makes it take effect, and should not fail.

    ``sentences`` are logged when it is applied, in addition to the settings that have changed: for example which users
    were added.
    """

    apply: Callable[[], None]
    sentences: tuple[str, ...] = ()


Prepare: TypeAlias = "Callable[[S], Change | None]"


class ConfigurationFile(Generic[S]):
    """A configuration file that a program has read: its loader, the settings in force, and the parts that use them."""

    def __init__(self, path: str | os.PathLike[str], load: Callable[[str], Loaded[S]], loaded: Loaded[S]) -> None:
        # A daemon changes its working directory.
        self.path = Path(path).absolute()
        self.settings = loaded.settings
        """The settings in force: those of the last reload, but at startup for those that need a restart."""
        self._load = load
        self._parts: list[Prepare[S]] = []
        self._applied: set[str] = set()

    def add(self, names: Iterable[str], prepare: Prepare[S]) -> None:
        """Add a part that applies the settings with these attribute names, which must be declared as ``live``.

        ``prepare(settings)`` is called at each reload, even if no setting has changed, since files that the settings
        name may have changed. It reads and checks what the part needs, changes nothing, and returns the
        :class:`Change`, or None if there is nothing to do. If it raises an :exc:`AlaskaError`, nothing is reloaded.
        """
        self._parts.append(prepare)
        self._applied.update(names)

    @property
    def applied(self) -> frozenset[str]:
        """The attribute names of the settings that take effect without a restart."""
        return frozenset(self._applied)

    def prepare(self) -> Reading[S]:
        """Read the file again, and prepare all parts.

        :raises AlaskaError: the file, or what it names, cannot be used.
        """
        # The loader would create a missing file.
        if not self.path.exists():
            raise ConfigurationError(f"there is no file {self.path}")
        loaded = self._load(str(self.path))
        given, old = loaded.settings, self.settings
        settings = replace(old, **{name: getattr(given, name) for name in self._applied})  # type: ignore[type-var]
        faults = given.missing_files(Path.cwd()) or settings.conflicts()
        if faults:
            raise ConfigurationError("\n".join(faults))
        changes = [change for change in (prepare(settings) for prepare in self._parts) if change is not None]
        return Reading(self, settings, old.changes(settings), settings.differing(given), changes, loaded.warnings)


@dataclass(frozen=True, slots=True)
class Reading(Generic[S]):
    """One file that was read again and can be applied; ``changed`` are sentences, ``restart`` paths of settings."""

    file: ConfigurationFile[S]
    settings: S
    changed: list[str]
    restart: list[str]
    changes: list[Change]
    warnings: tuple[str, ...]

    def apply(self, log: Logger) -> list[str]:
        """Apply all changes; return the sentences about them. A part that fails does not keep the others from it."""
        sentences = list(self.changed)
        for change in self.changes:
            try:
                change.apply()
            except Exception:  # The others have to be applied, or the program would use half of two configurations.
                log.failure("a part of the configuration could not be applied; restart the program")
                continue
            sentences += change.sentences[:MOST_SENTENCES]
        self.file.settings = self.settings
        return sentences


class Reloaded(NamedTuple):
    """The result of a reload, as sentences and paths of settings. If there are ``errors``, nothing was applied."""

    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def _nothing() -> None:
    pass


class Reload:
    """Reloads the configuration files of a program, and logs the result.

    ``began`` and ``ended`` are called before and after each reload.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime, files: Sequence[ConfigurationFile[Any]] = ()) -> None:
        self._reactor = reactor
        self.files = files
        self._due: IDelayedCall | None = None
        self._earliest = 0.0
        self.began: Callable[[], None] = _nothing
        self.ended: Callable[[], None] = _nothing

    def soon(self) -> None:
        """Reload in a later turn of the reactor; the requests of ``INTERVAL_SECONDS`` are served by one reload."""
        if self._due is None:
            wait = max(0.0, self._earliest - self._reactor.seconds())
            self._due = self._reactor.callLater(wait, self._reload_as_requested)

    def _reload_as_requested(self) -> None:
        # Cleared first: a request during the reload is about files that may have been read already.
        self._due = None
        self.now()

    def now(self) -> Reloaded:
        """Read all files again and apply them; if one of them cannot be used, change nothing."""
        self._earliest = self._reactor.seconds() + INTERVAL_SECONDS
        self.began()
        try:
            return self._reload()
        finally:
            self.ended()

    def _reload(self) -> Reloaded:
        try:
            readings = [file.prepare() for file in self.files]
        except AlaskaError as error:
            errors = tuple(str(error).split("\n"))
        except Exception as error:  # A reload must never end the program, nor leave it half configured.
            self._log.failure("the configuration could not be read again")
            errors = (repr(error),)
        else:
            return self._apply(readings)
        for sentence in errors:
            self._log.error("the configuration is left as it is: {sentence}", sentence=sentence)
        return Reloaded(errors=errors)

    def _apply(self, readings: list[Reading[Any]]) -> Reloaded:
        changed: list[str] = []
        restart: list[str] = []
        for reading in readings:
            path = reading.file.path
            for warning in reading.warnings:
                self._log.warn("{sentence}", sentence=warning)
            sentences = reading.apply(self._log)
            for sentence in sentences:
                self._log.info("{path}: {sentence}", path=path, sentence=sentence)
            if reading.restart:
                self._log.warn("{path}: a restart is needed for {names}", path=path, names=", ".join(reading.restart))
            elif not sentences:
                self._log.info("{path}: nothing has changed", path=path)
            changed += sentences
            restart += reading.restart
        return Reloaded(tuple(changed), tuple(restart))

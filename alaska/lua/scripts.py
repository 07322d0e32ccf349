"""Finds the script for a request's subject.

A subject comes from the network, so it is treated as a name, never as a path. It names ``<scripts
directory>/<subject>.lua``, which must be a regular file inside the scripts directory after links are resolved.
Subdirectories cannot be named.

A file that is still being written must not run. So a file that changed just now is read only when it has not changed
for a moment.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from alaska.errors import ScriptNotFound, ScriptUnreadable
from alaska.lua.files import SUFFIX, InvalidFile, Version, read_file, version_at
from alaska.lua.header import Header, read_header

SETTLE_SECONDS = 0.1
"""Time without changes, in seconds, after which a file counts as complete, if it is not known to be open for writing.
"""
OPEN_SECONDS = 1.0
"""The same, in seconds, if a process has the file open for writing: it may be an editor that never closes it."""
CHECKED_SECONDS = 0.02
"""How long the result of a check of the file is valid for requests that were delivered before it, in seconds."""
MAX_WAIT_SECONDS = 2.0
"""Maximum wait, in seconds, for a file that changes constantly or is missing although it was served before."""
BROKEN_SECONDS = 1.0
"""Age, in seconds, from which on a version that does not compile counts as complete."""
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Script:
    """A script: ``name`` is the subject that it serves, ``source`` its content at ``version``, with its ``header``."""

    name: bytes
    path: Path
    source: bytes
    version: Version
    header: Header = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "header", read_header(self.source))


class Scripts:
    """The scripts of a directory, which may itself be a symbolic link.

    :meth:`find` is thread-safe. A script is read again when its file has changed, so an edit takes effect with the next
    request.
    """

    def __init__(
        self,
        directory: Path,
        settle: float = SETTLE_SECONDS,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory = directory
        self._settle = settle
        self._now = now
        self._sleep = sleep
        self._monotonic = monotonic
        # Subject -> path as text, which is faster for stat; script; time of the last check.
        self._cache: dict[bytes, tuple[str, Script, float]] = {}

    def find(self, subject: bytes, since: float = math.inf) -> Script:
        """Return the script for a subject. Costs one ``stat`` if the file is unchanged.

        Not even that if the file was checked a moment ago and after ``since``, in seconds of the monotonic clock: of
        requests that were delivered together, only the first checks the file.

        :raises ScriptNotFound: the subject is not a plain name, or not the name of a readable regular file inside the
            directory; the text is a sentence with the subject.
        :raises ScriptUnreadable: the file exists but cannot be read at present.
        """
        script = self.unchanged(subject, since)
        if script is not None:
            return script
        known = self._cache.pop(subject, None)
        _check_name(subject)
        now = self._monotonic()
        script = self._read_settled(subject, known is not None)
        self._cache[subject] = str(script.path), script, now
        return script

    def unchanged(self, subject: bytes, since: float) -> Script | None:
        """Return the cached script if its file has not changed; else None, without waiting."""
        known = self._cache.get(subject)
        if known is None:
            return None
        path, script, seen = known
        now = self._monotonic()
        if not (seen >= since and now - seen < CHECKED_SECONDS):
            if version_at(path) != script.version:
                return None
            self._cache[subject] = path, script, now
        return script

    def replaced(self, script: Script) -> Script | None:
        """Return the next version of a script that does not compile and may be in the middle of being written, if any.

        Waits until the script is a second old.

        :raises ScriptNotFound: like :meth:`find`.
        """
        for _ in range(round(BROKEN_SECONDS / SETTLE_SECONDS)):
            if abs(self._now() - script.version.changed) >= BROKEN_SECONDS:
                break
            self._sleep(SETTLE_SECONDS)
            newer = self.find(script.name)
            if newer.version != script.version:
                return newer
        return None

    def _read_settled(self, subject: bytes, is_known: bool) -> Script:
        """Return a script when its file has stopped changing.

        A known script may be missing for a moment while it is replaced.
        """
        unreadable: ScriptUnreadable | None = None
        for _ in range(round(MAX_WAIT_SECONDS / SETTLE_SECONDS)):
            try:
                script, is_open_for_writing = self._read(subject)
            except ScriptUnreadable as error:
                unreadable = error
                self._sleep(self._settle)
                continue
            except ScriptNotFound:
                if not is_known:
                    raise
                is_known = False
                self._sleep(self._settle)
                continue
            age = self._now() - script.version.changed
            # The file's time may be far in the future; then its age is unknown.
            needed = max(self._settle, OPEN_SECONDS) if is_open_for_writing else self._settle
            if abs(age) >= needed and len(script.source) == script.version.size:
                return script
            self._sleep(self._settle if is_open_for_writing else max(self._settle - age, self._settle / 10))
        if unreadable is not None:
            raise unreadable
        raise _not_found(subject, "its file changes all the time")

    def _read(self, subject: bytes) -> tuple[Script, bool]:
        """Return the current script, and whether another process has its file open for writing."""
        directory = os.fsencode(self.directory)
        path = os.path.join(directory, subject + SUFFIX)
        try:
            file = read_file(directory, path)
        except InvalidFile as error:
            raise _not_found(subject, str(error)) from None
        except OSError as error:
            raise _not_found(subject, f"{os.fsdecode(path)!r} cannot be read ({error.strerror})") from error
        return Script(subject, Path(os.fsdecode(path)), file.source, file.version), file.is_open_for_writing


def _check_name(subject: bytes) -> None:
    """Refuse a subject that is not a plain file name."""
    try:
        name = subject.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_found(subject, "a script's name is UTF-8 text") from None
    if not name:
        raise _not_found(subject, "a script's name is not empty")
    if name.startswith("."):
        raise _not_found(subject, "a script's name does not begin with a dot")
    if "/" in name or "\\" in name:
        raise _not_found(subject, "a script's name is not a path")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name):
        raise _not_found(subject, "a script's name has no control characters")


def _not_found(subject: bytes, why: str) -> ScriptNotFound:
    shown = subject.decode("utf-8", "backslashreplace")
    if len(shown) > _SHOWN_CHARACTERS:
        shown = shown[:_SHOWN_CHARACTERS] + "…"
    return ScriptNotFound(f"No script serves the subject {shown!r}: {why}.")

"""From a request's subject to the script that serves it.

A subject comes from the network, so it is a name and never a path: it names ``<scripts directory>/<subject>.lua``,
a regular file whose real place is inside the scripts directory. Sub-directories cannot be named.

A file that somebody is writing is not a script yet: one that has only just changed is waited for until it rests.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alaska.errors import ScriptNotFound, ScriptUnreadable
from alaska.lua.files import SUFFIX, Unfit, Version, read_file, version_at

REST_SECONDS = 0.1
"""So long a file must not have changed to count as written, where nobody is known to have it open for writing."""
HELD_SECONDS = 1.0
"""The same where somebody has it open: it may be an editor that never closes it."""
SEEN_SECONDS = 0.02
"""So long what a file was seen to be holds for requests that had come before."""
MOST_SECONDS = 2.0
"""So long a file is waited for that changes all the time, or that is missing though it served before."""
BROKEN_SECONDS = 1.0
"""So old a version must be that does not compile, to count as one that its author has finished."""
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Script:
    """A script as it was read: ``source`` belongs to ``version``, and ``name`` is the subject that it serves."""

    name: bytes
    path: Path
    source: bytes
    version: Version


class Scripts:
    """The scripts of one directory, which may itself be a symbolic link.

    Any thread may call :meth:`find` at any time. A script is read again when its file has changed, so an edit serves
    from the next request on.
    """

    def __init__(
        self,
        directory: Path,
        rest: float = REST_SECONDS,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.directory = directory
        self._rest = rest
        self._now = now
        self._sleep = sleep
        self._monotonic = monotonic
        # With the path as text, since it is faster to ask for, and when the file was last seen to be this one.
        self._found: dict[bytes, tuple[str, Script, float]] = {}

    def find(self, subject: bytes, since: float = math.inf) -> Script:
        """Return the script that a subject names, at the cost of one ``stat`` when it has not changed.

        What the file was a moment ago will do if that was after ``since``, in seconds of the monotonic clock: of
        requests that came together, the first looks for all.

        :raises ScriptNotFound: if the subject is no plain name, or names no readable regular file that really lies
            inside the directory; the text is a sentence that shows the subject.
        :raises ScriptUnreadable: the file is there and cannot be read at present.
        """
        script = self.unchanged(subject, since)
        if script is not None:
            return script
        known = self._found.pop(subject, None)
        _check_name(subject)
        now = self._monotonic()
        script = self._rested(subject, known is not None)
        self._found[subject] = str(script.path), script, now
        return script

    def unchanged(self, subject: bytes, since: float) -> Script | None:
        """Return what :meth:`find` would, if that is known and its file has not changed; else None, and at once."""
        known = self._found.get(subject)
        if known is None:
            return None
        path, script, seen = known
        now = self._monotonic()
        if not (seen >= since and now - seen < SEEN_SECONDS):
            if version_at(path) != script.version:
                return None
            self._found[subject] = path, script, now
        return script

    def replaced(self, script: Script) -> Script | None:
        """Return the version that takes the place of one that does not compile, if its author was just writing it.

        That may take until the script is a second old.

        :raises ScriptNotFound: as of :meth:`find`.
        """
        for _ in range(round(BROKEN_SECONDS / REST_SECONDS)):
            if abs(self._now() - script.version.changed) >= BROKEN_SECONDS:
                break
            self._sleep(REST_SECONDS)
            newer = self.find(script.name)
            if newer.version != script.version:
                return newer
        return None

    def _rested(self, subject: bytes, is_known: bool) -> Script:
        """Return a script once its file rests; one that was known may be missing for a moment, while it is replaced."""
        unreadable: ScriptUnreadable | None = None
        for _ in range(round(MOST_SECONDS / REST_SECONDS)):
            try:
                script, is_held = self._read(subject)
            except ScriptUnreadable as error:
                unreadable = error
                self._sleep(self._rest)
                continue
            except ScriptNotFound:
                if not is_known:
                    raise
                is_known = False
                self._sleep(self._rest)
                continue
            age = self._now() - script.version.changed
            # A clock that is far behind the file's says nothing of its age.
            needed = max(self._rest, HELD_SECONDS) if is_held else self._rest
            if abs(age) >= needed and len(script.source) == script.version.size:
                return script
            self._sleep(self._rest if is_held else max(self._rest - age, self._rest / 10))
        if unreadable is not None:
            raise unreadable
        raise _not_found(subject, "its file changes all the time")

    def _read(self, subject: bytes) -> tuple[Script, bool]:
        """Return a script as it stands there now, and whether somebody has its file open for writing."""
        directory = os.fsencode(self.directory)
        path = os.path.join(directory, subject + SUFFIX)
        try:
            file = read_file(directory, path)
        except Unfit as error:
            raise _not_found(subject, str(error)) from None
        except OSError as error:
            raise _not_found(subject, f"{os.fsdecode(path)!r} cannot be read ({error.strerror})") from error
        return Script(subject, Path(os.fsdecode(path)), file.source, file.version), file.is_held


def _check_name(subject: bytes) -> None:
    """Refuse a subject that is no plain file name."""
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

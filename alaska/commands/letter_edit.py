"""The changed content of a dead letter: from files, or from the editor of the user."""

from __future__ import annotations

import base64
import json
import os
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from alaska.admin.message_snapshots import LetterContent
from alaska.admin.requests import MOST_FRAMES
from alaska.commands import streams
from alaska.errors import OperationFailed
from alaska.links import default_reactor

MOST_OCTETS = 4 * 2**20
"""The maximum size of a changed content."""


async def changed(letter: LetterContent, files: Sequence[str] | None) -> list[bytes]:
    """Return the new content of a dead letter: the frames in these files, or what the user makes of the old one.

    :raises OperationFailed: it is not valid: too large, no JSON where the old one was JSON, or not changed.
    """
    position, old = letter.letter.position, letter.content
    frames = None if old is None else [base64.b64decode(frame) for frame in old]
    if files is not None:
        return _checked(frames, [_read(name) for name in files], "")
    if frames is None:
        raise OperationFailed(f"dead letter {position} is too large to be edited; --content replaces its content")
    if len(frames) > 1:
        raise OperationFailed(f"dead letter {position} has {len(frames)} frames; --content replaces all of them")
    before = frames[0] if frames else b""
    path = _file(position, before)
    try:
        status = await with_editor(path)
        after = path.read_bytes()
    except OSError as error:
        raise OperationFailed(f"the content cannot be edited: {error.strerror}; nothing is resent") from None
    if status:
        raise OperationFailed(f"the editor has ended with status {status}; nothing is resent. The content is in {path}")
    if after == before:
        path.unlink()
        raise OperationFailed("the content was not changed; nothing is resent")
    content = _checked(frames, [after], f"; it is kept in {path}")
    with suppress(OSError):
        path.unlink()
    return content


def _checked(old: list[bytes] | None, new: list[bytes], where: str) -> list[bytes]:
    if len(new) > MOST_FRAMES or sum(map(len, new)) > MOST_OCTETS:
        limits = f"{MOST_OCTETS} octets in {MOST_FRAMES} frames"
        raise OperationFailed(f"the new content has more than {limits}; nothing is resent{where}")
    if old is not None and len(old) == len(new) == 1 and _fault(old[0]) is None:
        fault = _fault(new[0])
        if fault is not None:
            raise OperationFailed(f"the new content is not JSON, as the old one was: {fault}; nothing is resent{where}")
    return new


def _fault(octets: bytes) -> str | None:
    """Return why octets are not JSON, or None if they are."""
    try:
        json.loads(octets)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def _read(name: str) -> bytes:
    try:
        if name == "-":
            return streams.read(MOST_OCTETS + 1)
        with Path(name).open("rb") as file:
            return file.read(MOST_OCTETS + 1)
    except OSError as error:
        raise OperationFailed(f"{name} cannot be read: {error.strerror}; nothing is resent") from None


def _file(position: int, content: bytes) -> Path:
    """Return a new file with a content that only the user can read."""
    descriptor, name = tempfile.mkstemp(prefix=f"letter-{position}-", suffix=".txt")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return Path(name)


def with_editor(path: Path) -> Deferred[int]:
    """Open a file in the editor of the user, ``VISUAL`` or ``EDITOR``, and return its exit status.

    The reactor runs meanwhile, so that the connection to the broker stays.

    :raises OSError: it cannot be started.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    ended: Deferred[int] = Deferred()
    arguments = ["sh", "-c", 'exec "$@"', "sh", *command, str(path)]
    terminal = {0: 0, 1: 1, 2: 2}
    processes = cast("IReactorProcess", default_reactor())
    processes.spawnProcess(_Editor(ended), "/bin/sh", arguments, dict(os.environ), childFDs=terminal)
    return ended


class _Editor(ProcessProtocol):
    def __init__(self, ended: Deferred[int]) -> None:
        self._ended = ended

    def processEnded(self, reason: Failure) -> None:  # noqa: N802  # Twisted's interface
        """See :class:`ProcessProtocol`."""
        is_done = reason.check(ProcessDone) is not None
        self._ended.callback(0 if is_done else getattr(reason.value, "exitCode", None) or 1)

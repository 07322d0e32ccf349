"""Look for faults as another user of the operating system: the one that a program started by root will run as."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable
from typing import Final

from twisted.python.util import switchUID

MOST_OCTETS: Final = 1 << 20


def as_user(uid: int, gid: int | None, find: Callable[[], list[str]]) -> list[str]:
    """Return the sentences that a function returns in a process of a user and group; None: the user's own group.

    The user has its supplementary groups, as in a program of twistd. Only root can do this. What the function changes
    stays in its process. If it fails, the only sentence says so.
    """
    readable, writable = os.pipe()
    pid = os.fork()
    if not pid:
        _answer(writable, uid, gid, find)
    os.close(writable)
    with os.fdopen(readable, "rb") as answer:
        octets = answer.read(MOST_OCTETS)
    os.waitpid(pid, 0)
    try:
        sentences: list[str] = json.loads(octets)
    except ValueError:
        return ["what the user may read could not be checked"]
    return sentences


def _answer(writable: int, uid: int, gid: int | None, find: Callable[[], list[str]]) -> None:
    """Write the sentences, and end this process, whatever happens."""
    try:
        switchUID(uid, pwd.getpwuid(uid).pw_gid if gid is None else gid)
        with os.fdopen(writable, "wb") as answer:
            answer.write(json.dumps(find()).encode())
    finally:
        os._exit(0)

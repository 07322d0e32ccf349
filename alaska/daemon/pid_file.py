"""PID files: one that a killed program has left behind must not keep the next one from starting.

The number in the file may meanwhile belong to any other process, which is neither trusted nor signalled. So a running
program locks its file.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

MOST_OCTETS = 32
_PROGRAM = b"twistd"


def remove_stale(path: Path) -> bool:
    """Remove a PID file unless its program is running; return whether it was removed.

    A file with anything but a number is not a PID file, and stays. A process without the lock counts as the program if
    its command line names twistd, as that of an older version does.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MOST_OCTETS)
            if text.strip() and not (text.strip().isdigit() and len(text) < MOST_OCTETS):
                return False
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if text.strip() and _is_program(int(text)):
                return False
            path.unlink()
    except OSError:
        # Locked, missing, or not ours: twistd reports it if it matters.
        return False
    return True


def _is_program(pid: int) -> bool:
    """Return whether a process may be a program that does not lock its PID file."""
    if not Path("/proc/self/cmdline").exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True
    try:
        return _PROGRAM in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def lock(path: Path) -> int | None:
    """Lock the PID file of this process until it ends, if there is one; return the open descriptor."""
    with suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if int(os.read(descriptor, MOST_OCTETS)) == os.getpid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
        except (OSError, ValueError):
            pass
        os.close(descriptor)
    return None

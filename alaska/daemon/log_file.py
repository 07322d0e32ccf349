"""A log file that is rotated by size, and that never stops the program: what cannot be written is counted."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock


class LogFile:
    """A log file with an exclusive lock: two processes would rotate the file of each other.

    ``most_octets`` is the size at which the file is renamed to ``NAME.1``, and that to ``NAME.2`` and so on;
    ``most_files`` is the number of renamed files that are kept; None: no limit. ``on_recovered`` is called with the
    number of lost lines and the reason, once the file can be written again. Thread-safe.

    :raises BlockingIOError: another process has locked the file.
    :raises OSError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        most_octets: int | None = None,
        most_files: int | None = None,
        on_recovered: Callable[[int, str], None] = lambda _lines, _reason: None,
    ) -> None:
        self.path = path
        self.most_octets = most_octets
        self.most_files = most_files
        self.on_recovered = on_recovered
        self.lost = 0
        """The number of lines that could not be written since the start."""
        self._lock = Lock()
        self._buffer: list[str] = []
        self._lost_now = 0
        self._reason = ""
        self._has_failed = False
        self._is_in_line = False
        self._descriptor = self._open()
        self._note_opened()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _note_opened(self) -> None:
        status = os.fstat(self._descriptor)
        self._size = status.st_size
        # Something like /dev/stdout must not be renamed.
        self._is_regular = stat.S_ISREG(status.st_mode)

    def write(self, text: str) -> None:
        """Buffer a text, until :meth:`flush`."""
        with self._lock:
            self._buffer.append(text)

    def flush(self) -> None:
        """Write the buffer. Lines that cannot be written are lost, and counted."""
        with self._lock:
            texts, self._buffer = self._buffer, []
            if not texts:
                return
            self._write("".join(texts).encode("utf-8", "backslashreplace"))
            lost, reason = self._lost_now, self._reason
            if self._has_failed:
                return
            self._lost_now = 0
        if lost:
            self.on_recovered(lost, reason)

    def _write(self, octets: bytes) -> None:
        is_full = self.most_octets is not None and self._size and self._size + len(octets) > self.most_octets
        if is_full and self._is_regular:
            self._rotate()
        left = memoryview(b"\n" + octets if self._is_in_line else octets)
        self._has_failed = False
        try:
            while left:
                written = os.write(self._descriptor, left)
                self._size += written
                self._is_in_line = left[written - 1] != ord("\n")
                left = left[written:]
        except OSError as error:
            self._has_failed = True
            self._reason = error.strerror or str(error)
            lines = bytes(left).count(b"\n")
            self._lost_now += lines
            self.lost += lines

    def rotate(self) -> None:
        """Rename the file, and continue in a new one."""
        with self._lock:
            self._rotate()

    def _rotate(self) -> None:
        # A folder that cannot be written is no reason to lose lines: the file grows by as much before the next attempt.
        self._size = 0
        with suppress(OSError):
            # Another program has renamed the file, which may have numbered files of its own here.
            if not self._is_moved():
                self._rename_all()
            self._reopen()

    def _is_moved(self) -> bool:
        """Return whether the name belongs to another file than the open one, or to none."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except OSError:
            return True

    def _rename_all(self) -> None:
        """Rename the files that are numbered without a gap, beginning with 1, and the open one."""
        last = 0
        while self._numbered(last + 1).exists():
            last += 1
        for number in range(last, 0, -1):
            if self.most_files is not None and number >= max(self.most_files, 1):
                self._numbered(number).unlink()
            else:
                self._numbered(number).rename(self._numbered(number + 1))
        if self.most_files == 0:
            self.path.unlink()
        else:
            self.path.rename(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def reopen(self) -> None:
        """Open the file of this name again: it may have been renamed.

        :raises OSError: it cannot be opened, or another process has locked it; then the old one stays in use.
        """
        with self._lock:
            self._reopen()

    def _reopen(self) -> None:
        if not self._is_moved():
            return
        new = self._open()
        os.close(self._descriptor)
        self._descriptor = new
        self._note_opened()
        self._is_in_line = False

    def close(self) -> None:
        """Close the file; what is logged later is lost."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            # Another number could become the descriptor of another file.
            self._descriptor = -1

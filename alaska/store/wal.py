"""What is in a write-ahead log, read without SQLite (https://www.sqlite.org/fileformat2.html, section 4).

SQLite takes a log up to the first frame that is not whole, and forgets the rest. So a log that was damaged, cut in the
middle or taken from elsewhere is replayed as far as that goes, and then thrown away.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alaska.errors import StoreError

HEADER_OCTETS = 32
FRAME_HEADER_OCTETS = 24
MOST_SUMMED = 8192
"""Of so many frames the checksum is looked at, which takes half a second; of later ones only whose log they are of."""
_MAGIC = 0x377F0682
_VERSION = 3007000
_LITTLE_ENDIAN, _BIG_ENDIAN = "<", ">"


class Frame(NamedTuple):
    """One page in the log. ``is_last`` of its transaction; ``is_ours`` says that it is no rest of an older log."""

    page: int
    is_last: bool
    is_ours: bool
    sums: tuple[int, int]


class Log:
    """A log that is not empty. The descriptor stays open until :meth:`close`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        header = os.pread(descriptor, HEADER_OCTETS, 0)
        magic, version, self.page_octets, _, *self._salts, first, second = struct.unpack(">8I", header)
        self._order = _BIG_ENDIAN if magic & 1 else _LITTLE_ENDIAN
        self._sums = (first, second)
        self.is_log = magic & ~1 == _MAGIC and version == _VERSION and self._sum(header[:24], (0, 0)) == self._sums
        """Whether the header is whole."""
        self.frames = list(self._read_frames()) if self.is_log else []
        self.whole = self._count_whole()
        """How many frames are whole, from the first on."""

    @classmethod
    def open(cls, path: Path) -> Log | None:
        """Return the log at a path; None if there is none, or nothing in it.

        :raises StoreError: what is there is no file.
        :raises OSError: it cannot be read.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(f"{path} is no file")
            if found.st_size >= HEADER_OCTETS:
                return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @property
    def octets(self) -> int:
        """How long the file is."""
        return os.fstat(self._descriptor).st_size

    @property
    def is_cut_short(self) -> bool:
        """Whether the end of a transaction is behind what is damaged: of one that was being written, or is lost."""
        return any(frame.is_last and frame.is_ours for frame in self.frames[self.whole :])

    @property
    def goes_on_behind_damage(self) -> bool:
        """Whether another transaction begins behind the one that is damaged: no crash can leave that."""
        behind = [frame.is_last for frame in self.frames[self.whole :] if frame.is_ours]
        return True in behind[:-1]

    def versions(self, page: int) -> Iterator[bytes]:
        """Iterate over what the log says of a page, the newest first, as far as it is committed."""
        committed = max((number for number in range(self.whole) if self.frames[number].is_last), default=-1) + 1
        for number in reversed(range(committed)):
            if self.frames[number].page == page:
                yield os.pread(self._descriptor, self.page_octets, self._place(number) + FRAME_HEADER_OCTETS)

    def _place(self, number: int) -> int:
        return HEADER_OCTETS + number * (FRAME_HEADER_OCTETS + int(self.page_octets))

    def _read_frames(self) -> Iterator[Frame]:
        end = os.fstat(self._descriptor).st_size
        number = 0
        while self._place(number + 1) <= end:
            header = os.pread(self._descriptor, FRAME_HEADER_OCTETS, self._place(number))
            page, size, *salts, first, second = struct.unpack(">6I", header)
            yield Frame(page, size != 0, salts == self._salts, (first, second))
            number += 1

    def _count_whole(self) -> int:
        sums = self._sums
        for number, frame in enumerate(self.frames):
            if not frame.is_ours or not frame.page:
                return number
            if number < MOST_SUMMED:
                octets = os.pread(self._descriptor, FRAME_HEADER_OCTETS + self.page_octets, self._place(number))
                sums = self._sum(octets[:8] + octets[FRAME_HEADER_OCTETS:], sums)
                if sums != frame.sums:
                    return number
        return len(self.frames)

    def _sum(self, octets: bytes, sums: tuple[int, int]) -> tuple[int, int]:
        """Return the checksum of octets that follow others with these."""
        first, second = sums
        words = struct.unpack(f"{self._order}{len(octets) // 4}I", octets)
        for even, odd in zip(words[::2], words[1::2], strict=True):
            first = (first + even + second) & 0xFFFFFFFF
            second = (second + odd + first) & 0xFFFFFFFF
        return first, second

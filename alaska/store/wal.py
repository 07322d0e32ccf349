"""Read a write-ahead log (WAL) without SQLite (https://www.sqlite.org/fileformat2.html, section 4).

SQLite replays a WAL up to the first invalid frame and ignores the rest. So it would replay the valid part of a damaged,
truncated or wrong WAL, and then overwrite it.
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
MAX_CHECKSUMMED = 8192
"""The number of frames whose checksums are verified, which takes half a second; of later ones only the salts are."""
_MAGIC = 0x377F0682
_VERSION = 3007000
_LITTLE_ENDIAN, _BIG_ENDIAN = "<", ">"


class Frame(NamedTuple):
    """A page in the WAL. ``is_last``: the last one of its transaction. ``is_ours``: not left over from an older WAL."""

    page: int
    is_last: bool
    is_ours: bool
    sums: tuple[int, int]


class Wal:
    """A WAL that is not empty. The descriptor stays open until :meth:`close`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        header = os.pread(descriptor, HEADER_OCTETS, 0)
        magic, version, self.page_octets, _, *self._salts, first, second = struct.unpack(">8I", header)
        self._order = _BIG_ENDIAN if magic & 1 else _LITTLE_ENDIAN
        self._sums = (first, second)
        self.is_log = magic & ~1 == _MAGIC and version == _VERSION and self._sum(header[:24], (0, 0)) == self._sums
        """Whether the header is valid."""
        self.frames = list(self._read_frames()) if self.is_log else []
        self.whole = self._count_whole()
        """The number of valid frames, from the first on."""

    @classmethod
    def open(cls, path: Path) -> Wal | None:
        """Return the WAL at a path; None if there is none, or if it is empty.

        :raises StoreError: it is not a regular file.
        :raises OSError: it cannot be read.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(f"{path} is not a regular file")
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
        """The length of the file."""
        return os.fstat(self._descriptor).st_size

    @property
    def is_cut_short(self) -> bool:
        """Whether the end of a transaction follows invalid frames: it was being written, or is damaged."""
        return any(frame.is_last and frame.is_ours for frame in self.frames[self.whole :])

    @property
    def continues_after_damage(self) -> bool:
        """Whether another transaction follows the invalid one, which cannot be the result of a crash."""
        later = [frame.is_last for frame in self.frames[self.whole :] if frame.is_ours]
        return True in later[:-1]

    def versions(self, page: int) -> Iterator[bytes]:
        """Iterate over the committed versions of a page, newest first."""
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
            if number < MAX_CHECKSUMMED:
                octets = os.pread(self._descriptor, FRAME_HEADER_OCTETS + self.page_octets, self._place(number))
                sums = self._sum(octets[:8] + octets[FRAME_HEADER_OCTETS:], sums)
                if sums != frame.sums:
                    return number
        return len(self.frames)

    def _sum(self, octets: bytes, sums: tuple[int, int]) -> tuple[int, int]:
        """Return the checksum after more octets, given the one before them."""
        first, second = sums
        words = struct.unpack(f"{self._order}{len(octets) // 4}I", octets)
        for even, odd in zip(words[::2], words[1::2], strict=True):
            first = (first + even + second) & 0xFFFFFFFF
            second = (second + odd + first) & 0xFFFFFFFF
        return first, second

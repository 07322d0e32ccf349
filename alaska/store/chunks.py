"""Large content is stored in chunks, so that no single copy takes long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO

from alaska.errors import DamagedRow
from alaska.mlm.commands import Content

LARGE_OCTETS = 2**20
"""Content of messages and records larger than this is stored in chunks, and read row by row."""
CHUNK_OCTETS = 2**20
LENGTH_OCTETS = 4


def to_chunks(content: Content) -> Iterator[bytes]:
    """Split a content, with each frame preceded by its length, into chunks of at most twice :data:`CHUNK_OCTETS`."""
    parts: list[bytes | memoryview] = []
    octets = 0
    for frame in content:
        parts.append(len(frame).to_bytes(LENGTH_OCTETS, "big"))
        octets += LENGTH_OCTETS
        view = memoryview(frame)
        for start in range(0, len(frame), CHUNK_OCTETS):
            parts.append(view[start : start + CHUNK_OCTETS])
            octets += len(parts[-1])
            if octets >= CHUNK_OCTETS:
                yield b"".join(parts)
                parts, octets = [], 0
    if parts:
        yield b"".join(parts)


def from_chunks(chunks: Iterable[bytes]) -> Content:
    """Return the frames of a content from its chunks.

    :raises DamagedRow: the chunks are incomplete.
    """
    frames: list[bytes] = []
    frame: BytesIO | None = None
    length, left = b"", 0
    for chunk in chunks:
        if not isinstance(chunk, bytes):
            raise DamagedRow("a chunk of its content has the wrong type")
        at = 0
        while at < len(chunk):
            if frame is None:
                start, at = at, min(len(chunk), at + LENGTH_OCTETS - len(length))
                length += chunk[start:at]
                if len(length) < LENGTH_OCTETS:
                    break
                frame, left, length = BytesIO(), int.from_bytes(length, "big"), b""
            start, at = at, min(len(chunk), at + left)
            frame.write(memoryview(chunk)[start:at])
            left -= at - start
            if not left:
                # Does not copy: BytesIO gives up its buffer.
                frames.append(frame.getvalue())
                frame = None
    if frame is not None or length or not frames:
        raise DamagedRow("its content is incomplete")
    return tuple(frames)

"""Questions: calls of a running script to its worker. Question and answer are lists of octet strings.

The thread that runs the script asks; if the script runs in a child process, it is the thread that controls that
process. The first string of a question is the time left for the request, in seconds, or empty without a limit. The
second is the operation, and the rest are its arguments. The first string of an answer is ``OK``, ``NONE`` or ``ERROR``.
"""

from __future__ import annotations

import msgspec

Frames = tuple[bytes, ...]

OK = b"ok"
"""Success; the other strings are the results."""
NONE = b"none"
"""There is no answer, but the script is not at fault; the second string is the reason."""
PARTIAL = b"partial"
"""Messages and output of a running script: one argument, an encoded outcome. The answer is ``OK``."""
MODULE = b"module"
"""Find a module in the scripts directory: its arguments are the directory, the name, and the cached version.

The process that runs the script answers this itself; it is never sent to the worker.
"""
SCRIPT_OPERATIONS = frozenset((b"request", b"kv.get", b"kv.set", b"kv.incr", b"kv.ttl", b"kv.delete"))
"""Operations that scripts use. All others are used by the runner of the script."""
ERROR = b"error"
"""The script made an error; the second string is its text."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frames)


def pack(frames: Frames) -> bytes:
    """Encode octet strings as one."""
    return _encoder.encode(frames)


def unpack(octets: bytes) -> Frames:
    """Decode the result of :func:`pack`.

    :raises msgspec.MsgspecError: the octets are not valid.
    """
    return _decoder.decode(octets)

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
CANCELLED = b"cancelled"
"""Whether the request is cancelled. The answer is ``OK``, with ``1`` if it is, ``2`` if the script is to be ended."""
SCRIPT_OPERATIONS = frozenset(
    (b"request", b"request.all", b"kv.get", b"kv.set", b"kv.incr", b"kv.ttl", b"kv.delete", CANCELLED)
)
"""Operations that scripts use. All others are used by the runner of the script."""
ERROR = b"error"
"""The script made an error; the second string is its text."""

MOST_TEXTS = 30_000
"""The maximum number of texts of :func:`unpack_texts`; Lua sends no more."""

_MOST_DIGITS = 20
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


def unpack_texts(octets: bytes) -> list[bytes]:
    """Return texts, each of which has its length in decimal digits and a colon in front.

    :raises ValueError: the octets are not valid.
    """
    texts: list[bytes] = []
    at = 0
    while at < len(octets):
        colon = octets.index(b":", at, at + _MOST_DIGITS)
        if not octets[at:colon].isdigit() or len(texts) >= MOST_TEXTS:
            raise ValueError(f"no length at octet {at}, or more than {MOST_TEXTS} texts")
        end = colon + 1 + int(octets[at:colon])
        if end > len(octets):
            raise ValueError(f"a text that ends at octet {end} of {len(octets)}")
        texts.append(octets[colon + 1 : end])
        at = end
    return texts

"""What a running script asks of its worker, and waits for: a list of octet strings there, and one back.

The thread that runs the script asks; where the script runs in a child process, the thread that drives that does. The
first string of a question is how many seconds are left of the request's time, empty for any; the second says what is
wanted, and the rest are its arguments. The first string of an answer is one of the three words below.
"""

from __future__ import annotations

import msgspec

Frames = tuple[bytes, ...]

OK = b"ok"
"""The rest of the answer are its values."""
NONE = b"none"
"""There is no answer, which is no fault of the script; the second string says why."""
TOLD = b"told"
"""What a script has left while it runs, and goes on: one argument, an outcome as octets; the answer is ``OK``."""
MODULE = b"module"
"""What a module beside the scripts is: their directory, its name, and the version that is known. This one never reaches
the worker: who runs the script answers it."""
SCRIPTS_OWN = frozenset((b"request", b"kv.get", b"kv.set", b"kv.incr", b"kv.ttl", b"kv.delete"))
"""What scripts ask; all other questions are those of who runs them."""
ERROR = b"error"
"""The script has made a mistake; the second string is the text of its error."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frames)


def pack(frames: Frames) -> bytes:
    """Return several octet strings as one."""
    return _encoder.encode(frames)


def unpack(octets: bytes) -> Frames:
    """Return what :func:`pack` was given.

    :raises msgspec.MsgspecError: the octets are nothing that it returns.
    """
    return _decoder.decode(octets)

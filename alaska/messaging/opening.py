"""What a client says of itself when it opens a session, and the checks of its arguments."""

from __future__ import annotations

import os
import socket

from alaska import __version__
from alaska.authentication import CurveKeys
from alaska.messaging.delivery import MOST_POSITION, check_text, to_number
from alaska.mlm import commands as mlm
from alaska.mlm.codec import check

CAN = b"batch properties progress cancel"
ABOUT: mlm.Properties = {
    "can": CAN,
    "host": socket.gethostname().encode(),
    "version": __version__.encode(),
}


def opening_of(address: bytes, acts_for: bytes, takes_again: bool) -> mlm.ConnectionOpen:
    """Return the command that opens a session; the arguments are those of :class:`alaska.client.Client`.

    :raises ValueTooLong: a name is too long.
    """
    for name in (address, acts_for):
        check(mlm.ConnectionOpen(name))
    # A daemon has another process id than the program that has imported this module.
    about: mlm.Properties = {**ABOUT, "pid": os.getpid()}
    if takes_again:
        about["can"] = CAN + b" again"
    return mlm.ConnectionOpen(address, {**about, "for": acts_for} if acts_for else about)


def check_limits(**limits: int) -> None:
    """Check the limits of a client.

    :raises TypeError, ValueError: one is not valid.
    """
    for name, most in limits.items():
        to_number(most, MOST_POSITION, name)


def check_credentials(username: str | None, password: str | None, curve: CurveKeys | None) -> None:
    """Check the types of credentials, and that there is only one kind of them.

    :raises TypeError, ValueError: they are not valid.
    """
    for name, value in (("username", username), ("password", password)):
        if value is not None:
            check_text(value, name)
    if curve is not None and not isinstance(curve, CurveKeys):
        raise TypeError(f"curve must be CurveKeys, not {type(curve).__name__}")
    if curve is not None and (username, password) != (None, None):
        raise ValueError("a client has either a user name and password, or keys")


def check_spans(spans: object) -> None:
    """Check that the argument ``spans`` records spans, without importing OpenTelemetry.

    :raises TypeError: it is something else.
    """
    if spans is not None and not callable(getattr(spans, "of_client", None)):
        raise TypeError(f"spans must be Spans, not {type(spans).__name__}")

"""What to do about errors that end a command: half a sentence that follows the error."""

from __future__ import annotations

import os
from typing import Final

NO_BROKER: Final = "is it running? alas doctor looks for the reason; -e or alas context names another endpoint"
OTHER_LOGIN: Final = (
    "alas takes others by -u and --password-file, by --key and --server-key, or from a context (alas context)"
)
RULES: Final = "the access rules of the broker can allow it (docs/access.md)"
_BY_RULES: Final = " may not "
_WHERE: Final = {
    "nobody offers the service": "alas services shows those that are offered, --await-worker waits for a worker",
    "there is no dead letter": "alas letters list shows those that there are",
    "there is no such message": "alas messages lists those that wait, are delayed, or run",
    "there is no such schedule": "alas schedule list shows those that there are",
}
"""What shows the things of which one was not found."""


def advised(text: str, status: int) -> str:
    """Return an error with which a command ends, with what to do about it, as far as its exit status tells that."""
    for missing, where in _WHERE.items():
        if text.startswith(missing):
            return f"{text}; {where}"
    if status == os.EX_UNAVAILABLE:
        return f"{text}; {NO_BROKER}"
    if status == os.EX_NOPERM and _BY_RULES in text:
        return f"{text}; {RULES}"
    if status == os.EX_NOPERM and "refused" not in text:
        return f"{text}; {OTHER_LOGIN}"
    return text

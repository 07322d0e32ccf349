"""The import path for programs of :mod:`alaska.messaging.terms`: the terms of a send."""

from alaska.messaging.terms import (
    MOST_SECONDS,
    SendTerms,
    to_terms,
)

__all__ = [
    "MOST_SECONDS",
    "SendTerms",
    "to_terms",
]

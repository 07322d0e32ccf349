"""Which of a set of patterns match a subject, worked out once for each subject."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from alaska.mlm.patterns import Pattern

MAX_REMEMBERED_SUBJECTS = 10_000

Matches = frozenset[Pattern]


class _Seen(NamedTuple):
    """What is remembered of a subject: its matches among the first so many patterns, when so many had gone."""

    matches: Matches
    added: int
    removed: int


class SubjectIndex:
    """The patterns of a stream or a service, and the subjects seen under them.

    The first message with a subject costs one match a pattern, each later one a look-up, however many patterns there
    are. A pattern that comes or goes costs one match, or one look, for each subject that is seen again.
    """

    def __init__(self) -> None:
        self._uses: dict[Pattern, int] = {}
        self._added: list[Pattern] = []
        self._removed = 0
        self._seen: dict[bytes, _Seen] = {}
        # Of what has been seen, that which no pattern has come or gone since.
        self._current: dict[bytes, Matches] = {}

    @property
    def patterns(self) -> Iterable[Pattern]:
        """The patterns in use."""
        return self._uses.keys()

    def add(self, pattern: Pattern) -> bool:
        """Count one more use of a pattern; return whether it is the first."""
        uses = self._uses.get(pattern, 0)
        self._uses[pattern] = uses + 1
        if not uses:
            self._added.append(pattern)
            self._current.clear()
        return not uses

    def discard(self, pattern: Pattern) -> bool:
        """Count one use of a pattern less; return whether it was the last."""
        uses = self._uses[pattern] - 1
        if uses:
            self._uses[pattern] = uses
            return False
        del self._uses[pattern]
        self._current.clear()
        self._removed += 1
        if self._removed > len(self._uses):
            # Most of what was added has gone: begin anew, before the list of it costs more than it is worth.
            self._added, self._removed = list(self._uses), 0
            self._seen.clear()
        return True

    def matching(self, subject: bytes) -> Matches:
        """Return the patterns that match a subject."""
        matches = self._current.get(subject)
        return matches if matches is not None else self._look(subject)

    def _look(self, subject: bytes) -> Matches:
        """Work out what matches a subject, from what was known of it."""
        seen = self._seen.get(subject)
        if seen is None:
            seen = _Seen(frozenset(), 0, 0)
            if len(self._seen) >= MAX_REMEMBERED_SUBJECTS:
                self._seen.clear()
                self._current.clear()
        matches = seen.matches
        if seen.removed != self._removed:
            matches = frozenset(pattern for pattern in matches if pattern in self._uses)
        if seen.added != len(self._added):
            new = self._added[seen.added :]
            matches |= {pattern for pattern in new if pattern in self._uses and pattern.matches(subject)}
        self._seen[subject] = _Seen(matches, len(self._added), self._removed)
        self._current[subject] = matches
        return matches

"""Which of a set of patterns match a subject, worked out once for each subject."""

from __future__ import annotations

from alaska.mlm.patterns import Pattern

MAX_REMEMBERED_SUBJECTS = 10_000

Matches = frozenset[Pattern]


class SubjectIndex:
    """The patterns of a stream or a service, and the subjects seen under them.

    The first message with a subject costs one match a pattern, each later one a look-up, however many patterns
    there are. What is remembered is forgotten when a pattern comes or goes, and when too many subjects are known.
    """

    def __init__(self) -> None:
        self._patterns: dict[Pattern, int] = {}
        self._seen: dict[bytes, Matches] = {}

    def add(self, pattern: Pattern) -> bool:
        """Count one more use of a pattern; return whether it is the first."""
        uses = self._patterns.get(pattern, 0)
        self._patterns[pattern] = uses + 1
        if not uses:
            self._seen.clear()
        return not uses

    def discard(self, pattern: Pattern) -> bool:
        """Count one use of a pattern less; return whether it was the last."""
        uses = self._patterns[pattern] - 1
        if uses:
            self._patterns[pattern] = uses
            return False
        del self._patterns[pattern]
        self._seen.clear()
        return True

    def matching(self, subject: bytes) -> Matches:
        """Return the patterns that match a subject."""
        found = self._seen.get(subject)
        if found is None:
            found = frozenset(pattern for pattern in self._patterns if pattern.matches(subject))
            if len(self._seen) >= MAX_REMEMBERED_SUBJECTS:
                self._seen.clear()
            self._seen[subject] = found
        return found

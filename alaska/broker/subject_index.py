"""Cache of the patterns that match a subject."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from alaska.mlm.patterns import Pattern

MAX_CACHED_SUBJECTS = 10_000
MAX_CACHE_OCTETS = 16 * 2**20
"""The maximum memory of the caches that share a :class:`CacheMemory`."""
SUBJECT_OCTETS = 512
"""The estimated memory of a cached subject besides its own octets and its matches."""
MATCH_OCTETS = 64
"""The estimated memory of each of its matches."""

Matches = frozenset[Pattern]
_NO_MATCHES: Matches = frozenset()


class _CachedMatches(NamedTuple):
    """The matches of a subject among the first ``added`` patterns, computed when ``removed`` had been removed."""

    matches: Matches
    added: int
    removed: int


class CacheMemory:
    """The estimated memory of the caches of several indexes; beyond the maximum, the oldest caches are cleared."""

    def __init__(self) -> None:
        self._octets: dict[SubjectIndex, int] = {}
        self.octets = 0

    def add(self, index: SubjectIndex, octets: int) -> None:
        """Count more octets, or fewer, for the cache of an index."""
        self._octets[index] = self._octets.get(index, 0) + octets
        self.octets += octets
        while self.octets > MAX_CACHE_OCTETS:
            next(iter(self._octets)).clear_cache()

    def remove(self, index: SubjectIndex) -> None:
        """Record that the cache of an index is empty."""
        self.octets -= self._octets.pop(index, 0)


class SubjectIndex:
    """The patterns of a stream or service, and the cached matches of subjects.

    The first message with a subject costs one match per pattern; each later one costs one look-up, independent of the
    number of patterns. After a pattern is added or removed, a cached subject is matched against this pattern alone.
    """

    def __init__(self, cache_memory: CacheMemory | None = None) -> None:
        self._cache_memory = cache_memory or CacheMemory()
        self._uses: dict[Pattern, int] = {}
        self._added: list[Pattern] = []
        self._removed = 0
        self.matched = 0
        """The number of patterns that subjects have been matched against so far, as a measure of the time it took."""
        self._cache: dict[bytes, _CachedMatches] = {}
        # The part of the cache that is newer than the last change of the patterns.
        self._up_to_date: dict[bytes, Matches] = {}

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
            self._up_to_date.clear()
        return not uses

    def discard(self, pattern: Pattern) -> bool:
        """Count one use of a pattern less; return whether it was the last."""
        uses = self._uses[pattern] - 1
        if uses:
            self._uses[pattern] = uses
            return False
        del self._uses[pattern]
        self._up_to_date.clear()
        self._removed += 1
        if self._removed > len(self._uses):
            # Most added patterns have been removed: rebuild, so that the list of added patterns stays short.
            self._added, self._removed = list(self._uses), 0
            self.clear_cache()
        return True

    def clear_cache(self) -> None:
        """Remove all subjects from the cache."""
        self._cache.clear()
        self._up_to_date.clear()
        self._cache_memory.remove(self)

    def matching(self, subject: bytes) -> Matches:
        """Return the patterns that match a subject."""
        matches = self._up_to_date.get(subject)
        return matches if matches is not None else self._match(subject)

    def _match(self, subject: bytes) -> Matches:
        """Compute the matches of a subject, starting from the cached ones."""
        if not self._uses:
            return _NO_MATCHES
        cached = self._cache.get(subject)
        octets = 0
        if cached is None:
            cached = _CachedMatches(_NO_MATCHES, 0, 0)
            octets = SUBJECT_OCTETS + len(subject)
            if len(self._cache) >= MAX_CACHED_SUBJECTS:
                self.clear_cache()
        matches = cached.matches
        self.matched += 1 + len(self._added) - cached.added
        if cached.removed != self._removed:
            matches = frozenset(pattern for pattern in matches if pattern in self._uses)
        if cached.added != len(self._added):
            new = self._added[cached.added :]
            matches |= {pattern for pattern in new if pattern in self._uses and pattern.matches(subject)}
        self._cache[subject] = _CachedMatches(matches, len(self._added), self._removed)
        self._up_to_date[subject] = matches
        self._cache_memory.add(self, octets + MATCH_OCTETS * (len(matches) - len(cached.matches)))
        return matches

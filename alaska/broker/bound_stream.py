"""The bindings of one stream: which of them want a record."""

from __future__ import annotations

from alaska.broker.binding import Binding
from alaska.broker.subject_index import CacheMemory, SubjectIndex
from alaska.mlm.patterns import Pattern


class BoundStream:
    """The bindings of one stream by their patterns, so that a record costs no time for those that do not want it."""

    def __init__(self, cache_memory: CacheMemory) -> None:
        self._index = SubjectIndex(cache_memory)
        self._by_pattern: dict[Pattern, dict[Binding, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, binding: Binding) -> None:
        """Add a binding."""
        self._count += 1
        self._by_pattern.setdefault(binding.pattern, {})[binding] = None
        self._index.add(binding.pattern)

    def remove(self, binding: Binding) -> None:
        """Remove a binding."""
        self._count -= 1
        del self._by_pattern[binding.pattern][binding]
        if self._index.discard(binding.pattern):
            del self._by_pattern[binding.pattern]

    def clear(self) -> None:
        """Forget the memory that is cached, since the stream is not bound any more."""
        self._index.clear_cache()

    def wanted_by(self, subject: bytes) -> list[Binding]:
        """Return the bindings whose patterns match a subject."""
        return [binding for pattern in self._index.matching(subject) for binding in self._by_pattern[pattern]]

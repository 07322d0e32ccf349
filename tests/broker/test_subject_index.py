"""The cache of matching patterns gives the same result as matching every pattern."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker import subject_index
from alaska.broker.subject_index import CacheMemory, SubjectIndex
from alaska.mlm.patterns import compile_pattern

SUBJECTS = [b"a", b"b", b"ab", b""]
SOURCES = [b"", b"a", b"^b", b"b$", b"c", b"^a$"]


class SubjectIndexTests(SynchronousTestCase):
    """Adding and removing patterns between look-ups."""

    @given(st.lists(st.tuples(st.sampled_from(["add", "discard", "look"]), st.integers(0, 5))))
    def test_any_operations(self, operations: list[tuple[str, int]]) -> None:
        """After any changes, the result is the set of patterns in use that match the subject."""
        index = SubjectIndex()
        uses: Counter[bytes] = Counter()
        for operation, number in operations:
            source = SOURCES[number]
            if operation == "add":
                self.assertEqual(index.add(compile_pattern(source)), not uses[source])
                uses[source] += 1
            elif operation == "discard" and uses[source]:
                uses[source] -= 1
                self.assertEqual(index.discard(compile_pattern(source)), not uses[source])
            else:
                subject = SUBJECTS[number % len(SUBJECTS)]
                patterns = {compile_pattern(each) for each in +uses}
                self.assertEqual(index.matching(subject), {each for each in patterns if each.matches(subject)})

    def test_forgets(self) -> None:
        """The index does not grow when patterns are added and removed."""
        index = SubjectIndex()
        index.add(compile_pattern(b"a"))
        for number in range(1000):
            index.add(compile_pattern(b"%d" % number))
            index.matching(b"%d" % number)
            index.discard(compile_pattern(b"%d" % number))
        self.assertLess(len(index._added), 10)
        self.assertEqual(index.matching(b"a7"), {compile_pattern(b"a")})


class CacheMemoryTests(SynchronousTestCase):
    """The memory of the caches of several indexes."""

    def setUp(self) -> None:
        self.patch(subject_index, "MAX_CACHE_OCTETS", 50_000)
        self.memory = CacheMemory()

    def index(self, *sources: bytes) -> SubjectIndex:
        """Return an index of these patterns."""
        index = SubjectIndex(self.memory)
        for source in sources:
            index.add(compile_pattern(source))
        return index

    def test_many_indexes(self) -> None:
        """The caches of many streams are limited together, and the results are the same."""
        indexes = [self.index(b"^1") for _ in range(10)]
        for number in range(500):
            for index in indexes:
                self.assertEqual(len(index.matching(b"%d" % number)), str(number).startswith("1"))
        self.assertLess(sum(len(index._cache) for index in indexes), 100)
        self.assertLessEqual(self.memory.octets, 50_000)

    def test_many_matches(self) -> None:
        """Each match of a subject counts."""
        index = self.index(*[b"s.?.?%s" % (b"a?" * number) for number in range(100)])
        for number in range(100):
            self.assertEqual(len(index.matching(b"subject %d" % number)), 100)
        self.assertLess(len(index._cache), 10)

    def test_no_patterns(self) -> None:
        """An index without patterns caches nothing, also after its last pattern was removed."""
        index = self.index(b"a")
        index.matching(b"abc")
        index.discard(compile_pattern(b"a"))
        self.assertEqual(index.matching(b"abc"), frozenset())
        self.assertEqual(self.memory.octets, 0)

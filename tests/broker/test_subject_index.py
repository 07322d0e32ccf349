"""The cache of matching patterns gives the same result as matching every pattern."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.subject_index import SubjectIndex
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

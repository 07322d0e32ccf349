"""Patterns, compared to a full matcher and to CZMQ, and with random input."""

from __future__ import annotations

import re
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.errors import FAILED, PatternError
from alaska.mlm.patterns import compile_pattern
from tests.config import czmq
from tests.recorded import load, octets

SUBJECTS = st.binary(max_size=8) | st.text("abc1 -.\n", max_size=8).map(str.encode)
# Octets with a meaning in zrex, and syntax of RE2 and Perl that zrex does not have.
SYNTAX = st.sampled_from(
    [*"^$.|()[]\\*+?-", *"abxsSdDwWrnt01", "[^", "\\x", "{2}", "(?i)", "[:alpha:]", "\\p{L}", "é", "\0"]
)
PATTERNS = st.binary(max_size=20) | st.lists(SYNTAX, max_size=12).map("".join).map(str.encode)


def matches(pattern: str | bytes, subject: str | bytes) -> bool:
    """Return whether a pattern matches a subject; text is encoded as UTF-8."""
    source, text = (part.encode() if isinstance(part, str) else part for part in (pattern, subject))
    return compile_pattern(source).matches(text)


class RecordedTests(SynchronousTestCase):
    """Recorded patterns and texts."""

    def test_matches_as_the_textbook_says(self) -> None:
        """Each recorded pattern gives the same result as a full matcher of the same syntax."""
        for case in load("zrex.json"):
            if case["textbook"] is not None:
                found = matches(octets(case["pattern"]), octets(case["text"]))
                self.assertIs(found, case["textbook"], (case["pattern"], case["text"]))

    def test_refuses_what_makes_no_sense(self) -> None:
        """Each recorded pattern without a defined meaning is refused, except for ``??``, which means ``?``."""
        for case in load("zrex.json"):
            if case["textbook"] is None and case["pattern"] not in ("a??", "a??b"):
                self.assertRaises(PatternError, compile_pattern, octets(case["pattern"]))


class SyntaxTests(SynchronousTestCase):
    """Syntax that the recorded patterns do not cover."""

    def test_re2_syntax_is_literal(self) -> None:
        """Syntax that RE2 has and zrex does not have is matched literally."""
        for pattern, subject in {
            r"a{2}": "a{2}",
            r"\bx": "bx",
            r"\pN": "pN",
            r"\p{L}": "p{L}",
            r"\x{41}": "x{41}",
            r"\Qa.c\E": "QaxcE",
            r"\141": "141",
            r"\C\z\B\v\f": "CzBvf",
            r"^[[:alpha:]]$": ":]",
            r"^[\b]$": "b",
            r"#x y": "#x y",
        }.items():
            self.assertTrue(matches(pattern, subject), pattern)

    def test_re2_groups_are_errors(self) -> None:
        """RE2's ``(?`` syntax is an error, since the ``?`` has nothing to repeat."""
        for pattern in (r"(?i)a", r"(?:a)", r"(?P<n>a)", r"(?s).", r"(?!a)"):
            self.assertRaises(PatternError, compile_pattern, pattern.encode())

    def test_letters_have_a_case(self) -> None:
        """Matching is case-sensitive."""
        self.assertFalse(matches("Pi", "pI"))

    def test_ranges(self) -> None:
        """A ``-`` forms a range of two octets, also escaped ones; at either end and next to a set it is a member."""
        for pattern, inside, outside in (
            (r"^[a-c]$", "abc", "d-"),
            (r"^[a-]$", "a-", "b"),
            (r"^[-a]$", "a-", "b"),
            (r"^[\d-z]$", "5-z", "a"),
            (r"^[+-\d]$", "+-5", ",."),
            (r"^[\x41-\x43]$", "ABC", "D4-"),
            (r"^[\--0]$", "-./0", ",1"),
            (r"^[^a-c]$", "d-", "abc"),
            (r"^[\s\D]$", " a", "5"),
        ):
            found = "".join(octet for octet in inside + outside if matches(pattern, octet))
            self.assertEqual(found, inside, pattern)

    def test_white_space(self) -> None:
        r"""``\s`` matches C's white space, including the vertical tab."""
        self.assertEqual([octet for octet in range(256) if matches(r"\s", bytes((octet,)))], [9, 10, 11, 12, 13, 32])

    def test_every_octet(self) -> None:
        """A dot matches any octet, and each octet that is not special matches only itself."""
        for octet in range(256):
            subject = bytes((octet,))
            self.assertTrue(matches(b"^.$", subject))
            if subject not in b"^$.|()[\\*+?":
                others = bytes(other for other in range(256) if other != octet)
                self.assertTrue(matches(subject, others + subject))
                self.assertFalse(matches(subject, others))

    def test_escaped_octets(self) -> None:
        """A backslash makes any octet literal, except for the letters and the 0 of escape sequences."""
        for octet in set(range(256)) - set(b"sSdDaAwWrnt0"):
            subject = bytes((octet,))
            self.assertTrue(matches(b"^\\%b$" % subject, subject), subject)

    def test_anchors_hold_for_their_branch(self) -> None:
        """A ``^`` at the start anchors only the first branch."""
        self.assertTrue(matches("^cat|dog", "hotdog"))
        self.assertFalse(matches("^cat|dog", "bobcat"))

    def test_doubled_question_mark(self) -> None:
        """A second ``?`` does not affect what matches."""
        for subject in ("b", "ab", "aab"):
            self.assertIs(matches("^a??b", subject), matches("^a?b", subject))

    def test_nul_octets(self) -> None:
        """A NUL octet is not special, in patterns and subjects."""
        self.assertTrue(matches(b"a\0b", b"xa\0b"))
        self.assertFalse(matches(b"a\0b", b"a"))
        self.assertTrue(matches(rb"\0$", b"a\0"))


class ErrorTests(SynchronousTestCase):
    """Invalid patterns."""

    def test_sentences(self) -> None:
        """Each error states the fault and its position."""
        for pattern, sentence in {
            b"a(b": "in the pattern 'a(b' the ( at octet 2 is never closed",
            b"ab)": "in the pattern 'ab)' the ) at octet 3 closes nothing",
            b"[a]b[^c": "in the pattern '[a]b[^c' the [ at octet 5 is never closed",
            b"a\\": "in the pattern 'a\\\\' the \\ at octet 2 has nothing after it",
            b"*": "in the pattern '*' the * at octet 1 has nothing before it to repeat",
            b"a|+": "in the pattern 'a|+' the + at octet 3 has nothing before it to repeat",
            b"a**": "in the pattern 'a**' the * at octet 3 has another quantifier before it",
            b"[z-a]": "in the pattern '[z-a]' the - at octet 3 joins a reversed range",
            b"\xff(": r"in the pattern '\\xff(' the ( at octet 2 is never closed",
            b"a" * 256: "a pattern has at most 255 octets, found 256",
        }.items():
            self.assertEqual(str(self.assertRaises(PatternError, compile_pattern, pattern)), sentence)

    def test_status(self) -> None:
        """The status of the error is 300."""
        self.assertEqual(self.assertRaises(PatternError, compile_pattern, b"(").status, FAILED)


class PatternTests(SynchronousTestCase):
    """Compiled patterns."""

    def test_equal_by_source(self) -> None:
        """Two patterns are equal if their sources are, also as keys of a dict."""
        first = compile_pattern(b"a.b")
        compile_pattern.cache_clear()
        self.assertEqual({first: 1}[compile_pattern(b"a.b")], 1)
        self.assertNotEqual(first, compile_pattern(b"a\\.b"))
        self.assertEqual(first.source, b"a.b")

    def test_shared(self) -> None:
        """Compiled patterns are cached."""
        self.assertIs(compile_pattern(b"shared"), compile_pattern(bytes(bytearray(b"shared"))))

    def test_largest_patterns_compile(self) -> None:
        """The largest patterns of 255 octets compile within the memory limit."""
        for part in (b".?", b"[^a]?", rb"\w+", b"(.*)+", b"((.+)+)+", b"(.*|.*)*", b"[acegikmoqsuwy]*", b"|[^acegik]"):
            self.assertTrue(compile_pattern(part * (255 // len(part))).matches(b"b" * 255), part)
        self.assertTrue(matches(b"(" * 127 + b"x" + b")" * 127, b"x"))

    def test_nested_quantifiers(self) -> None:
        """Patterns that take a backtracking matcher exponential time are matched in linear time."""
        for pattern in (
            "^(a+)+$",
            "^(a*)*$",
            "^(a|a)*$",
            "^(.*a)*$",
            "^(a|aa)+$",
            "(x+x+)+y",
            "a?" * 60 + "a" * 60 + "$",
        ):
            self.assertFalse(matches(pattern, "a" * 50 + "b"), pattern)
            self.assertFalse(matches(pattern, "x" * 250), pattern)


class Form(NamedTuple):
    """An expression in the syntax of zrex and in that of Python."""

    zrex: str
    python: str


def _joined(forms: list[Form]) -> Form:
    return Form("".join(form.zrex for form in forms), "".join(form.python for form in forms))


def _alternatives(forms: list[Form]) -> Form:
    return Form("|".join(form.zrex for form in forms), "|".join(form.python for form in forms))


def _grouped(form: Form) -> Form:
    return Form(f"({form.zrex})", f"(?:{form.python})")


def _repeated(form: Form, quantifier: str) -> Form:
    return Form(form.zrex + quantifier, form.python + quantifier)


ATOMS = st.sampled_from(
    [
        *(Form(plain, plain) for plain in ("a", "b", "c", "-", ".", "[abc]", "[^a]", r"\.", r"\d", "[a-c]", r"[\d.]")),
        Form("{", r"\{"),
        Form(r"\a", "[A-Za-z]"),
        Form(r"\A", "[^A-Za-z]"),
        Form(r"\w", "[0-9A-Za-z]"),
        Form(r"\W", "[^0-9A-Za-z]"),
        Form(r"\s", r"[ \t-\r]"),
        Form(r"\x61", "a"),
        Form(r"\q", "q"),
        Form("[]", "(?!)"),
        Form("[^]", "."),
        Form("[ab-]", r"[ab\-]"),
        Form(r"[\x61-c]", "[abc]"),
    ]
)
ANCHORS = st.sampled_from([Form("^", r"\A"), Form("$", r"\Z")])


def _expressions(inner: st.SearchStrategy[Form]) -> st.SearchStrategy[Form]:
    group = inner.map(_grouped)
    repeated = st.builds(_repeated, ATOMS | group, st.sampled_from(["*", "+", "?", "*?", "+?"]))
    sequence = st.lists(ATOMS | ANCHORS | group | repeated, max_size=4).map(_joined)
    return st.lists(sequence, min_size=1, max_size=3).map(_alternatives)


EXPRESSIONS = st.recursive(ATOMS, _expressions, max_leaves=8)


class AnyPatternTests(SynchronousTestCase):
    """Random octets and random expressions."""

    @given(PATTERNS, SUBJECTS)
    def test_any_octets(self, pattern: bytes, subject: bytes) -> None:
        """Any octets are either a valid pattern, or an error of one line with a position."""
        try:
            compiled = compile_pattern(pattern)
        except PatternError as error:
            self.assertRegex(str(error), r"\Ain the pattern [^\n]+ at octet [1-9][0-9]* [^\n]+\Z")
        else:
            self.assertIn(compiled.matches(subject), (True, False))

    @given(EXPRESSIONS, SUBJECTS)
    def test_any_expression(self, expression: Form, subject: bytes) -> None:
        """An expression matches if and only if Python's backtracking matcher matches its Python form."""
        expected = re.search(expression.python.encode(), subject, re.DOTALL) is not None
        self.assertIs(matches(expression.zrex, subject), expected)

    @given(st.binary(max_size=60), SUBJECTS, SUBJECTS)
    def test_escaped(self, text: bytes, before: bytes, after: bytes) -> None:
        """Octets that are escaped as hex match themselves, anywhere in the subject."""
        pattern = b"".join(b"\\x%02x" % octet for octet in text)
        self.assertTrue(matches(pattern, before + text + after))
        self.assertIs(matches(b"^%b$" % pattern, before + text + after), not before + after)


# The syntax for which C and a full matcher agree: loops over single octets, groups whose branches begin with different
# octets and contain no loops, sets without ranges; no ?, no non-greedy quantifiers, no $ after an expression that can
# be empty. No loop can repeat an empty match, which would hang C.
C_ATOMS = st.sampled_from(
    ["a", "b", "c", ".", "[ab]", "[^ab]", "[c1.]", r"\.", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", "é"]
)
C_GROUPS = st.sampled_from(["(a)", "(ab)", "(a|b)", "(ab|c)", "(ab|b1|c)", "(a(b|c))"])
C_LOOPS = st.builds("{}{}".format, C_ATOMS, st.sampled_from(["*", "+"]))
C_SEQUENCES = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "", "^"]),
    st.lists(C_ATOMS | C_GROUPS | C_LOOPS, max_size=5).map("".join),
    C_ATOMS,
    st.sampled_from(["", "", "$"]),
)
C_SUBJECTS = st.text("abc1. é", min_size=1, max_size=10).map(str.encode)


class LibraryTests(SynchronousTestCase):
    """Comparison to the CZMQ library, if it is installed."""

    skip = czmq.MISSING

    def setUp(self) -> None:
        self.library = czmq.Library()
        self.addCleanup(self.library.close)

    @settings(deadline=None)
    @given(C_SEQUENCES, C_SUBJECTS)
    def test_any_sequence(self, pattern: str, subject: bytes) -> None:
        """Patterns in the common syntax give the same results as in C."""
        self.assertIs(matches(pattern, subject), self.library.matches(pattern.encode(), subject))

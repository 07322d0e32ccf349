"""Decisions by the access rules."""

from __future__ import annotations

import gc
import re
import weakref

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.access import ANONYMOUS, AccessRules, Level, Role, Rule, User, Verb, check_pattern
from alaska.broker.access import MOST_RECENT, MOST_REMEMBERED, Access, Permitted, UserRights
from alaska.errors import PatternError

NAMED = [verb for verb in Verb if verb is not Verb.ADMIN]


def allow(verb: Verb, name: str, subject: str | None = None) -> Rule:
    """Return a rule that allows something."""
    return Rule(verb, name, subject)


def deny(verb: Verb, name: str, subject: str | None = None) -> Rule:
    """Return a rule that denies something."""
    return Rule(verb, name, subject, is_denial=True)


def rights(*rules: Rule, name: str = "ann", roles: tuple[Role, ...] = ()) -> UserRights:
    """Return the rights of a user with these rules."""
    return UserRights(User(name, rules, roles))


class MatchingTests(SynchronousTestCase):
    """Which names a rule is about."""

    def test_whole(self) -> None:
        """A pattern matches the whole name, with and without anchors."""
        for pattern in ("log", "^log$", "lo[g]"):
            ann = rights(allow(Verb.WRITE, pattern))
            self.assertTrue(ann.may(Verb.WRITE, b"log"))
            for name in (b"log.a", b"alog", b"log\n", b"log\0", b"", b"LOG"):
                self.assertFalse(ann.may(Verb.WRITE, name), (pattern, name))

    def test_any_octet(self) -> None:
        """A denial of any name also denies names with line ends, NUL and octets that are not UTF-8."""
        ann = rights(allow(Verb.ASK, r"(?s).*"), deny(Verb.ASK, "admin.*", ".*"), deny(Verb.SEND, ".*"))
        for name in (b"admin\n", b"admin\nx", b"admin\0", b"admin\xff\xfe", "admin\u00e9".encode()):
            self.assertFalse(ann.may(Verb.ASK, name, b"\n\0\xff"), name)
            self.assertTrue(ann.may(Verb.ASK, b"x" + name))

    def test_user(self) -> None:
        """The user's name in a pattern stands for itself, whatever characters it has."""
        for name in ("ann", "a.n", ".*", "(", "[a-z]", "a|b", r"\Q", "a b", "\u00e9", "%u", "a\n"):
            ann = rights(allow(Verb.OPEN, "%u(/.*)?"), name=name)
            self.assertTrue(ann.may(Verb.OPEN, name.encode()), name)
            self.assertTrue(ann.may(Verb.OPEN, name.encode() + b"/x"), name)
            for other in (b"axn", b"b", b"a", b"annx", b"", b"xann"):
                self.assertFalse(ann.may(Verb.OPEN, other), (name, other))

    def test_user_as_a_whole(self) -> None:
        """A quantifier after the user's name repeats the whole name."""
        self.assertTrue(rights(allow(Verb.OPEN, "x(%u)?")).may(Verb.OPEN, b"x"))
        self.assertTrue(rights(allow(Verb.OPEN, "%u{2}")).may(Verb.OPEN, b"annann"))
        self.assertFalse(rights(allow(Verb.OPEN, "%u{2}")).may(Verb.OPEN, b"annn"))

    def test_not_valid(self) -> None:
        """A pattern that is not valid, or would join another one of the same user, or is too large, is refused."""
        large = "(.{500}|x){2}.{900}\\pL{900}"
        for pattern in ("a)|(b", "(", r"\Qa", "[", "(?<=a)b", r"(a)\1", "%u{1000}{1000}", large):
            with self.assertRaises(PatternError, msg=pattern):
                check_pattern(pattern)

    def test_large_rules(self) -> None:
        """Rules that do not fit into one expression are matched by several."""
        many = [allow(Verb.SEND, f"x{number}.{{60}}y") for number in range(1000)]
        ann = rights(*many)
        self.assertTrue(ann.may(Verb.SEND, b"x0" + bytes(60) + b"y"))
        self.assertTrue(ann.may(Verb.SEND, b"x999" + bytes(60) + b"y"))
        self.assertFalse(ann.may(Verb.SEND, b"x1000" + bytes(60) + b"y"))

    def test_subjects(self) -> None:
        """A rule with a subject allows, or denies, only requests with such a subject."""
        ann = rights(allow(Verb.ASK, "render", "pi|report"), allow(Verb.ASK, "all"), deny(Verb.ASK, ".*", "secret.*"))
        self.assertTrue(ann.may(Verb.ASK, b"render", b"pi"))
        self.assertFalse(ann.may(Verb.ASK, b"render", b"pix"))
        self.assertFalse(ann.may(Verb.ASK, b"render"))
        self.assertTrue(ann.may(Verb.ASK, b"all", b"anything"))
        self.assertFalse(ann.may(Verb.ASK, b"all", b"secrets"))

    def test_same_name_with_subjects(self) -> None:
        """Rules with the same name and different subjects allow each of them, beside patterns of the name."""
        ann = rights(allow(Verb.ASK, "a", "x"), allow(Verb.ASK, "a", "y."), allow(Verb.ASK, "a|b", "z"))
        found = {(name, subject) for name in (b"a", b"b") for subject in (b"x", b"y1", b"z", b"y", b"", b"xy1")
                 if ann.may(Verb.ASK, name, subject)}  # fmt: skip
        self.assertEqual(found, {(b"a", b"x"), (b"a", b"y1"), (b"a", b"z"), (b"b", b"z")})


class DecisionTests(SynchronousTestCase):
    """Denials, roles, users and the broker's own names."""

    def test_nothing(self) -> None:
        """What no rule allows is refused, and a user without rules may do nothing."""
        for verb in NAMED:
            self.assertFalse(rights(*(allow(other, ".*") for other in NAMED if other is not verb)).may(verb, b"x"))
            self.assertFalse(UserRights(None).may(verb, b"x"))
        self.assertIsNone(UserRights(None).level)

    def test_denials_first(self) -> None:
        """A denial goes before every rule that allows, whether of the user or of a role."""
        role = Role("r", (deny(Verb.SEND, "b"), allow(Verb.SEND, "a|b|c")))
        ann = rights(allow(Verb.SEND, "b"), deny(Verb.SEND, "c"), roles=(role,))
        self.assertEqual([ann.may(Verb.SEND, name) for name in (b"a", b"b", b"c")], [True, False, False])
        decision = ann.decide(Verb.SEND, b"b")
        self.assertEqual((decision.rule, decision.role), (role.rules[0], role))
        self.assertEqual(ann.decide(Verb.SEND, b"a"), (True, role.rules[1], role))
        self.assertEqual(ann.decide(Verb.SEND, b"d"), (False, None, None))

    def test_own_names(self) -> None:
        """The names of the broker's own streams and services are not covered by patterns, only by ``admin``."""
        ann = rights(*(allow(verb, ".*") for verb in NAMED))
        bob = rights(allow(Verb.ADMIN, "view"))
        for verb in NAMED:
            for name in (b"alaska.events", b"ALASKA.x"):
                self.assertFalse(ann.may(verb, name), (verb, name))
                self.assertEqual(bob.may(verb, name), verb in (Verb.READ, Verb.ASK), (verb, name))
        self.assertTrue(ann.may(Verb.READ, b"alaska"))

    def test_levels(self) -> None:
        """A level of ``admin`` includes the lower ones, and a denied level denies the higher ones."""
        self.assertEqual(rights(allow(Verb.ADMIN, "operate")).level, Level.OPERATE)
        ann = rights(allow(Verb.ADMIN, "all"), deny(Verb.ADMIN, "operate"))
        self.assertEqual(ann.level, Level.VIEW)
        levels = [ann.may(Verb.ADMIN, each) for each in (b"view", b"operate", b"all", b"")]
        self.assertEqual(levels, [True, False, False, False])
        self.assertIsNone(rights(allow(Verb.ADMIN, "all"), deny(Verb.ADMIN, "view")).level)

    def test_users(self) -> None:
        """Users without authentication have the rules of the user with that name, and others none."""
        access = Access(AccessRules((User(ANONYMOUS, (allow(Verb.ASK, "a"),)), User("ann", (allow(Verb.ASK, "b"),)))))
        self.assertTrue(access.rights_of(b"").may(Verb.ASK, b"a"))
        self.assertTrue(access.rights_of(b"ann").may(Verb.ASK, b"b"))
        self.assertFalse(access.rights_of(b"ann").may(Verb.ASK, b"a"))
        self.assertFalse(access.rights_of(b"eve").may(Verb.ASK, b"a"))
        ann = access.rights_of(b"ann")
        self.assertIs(ann, access.rights_of(b"ann"))

    def test_recent(self) -> None:
        """The rights of users without a session stay compiled, for as many users as asked last."""
        names = [f"u{number}" for number in range(MOST_RECENT + 1)]
        access = Access(AccessRules(tuple(User(name, (allow(Verb.ASK, "a.*"),)) for name in names)))
        kept = [weakref.ref(access.rights_of(name.encode())) for name in names]
        gc.collect()
        self.assertEqual([each() is None for each in kept], [True] + MOST_RECENT * [False])


class PermittedTests(SynchronousTestCase):
    """What a session remembers."""

    def test_same(self) -> None:
        """A remembered decision is the same as the first one."""
        ann = Permitted(rights(allow(Verb.ASK, "a"), allow(Verb.ASK, "b", "x"), allow(Verb.SEND, "m")))
        for _ in range(2):
            self.assertTrue(ann.may_ask(b"a", b"any"))
            self.assertTrue(ann.may_ask(b"b", b"x"))
            self.assertFalse(ann.may_ask(b"b", b"y"))
            self.assertTrue(ann.may_send(b"m"))
            self.assertFalse(ann.may_send(b"n"))

    def test_bounded(self) -> None:
        """A session remembers a limited number of names, whatever it sends."""
        ann = Permitted(rights(allow(Verb.ASK, ".*"), allow(Verb.SEND, ".*")))
        bob = Permitted(rights(allow(Verb.ASK, ".*", ".*")))
        for number in range(3 * MOST_REMEMBERED):
            self.assertTrue(ann.may_ask(b"%d" % number, b"") and ann.may_send(b"%d" % number))
            self.assertTrue(bob.may_ask(b"s", b"%d" % number))
        for known in (ann.services, ann.mailboxes, bob.requests):
            self.assertLessEqual(len(known), MOST_REMEMBERED)


PATTERNS = st.sampled_from(["a", "b", "ab", ".", ".*", "a.*", "[ab]", "(a|b)+", "%u", "%u.*", "^a$", "a|b", r"a\.b"])
NAMES = st.one_of(st.sampled_from([b"a", b"b", b"ab", b"a.b", b"u.", b"alaska.x", b""]), st.binary(max_size=4))
RULES = st.builds(Rule, st.sampled_from(NAMED), PATTERNS, st.one_of(st.none(), PATTERNS), st.booleans()).map(
    lambda rule: rule if rule.verb is Verb.ASK else Rule(rule.verb, rule.name, None, rule.is_denial)
)


def naive(user: User, verb: Verb, name: bytes, subject: bytes) -> bool:
    """Decide by a search of all rules with Python's own patterns."""
    if name.lower().startswith(b"alaska."):
        return False

    def is_about(rule: Rule) -> bool:
        pairs = [(rule.name, name)] + ([] if rule.subject is None else [(rule.subject, subject)])
        return rule.verb is verb and all(
            re.fullmatch(pattern.replace("%u", f"(?:{re.escape(user.name)})").encode(), octets, re.DOTALL)
            for pattern, octets in pairs
        )

    about = [rule for rule, _ in user.all_rules() if is_about(rule)]
    return bool(about) and not any(rule.is_denial for rule in about)


class ModelTests(SynchronousTestCase):
    """Comparison with a naive model."""

    @given(st.sampled_from(["u", "u.", "a"]), st.lists(RULES), st.lists(RULES), st.sampled_from(NAMED), NAMES, NAMES)
    def test_same(  # generated values
        self, name: str, own: list[Rule], shared: list[Rule], verb: Verb, asked: bytes, subject: bytes
    ) -> None:
        """All ways to decide agree with the model."""
        user = User(name, tuple(own), (Role("r", tuple(shared)),))
        found = UserRights(user)
        expected = naive(user, verb, asked, subject)
        self.assertEqual(found.may(verb, asked, subject), expected)
        self.assertEqual(found.decide(verb, asked, subject).is_allowed, expected)
        permitted = Permitted(found)
        for _ in range(2):
            if verb is Verb.ASK:
                self.assertEqual(permitted.may_ask(asked, subject), expected)
            elif verb is Verb.SEND:
                self.assertEqual(permitted.may_send(asked), expected)

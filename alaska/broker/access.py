"""Decisions by the access rules, without sessions, sockets or clocks (docs/access.md).

Denials go before everything else, and whatever no rule allows is refused. Names that begin with ``alaska.`` are the
broker's own: whoever may view with ``admin`` may read its streams and ask its services, which check each request
themselves; other verbs never allow them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

from alaska.access import (
    ANONYMOUS,
    AccessRules,
    Level,
    Role,
    Rule,
    User,
    Verb,
    compile_any,
    matches,
    octets_of,
)
from alaska.names import is_brokers_own

MOST_REMEMBERED = 64
"""The number of names, of each verb, that a session remembers as permitted."""
MOST_RECENT = 64
"""The number of users without a session whose rights stay compiled: those that were asked for last."""
_LITERAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-/:@")
_T = TypeVar("_T")


class Decision(NamedTuple):
    """Whether something is allowed, and the rule that decides, with the role that it comes from; None: no rule does."""

    is_allowed: bool
    rule: Rule | None = None
    role: Role | None = None


class _Names:
    """The rules of a user that allow, or deny, one verb: those without subjects are all matched at once.

    Those with subjects are grouped by their names, of which most are not patterns and need only a lookup.
    """

    __slots__ = ("_expressions", "_literals", "_of_literal", "_of_pattern", "has_subjects")

    def __init__(self, rules: Sequence[Rule], user: str) -> None:
        patterns = [octets_of(rule.name, user) for rule in rules if rule.subject is None]
        self._literals = frozenset(each for each in patterns if _LITERAL.issuperset(each))
        self._expressions = compile_any([each for each in patterns if each not in self._literals])
        subjects: dict[bytes, list[bytes]] = {}
        for rule in rules:
            if rule.subject is not None:
                subjects.setdefault(octets_of(rule.name, user), []).append(octets_of(rule.subject, user))
        self.has_subjects = bool(subjects)
        compiled = {name: compile_any(each) for name, each in subjects.items()}
        self._of_literal = {name: each for name, each in compiled.items() if _LITERAL.issuperset(name)}
        self._of_pattern = [
            (compile_any([name]), each) for name, each in compiled.items() if name not in self._of_literal
        ]

    def has(self, name: bytes, subject: bytes) -> bool:
        """Return whether one of the rules is about this name, and the subject."""
        if name in self._literals or matches(self._expressions, name):
            return True
        if not self.has_subjects:
            return False
        of_literal = self._of_literal.get(name)
        if of_literal is not None and matches(of_literal, subject):
            return True
        return any(matches(names, name) and matches(subjects, subject) for names, subjects in self._of_pattern)

    def has_all(self, name: bytes) -> bool:
        """Return whether one of the rules is about this name, whatever the subject."""
        return name in self._literals or matches(self._expressions, name)

    def has_any(self, name: bytes) -> bool:
        """Return whether one of the rules is about this name, perhaps for some subjects only."""
        if self.has_all(name) or name in self._of_literal:
            return True
        return any(matches(names, name) for names, _ in self._of_pattern)


class UserRights:
    """What one user may do; without ``user``, nothing."""

    def __init__(self, user: User | None) -> None:
        self._rules = [] if user is None else list(user.all_rules())
        self._name = "" if user is None else user.name
        self._denied = self._compile(is_denial=True)
        self._allowed = self._compile(is_denial=False)
        self.level = self._highest_level()
        self.depends_on_subject = any(
            rules[Verb.ASK].has_subjects for rules in (self._denied, self._allowed) if Verb.ASK in rules
        )
        """Whether ``ask`` is allowed or denied by the subject, for any service."""

    def _compile(self, *, is_denial: bool) -> dict[Verb, _Names]:
        rules: dict[Verb, list[Rule]] = {}
        for rule, _ in self._rules:
            if rule.is_denial is is_denial and rule.verb is not Verb.ADMIN:
                rules.setdefault(rule.verb, []).append(rule)
        return {verb: _Names(each, self._name) for verb, each in rules.items()}

    def _highest_level(self) -> Level | None:
        return next((level for level in reversed(Level) if self.decide_admin(level).is_allowed), None)

    def may(self, verb: Verb, name: bytes, subject: bytes = b"") -> bool:
        """Return whether the user may do this; the name of ``admin`` is a level.

        The time grows with the lengths of name and subject, and with the number of different patterns of names that
        rules have together with subjects.
        """
        if verb is Verb.ADMIN:
            level = _level(name)
            return level is not None and self.may_admin(level)
        if is_brokers_own(name):
            return verb in (Verb.READ, Verb.ASK) and self.may_admin(Level.VIEW)
        denied, allowed = self._denied.get(verb), self._allowed.get(verb)
        if allowed is None or (denied is not None and denied.has(name, subject)):
            return False
        return allowed.has(name, subject)

    def may_ask_all(self, service: bytes) -> bool:
        """Return whether the user may ask a service, other than the broker's own, whatever the subject."""
        denied, allowed = self._denied.get(Verb.ASK), self._allowed.get(Verb.ASK)
        if is_brokers_own(service) or allowed is None or not allowed.has_all(service):
            return False
        return denied is None or not denied.has_any(service)

    def may_admin(self, level: Level) -> bool:
        """Return whether the user may do what this level of ``admin`` allows."""
        return self.level is not None and self.level >= level

    def decide(self, verb: Verb, name: bytes, subject: bytes = b"") -> Decision:
        """Return the same as :meth:`may`, with the rule that decides; this takes longer, and matches each rule."""
        if verb is Verb.ADMIN:
            level = _level(name)
            return Decision(False) if level is None else self.decide_admin(level)
        if is_brokers_own(name):
            return self.decide_admin(Level.VIEW) if verb in (Verb.READ, Verb.ASK) else Decision(False)
        for is_denial in (True, False):
            for rule, role in self._rules:
                if rule.verb is verb and rule.is_denial is is_denial and _Names([rule], self._name).has(name, subject):
                    return Decision(not is_denial, rule, role)
        return Decision(False)

    def decide_admin(self, level: Level) -> Decision:
        """Return whether the user may do what a level of ``admin`` allows; to deny a level denies the higher ones."""
        rules = [each for each in self._rules if each[0].verb is Verb.ADMIN]
        for rule, role in rules:
            if rule.is_denial and rule.level <= level:
                return Decision(False, rule, role)
        for rule, role in rules:
            if not rule.is_denial and rule.level >= level:
                return Decision(True, rule, role)
        return Decision(False)


def _level(name: bytes) -> Level | None:
    return next((level for level in Level if level.name.lower().encode() == name), None)


class Permitted:
    """What one session has been permitted to ask, send and write: the same need not be decided again."""

    __slots__ = ("mailboxes", "requests", "rights", "services")

    def __init__(self, rights: UserRights) -> None:
        self.rights = rights
        self.services: set[bytes] = set()
        """Services that may be asked whatever the subject."""
        self.requests: set[tuple[bytes, bytes]] = set()
        """Services with a subject."""
        self.mailboxes: set[bytes] = set()

    def may_ask(self, service: bytes, subject: bytes) -> bool:
        """Return whether the user may ask a service, other than the broker's own."""
        if service in self.services or (service, subject) in self.requests:
            return True
        is_permitted = self.rights.may(Verb.ASK, service, subject)
        if is_permitted and self.rights.depends_on_subject:
            _remember(self.requests, (service, subject))
        elif is_permitted:
            _remember(self.services, service)
        return is_permitted

    def may_send(self, mailbox: bytes) -> bool:
        """Return whether a rule permits mail for a mailbox."""
        if mailbox in self.mailboxes:
            return True
        is_permitted = self.rights.may(Verb.SEND, mailbox)
        if is_permitted:
            _remember(self.mailboxes, mailbox)
        return is_permitted


def _remember(known: set[_T], new: _T) -> None:
    if len(known) >= MOST_REMEMBERED:
        known.clear()
    known.add(new)


class Access:
    """The rights of all users; those of a user are compiled when they are first asked for.

    They stay compiled while a session uses them, or they are among the last that were asked for.
    """

    def __init__(self, rules: AccessRules) -> None:
        self._users = {user.name.encode(): user for user in rules.users}
        self._nobody = UserRights(None)
        self._compiled: WeakValueDictionary[bytes, UserRights] = WeakValueDictionary()
        self._recent: dict[bytes, UserRights] = {}

    def rights_of(self, user: bytes) -> UserRights:
        """Return the rights of a user by its name, which is empty without authentication."""
        name = user or ANONYMOUS.encode()
        known = self._users.get(name)
        if known is None:
            return self._nobody
        rights = self._compiled.get(name)
        if rights is None:
            rights = self._compiled[name] = UserRights(known)
        self._recent.pop(name, None)
        self._recent[name] = rights
        if len(self._recent) > MOST_RECENT:
            del self._recent[next(iter(self._recent))]
        return rights

"""Read the access rules from the section ``mlm_server/access`` of the broker's settings (docs/access.md).

A rule that cannot be read is an error, not a warning: without it, the others would allow too much or too little.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final, TypeVar

from alaska.access import ANONYMOUS, AccessRules, Level, Role, Rule, User, Verb, check_pattern
from alaska.config import zpl
from alaska.errors import ConfigurationError, PatternError
from alaska.mlm.commands import MAX_STRING_OCTETS

PATH: Final = "mlm_server/access"
MOST_RULES: Final = 10_000
"""The maximum number of roles, users and rules together."""
MOST_FAULTS: Final = 50
"""The maximum number of faults that are reported at once."""
MOST_SUBJECT_RULES: Final = 100
"""The maximum number of rules with subjects of one user: each of them is matched for itself."""
_SECTIONS: Final = ("role", "user")
_DENY: Final = "deny"
_VERBS: Final = {verb.value: verb for verb in Verb}
_LEVELS: Final = {level.name.lower() for level in Level}
_MIN_SIMILARITY: Final = 0.6
_T = TypeVar("_T", Role, User)


class _Fault(Exception):
    """What is wrong with an item."""


def read_access(tree: zpl.Item) -> AccessRules | None:
    """Return the access rules of the settings of a broker, or None if they have no such section.

    :raises ConfigurationError: a rule is not valid, with one line for each such rule.
    """
    found = [(path, item) for path, item in _sections(tree) if item.name == "access"]
    if not found:
        return None
    (path, section), *others = found
    faults = [f"{other.where}: there is another access section, in line {section.line}" for _, other in others]
    if path != PATH:
        faults.append(f"{section.where}: the access section must be {PATH}, found {path}")
    return _Reader(faults).read(section)


def warnings_about(rules: AccessRules | None, has_login: bool) -> list[str]:
    """Return a sentence for each surprising consequence of the rules; ``has_login``: whether some clients log in."""
    if rules is None:
        return []
    if not rules.users:
        return [f"{PATH} names no user: nobody may do anything"]
    if not has_login and any(user.name != ANONYMOUS for user in rules.users):
        return [
            f"{PATH}: clients do not log in, so all of them are the user {ANONYMOUS}, and other users have no effect"
        ]
    return []


def _sections(tree: zpl.Item) -> Iterable[tuple[str, zpl.Item]]:
    """Yield the items of the two highest levels, with their paths: rules at a wrong place must not be ignored."""
    for item in tree.children:
        yield item.name, item
        yield from ((f"{item.name}/{child.name}", child) for child in item.children)


class _Reader:
    """Reads one section, and collects what is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        self._faults = faults
        self._roles: dict[str, Role] = {}
        self._users: dict[str, User] = {}
        self._lines: dict[tuple[str, str], int] = {}
        self._count = 0

    def read(self, section: zpl.Item) -> AccessRules:
        """Return the rules of the section."""
        if section.value:
            self._note(section, f"access is a section and has no value, found {zpl.shown(section.value)}")
        for item in section.children:
            if item.name not in (*_SECTIONS, zpl.UNREADABLE):
                self._note(item, f"expected role or user, found {zpl.shown(item.name)}{_hint(item.name, _SECTIONS)}")
        for item in section.all("role"):
            self._add(item, self._roles, Role(item.value or "", self._rules(item, [])))
        for item in section.all("user"):
            roles: list[Role] = []
            rules = self._rules(item, roles)
            self._add(item, self._users, User(item.value or "", rules, tuple(dict.fromkeys(roles))))
        if self._count > MOST_RULES:
            self._note(section, f"expected at most {MOST_RULES} roles, users and rules, found {self._count}")
        if self._faults:
            more = [f"and {len(self._faults) - MOST_FAULTS} more"] if len(self._faults) > MOST_FAULTS else []
            raise ConfigurationError("\n".join(self._faults[:MOST_FAULTS] + more))
        return AccessRules(tuple(self._users.values()))

    def _note(self, item: zpl.Item, fault: str) -> None:
        self._faults.append(f"{item.where}: {fault}")

    def _add(self, item: zpl.Item, known: dict[str, _T], new: _T) -> None:
        self._count += 1
        octets = len(new.name.encode())
        before = self._lines.setdefault((item.name, new.name), item.line)
        if not 1 <= octets <= MAX_STRING_OCTETS:
            self._note(item, f"the name of a {item.name} has 1 to {MAX_STRING_OCTETS} octets, found {octets}")
        elif before != item.line:
            self._note(item, f"the {item.name} {zpl.shown(new.name)} is given again, first in line {before}")
        else:
            known[new.name] = new
        if isinstance(new, User) and sum(rule.subject is not None for rule, _ in new.all_rules()) > MOST_SUBJECT_RULES:
            self._note(item, f"a user has at most {MOST_SUBJECT_RULES} rules with subjects, with those of its roles")

    def _rules(self, above: zpl.Item, roles: list[Role]) -> tuple[Rule, ...]:
        """Return the rules below a role or user, and append the roles of a user."""
        rules = []
        for item in above.children:
            if item.name == zpl.UNREADABLE:
                continue  # The parser has reported it, so these rules are not used.
            self._count += 1
            if self._count > MOST_RULES:
                break  # It is reported; nothing more is compiled.
            try:
                if item.children:
                    raise _Fault(f"{item.name} is a rule and has nothing below it, see line {item.children[0].line}")
                if item.name == "role" and above.name == "user":
                    roles.append(self._role(item.value or ""))
                elif item.name == _DENY:
                    rules.append(_denial(item))
                elif item.name in _VERBS:
                    rules.append(_rule(_VERBS[item.name], item.value or "", item.where))
                else:
                    names = [*_VERBS, _DENY, *(["role"] if above.name == "user" else [])]
                    expected = f"{', '.join(names[:-1])} or {names[-1]}"
                    raise _Fault(f"expected {expected}, found {zpl.shown(item.name)}{_hint(item.name, names)}")
            except _Fault as fault:
                self._note(item, str(fault))
        return tuple(rules)

    def _role(self, name: str) -> Role:
        role = self._roles.get(name)
        if role is None:
            raise _Fault(f"there is no role {zpl.shown(name)}{_hint(name, self._roles)}")
        return role


def _denial(item: zpl.Item) -> Rule:
    word, _, rest = (item.value or "").strip().partition(" ")
    if word not in _VERBS:
        raise _Fault(f"deny must begin with a verb, found {zpl.shown(word)}{_hint(word, _VERBS)}")
    return _rule(_VERBS[word], rest, item.where, is_denial=True)


def _rule(verb: Verb, value: str, where: str, *, is_denial: bool = False) -> Rule:
    name, subject = value.strip(), None
    if verb is Verb.ASK:
        name, _, rest = name.partition(" ")
        subject = rest.strip() or None
    if verb is Verb.ADMIN:
        if name not in _LEVELS:
            raise _Fault(f"admin must be view, operate or all, found {zpl.shown(name)}{_hint(name, _LEVELS)}")
    else:
        for pattern in (name, subject):
            if pattern is not None:
                _check(verb, pattern)
    return Rule(verb, name, subject, is_denial, where)


def _check(verb: Verb, pattern: str) -> None:
    octets = len(pattern.encode())
    if not 1 <= octets <= MAX_STRING_OCTETS:
        raise _Fault(f"the pattern of {verb.value} has 1 to {MAX_STRING_OCTETS} octets, found {octets}")
    try:
        check_pattern(pattern)
    except PatternError as error:
        raise _Fault(f"the pattern of {verb.value} is not valid, {error}: {zpl.shown(pattern)}") from None


def _hint(word: str, known: Iterable[str]) -> str:
    similar = difflib.get_close_matches(word.lower(), known, 1, _MIN_SIMILARITY)
    return f"; did you mean {similar[0]}?" if similar else ""

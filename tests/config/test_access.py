"""The access rules of the broker's settings."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.access import AccessRules, Role, Rule, User, Verb
from alaska.config import BrokerSettings, zpl
from alaska.config.access import MOST_FAULTS, MOST_RULES, MOST_SUBJECT_RULES
from alaska.config.in_force import in_force
from alaska.errors import ConfigurationError

EXAMPLE = r"""
mlm_server
    access
        user = "ann"
            role = "worker"
            role = "operator"
            open = "%u(/.*)?"
            ask = "render ^(pi|report)$"
            deny = "ask admin\..*"
            deny = "ask .* secret .*"
        role = "worker"
            offer = "render"
            write = "log\..*"
        role = "operator"
            admin = "operate"
        user = "anonymous"
"""


def read(text: str) -> BrokerSettings:
    """Return the settings of a text."""
    return BrokerSettings.from_tree(zpl.loads(text, "m.cfg"), {})


def section(*lines: str) -> str:
    """Return settings with these lines in the access section."""
    return "mlm_server\n    access\n" + "".join(f"        {line}\n" for line in lines)


class ReadingTests(SynchronousTestCase):
    """Rules that are valid."""

    def test_example(self) -> None:
        """Users have their own rules and those of their roles, wherever in the section these are."""
        worker = Role("worker", (Rule(Verb.OFFER, "render"), Rule(Verb.WRITE, r"log\..*")))
        operator = Role("operator", (Rule(Verb.ADMIN, "operate"),))
        rules = (
            Rule(Verb.OPEN, "%u(/.*)?"),
            Rule(Verb.ASK, "render", "^(pi|report)$"),
            Rule(Verb.ASK, r"admin\..*", None, is_denial=True),
            Rule(Verb.ASK, ".*", "secret .*", is_denial=True),
        )
        found = read(EXAMPLE).access
        assert found is not None
        self.assertEqual(found, AccessRules((User("ann", rules, (worker, operator)), User("anonymous"))))
        self.assertEqual(found.users[0].rules[2].where, "m.cfg:9")
        self.assertEqual(str(found.users[0].rules[2]), r'deny = "ask admin\..*"')
        self.assertEqual(str(found.users[0].rules[1]), 'ask = "render ^(pi|report)$"')

    def test_none(self) -> None:
        """Without the section there are no rules, and an empty one allows nothing."""
        self.assertIsNone(read("mlm_server\n").access)
        self.assertEqual(read(section()).access, AccessRules())

    def test_in_force(self) -> None:
        """The settings in force show the rules, and give the same rules when they are read."""
        shown = in_force(BrokerSettings, zpl.loads(EXAMPLE, "m.cfg"), {})
        self.assertEqual(read(shown).access, read(EXAMPLE).access)

    def test_no_warnings(self) -> None:
        """No name in the section is reported as unknown; an environment variable for it is."""
        self.assertEqual(BrokerSettings.file_warnings(zpl.loads(EXAMPLE, "m.cfg")), [])
        self.assertEqual(len(BrokerSettings.environment_warnings({"MALAMUTE_MLM_SERVER_ACCESS": "x"})), 1)

    def test_warnings(self) -> None:
        """There is a warning if nobody may do anything, and if users have rules but do not log in."""
        plain = '    security\n        mechanism = "plain"\n'
        self.assertIn("names no user", read(section()).warnings()[0])
        self.assertIn("do not log in", read(EXAMPLE).warnings()[0])
        self.assertNotIn("mlm_server/access", str(read(EXAMPLE + plain).warnings()))
        self.assertEqual(read(section('user = "anonymous"')).warnings(), [])
        self.assertEqual(read("").warnings(), [])

    def test_moved(self) -> None:
        """Rules that only have moved to other lines are the same."""
        self.assertEqual(read(EXAMPLE).differing(read("\n\n" + EXAMPLE)), [])


class FaultTests(SynchronousTestCase):
    """Rules that are not valid: each is an error with file and line."""

    def faults(self, text: str) -> list[str]:
        """Return the faults of a text."""
        return str(self.assertRaises(ConfigurationError, read, text)).split("\n")

    def test_each(self) -> None:
        """Each fault is reported, with the name that was probably meant."""
        names = "open, ask, send, offer, write, read, admin or deny"
        for lines, expected in (
            (('users = "a"',), "3: expected role or user, found 'users'; did you mean user?"),
            (('role = "r"', '    opne = "x"'), f"4: expected {names}, found 'opne'; did you mean open?"),
            (('user = "u"', '    denny = "x"'), "4: expected open, ask, send, offer, write, read, admin, deny or role, "
             "found 'denny'; did you mean deny?"),
            (('role = "work"', 'user = "u"', '    role = "wrk"'), "5: there is no role 'wrk'; did you mean work?"),
            (('role = "a"', '    role = "a"'), f"4: expected {names}, found 'role'"),
            (('user = "u"', '    deny = "sned x"'), "4: deny must begin with a verb, found 'sned'; did you mean send?"),
            (('user = "u"', '    deny = ""'), "4: deny must begin with a verb, found ''"),
            (('user = "u"', '    deny = "ask"'), "4: the pattern of ask has 1 to 255 octets, found 0"),
            (('user = "u"', '    admin = "oprate"'), "4: admin must be view, operate or all, found 'oprate'; "
             "did you mean operate?"),
            (('user = "u"', '    send = "a(b"'), "4: the pattern of send is not valid, missing ): 'a(b'"),
            (('user = "u"', f'    send = "{"x" * 256}"'), "4: the pattern of send has 1 to 255 octets, found 256"),
            (('user = "u"', '    send = "a"', '        send = "b"'), "4: send is a rule and has nothing below it, see "
             "line 5"),
            (('user = ""',), "3: the name of a user has 1 to 255 octets, found 0"),
            (('user = "u"', 'user = "u"'), "4: the user 'u' is given again, first in line 3"),
        ):  # fmt: skip
            self.assertEqual(self.faults(section(*lines)), [f"m.cfg:{expected}"])

    def test_all_at_once(self) -> None:
        """All faults are reported together, but not too many."""
        self.assertEqual(len(self.faults(section('user = "u"', '    x = ""', '    y = ""'))), 2)
        self.assertEqual(len(self.faults(section('user = "u"', *['    x = ""'] * 1000))), MOST_FAULTS + 1)

    def test_other_places(self) -> None:
        """Rules at a wrong place, or in a second section, are an error: ignored, they would allow everything."""
        self.assertEqual(
            self.faults("access\n"), ["m.cfg:1: the access section must be mlm_server/access, found access"]
        )
        self.assertEqual(len(self.faults("server\n    access\n")), 1)
        self.assertEqual(
            self.faults(section() + "    access\n"), ["m.cfg:3: there is another access section, in line 2"]
        )
        self.assertEqual(len(self.faults(section() + section())), 1)
        self.assertEqual(len(self.faults('mlm_server\n    access = "0"\n')), 1)

    def test_unreadable(self) -> None:
        """A line that is no item is reported once, by the parser, and no file with such a line is used."""
        text = section('user = "a"', "    read x", "role\0")
        tree, faults = zpl.parse(text, "m.cfg")
        self.assertEqual(len(faults), 2)
        BrokerSettings.from_tree(tree, {})
        self.assertRaises(ConfigurationError, read, text)

    def test_too_many(self) -> None:
        """The number of rules is limited, and that of rules with subjects for each user, with those of its roles."""
        most = ['user = "u"', *['    send = "x"'] * (MOST_RULES - 1)]
        self.assertIsNotNone(read(section(*most)).access)
        self.assertEqual(len(self.faults(section(*most, '    send = "x"'))), 1)
        role = ['role = "r"', *['    ask = "a b"'] * MOST_SUBJECT_RULES]
        self.assertIsNotNone(read(section(*role, 'user = "u"', '    role = "r"')).access)
        self.assertEqual(len(self.faults(section(*role, 'user = "u"', '    role = "r"', '    ask = "a b"'))), 1)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["", "    ", "        "]),
                st.sampled_from(["user", "role", "deny", "ask", "admin", "x"]),
                st.text(st.characters(codec="utf-8", exclude_characters='"\n\0'), max_size=8),
            ),
            max_size=8,
        )
    )
    def test_any_lines(self, lines: list[tuple[str, str, str]]) -> None:
        """Any section gives rules, or an error."""
        text = section(*(f'{indentation}{name} = "{value}"' for indentation, name, value in lines))
        with contextlib.suppress(ConfigurationError):
            self.assertIsNotNone(read(text).access)

"""The page about access rules and the code agree."""

from __future__ import annotations

import re

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.access import Verb
from alaska.broker.access_control import AccessControl
from alaska.broker.counters import Counters
from alaska.config import BrokerSettings, zpl
from alaska.config.access import MOST_RULES, MOST_SUBJECT_RULES
from alaska.mlm.commands import NAMES, ConnectionOpen
from tests import PROJECT
from tests.project.pages import blocks


def page() -> str:
    """Return the page."""
    path = PROJECT / "docs" / "access.md"
    if not path.exists():
        raise SkipTest("the documents are missing")
    return path.read_text(encoding="utf-8")


def example() -> str:
    """Return the settings file in the page."""
    (found,) = [block for block in blocks(page()) if (block.kind, block.name) == ("settings", "malamute.cfg")]
    return found.text


class AccessPageTests(SynchronousTestCase):
    """docs/access.md."""

    def test_example(self) -> None:
        """The example is a valid settings file in which every name is known."""
        tree = zpl.loads(example(), "malamute.cfg")
        self.assertEqual(BrokerSettings.file_warnings(tree), [])
        found = BrokerSettings.from_tree(tree, {}).access
        assert found is not None
        self.assertEqual([user.name for user in found.users], ["render", "ann", "bob", "results", "olga"])

    def test_verbs(self) -> None:
        """The table has every verb, and every command that a rule governs."""
        table = re.search(r"\| rule \| allows .*\n(?:\|.*\n)+", page())
        assert table is not None
        rows = [row.split(" | ") for row in table[0].splitlines()[2:]]
        self.assertEqual({re.findall("[a-z]+", row[0])[0] for row in rows}, {verb.value for verb in Verb} | {"deny"})
        governed = {*AccessControl(None, Counters(), ())._checks, ConnectionOpen}
        named = {name for row in rows for name in re.findall("[A-Z]+-[A-Z]+", row[2])}
        self.assertEqual(named, {NAMES[command] for command in governed})

    def test_limits(self) -> None:
        """The page says the limits."""
        self.assertIn(f"{MOST_RULES:_}".replace("_", " "), page())
        self.assertIn(f"{MOST_SUBJECT_RULES} rules with subjects", page())

"""The objects that commands print with ``--json``, and the page about them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands.objects import OBJECTS
from docs import json_page
from tests.commands.json_fits import check_fits
from tests.commands.test_commands import WITHOUT_JSON, all_commands


class ObjectTests(SynchronousTestCase):
    """The declared objects."""

    def test_each_command(self) -> None:
        """There are objects for each command that has --json."""
        self.assertEqual(set(OBJECTS), {name for name, _ in all_commands()} - WITHOUT_JSON)

    def test_page(self) -> None:
        """docs/json.md has the tables that are made from the types (python docs/json_page.py)."""
        text = json_page.PAGE.read_text(encoding="utf-8")
        self.assertEqual(text, json_page.page(text))

    def test_misfits(self) -> None:
        """A member that is missing, added or of another type is found; each test of a command looks for them."""
        check_fits(["new", "--json"], '{"script": "a", "test": "b"}')
        for line in ('{"script": "a"}', '{"script": "a", "test": "b", "more": 1}', '{"script": "a", "test": 1}'):
            self.assertRaises(AssertionError, check_fits, ["new", "--json"], line)

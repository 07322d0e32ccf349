"""ZPL, compared with recordings of CZMQ, with the CZMQ library and with generated texts."""

from __future__ import annotations

import contextlib
import os
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from alaska.config.zpl import ROOT, Item, dumps, load, loads
from alaska.errors import ConfigurationError
from tests.config import czmq
from tests.recorded import load as vectors

NAME_CHARACTERS = "abcXYZ019$-_@.&+"
NAMES = st.text(NAME_CHARACTERS, min_size=1, max_size=5)
# Values that zconfig can save and load again: it writes them in double quotes without escapes.
VALUES = st.text(st.characters(codec="utf-8", exclude_characters='"\n\0'), max_size=12)
COMMENTS = st.lists(VALUES.map(str.rstrip), max_size=3).map(tuple)
LEAVES = st.builds(Item, NAMES, st.one_of(st.none(), VALUES))


def _section(children: st.SearchStrategy[Item]) -> st.SearchStrategy[Item]:
    return st.builds(Item, NAMES, st.one_of(st.none(), VALUES), st.lists(children, max_size=4).map(tuple))


ITEMS = st.recursive(LEAVES, _section, max_leaves=12)
TREES = st.builds(Item, st.just(ROOT), st.none(), st.lists(ITEMS, max_size=4).map(tuple), COMMENTS)

# Texts of significant characters: in any order, and in lines most of which are valid.
LINES = ("\n", "\n", "\n", "\n    ", "\n        ", " ", "    ")
WORDS = ("a", "b", "a/b", "/", "$", "=", " = ", "#", "'", '"', "x y", "é", "%s", "\\", ":", "-")
BLANKS = ("\t", "\v", "\f", "\r", "\x1c", "\x85")
PIECES = st.lists(st.sampled_from(LINES + WORDS + BLANKS), max_size=14).map("".join)
INDENTS = st.sampled_from(("", "", "", "    ", "    ", "        ", "#"))
ENDS = (
    "",
    " = 1",
    "=x y",
    " =\t'q # '",
    '\v= "d" # c',
    " # c",
    "#c",
    " = #x # y",
    "= x#",
    " =#",
    " = x=''",
    "='",
    " x",
)
LINE = st.builds("{}{}{}\n".format, INDENTS, NAMES, st.sampled_from(ENDS))
TEXTS = st.one_of(PIECES, st.lists(LINE, max_size=5).map("".join))


def as_list(item: Item) -> list[Any]:
    """Return a tree in the form of the test vectors."""
    return [item.name, item.value, [as_list(child) for child in item.children]]


def as_item(tree: list[Any]) -> Item:
    """Return the tree of a test vector; zconfig saves an item without a name as (Unnamed)."""
    name, value, children = tree
    return Item("(Unnamed)" if name is None else name, value, tuple(as_item(child) for child in children))


def loaded(item: Item) -> Item:
    """Return a tree as it is after saving and loading: each item below the root has a value."""
    children = tuple(loaded(child) for child in item.children)
    return Item(item.name, item.value or "", children)


def in_latin_1(tree: list[Any]) -> list[Any]:
    """Decode the strings of a tree from the library, which have one character for each octet, as UTF-8."""
    name, value, children = tree
    text = None if value is None else value.encode("latin-1").decode()
    return [name, text, [in_latin_1(child) for child in children]]


def as_latin_1(tree: list[Any]) -> list[Any]:
    """Encode the strings of a tree for the library, with one character for each octet of UTF-8."""
    name, value, children = tree
    text = None if value is None else value.encode().decode("latin-1")
    return [name, text, [as_latin_1(child) for child in children]]


class RecordedTests(SynchronousTestCase):
    """Recordings of CZMQ."""

    def test_loads_as_c(self) -> None:
        """Each recorded text gives the recorded tree and comments."""
        for case in vectors("zpl.json")["load"]:
            if case["tree"] is not None:
                tree = loads(case["text"], "a.cfg")
                self.assertEqual(as_list(tree), case["tree"], case["case"])
                self.assertEqual(list(tree.comments), case["comments"], case["case"])

    def test_saves_as_c(self) -> None:
        """Each recorded text, loaded and saved, gives the same text as in C."""
        for case in vectors("zpl.json")["load"]:
            if case["tree"] is not None:
                self.assertEqual(dumps(loads(case["text"].encode(), "a.cfg")), case["saved"], case["case"])

    def test_refuses_what_c_refuses(self) -> None:
        """Each text that C refuses is refused with an error that names source and line."""
        for case in vectors("zpl.json")["load"]:
            if case["tree"] is None:
                error = self.assertRaises(ConfigurationError, loads, case["text"], "a.cfg")
                self.assertTrue(str(error).startswith(f"a.cfg:{case['error']['line']}: "), (case["case"], str(error)))

    def test_finds_as_c(self) -> None:
        """Each recorded lookup gives the recorded value."""
        for case in vectors("zpl.json")["get"]:
            found = loads(case["text"], "a.cfg").get(case["path"], case["default"])
            self.assertEqual(found, case["value"], case["case"])

    def test_builds_as_c(self) -> None:
        """Each recorded tree without comments is saved as in C."""
        for case in vectors("zpl.json")["save"]:
            if "comment" not in case["case"]:
                self.assertEqual(dumps(as_item(case["tree"])), case["saved"], case["case"])

    def test_reloads_as_c(self) -> None:
        """Each text that C saved gives the same tree as in C, or is refused as in C."""
        for case in vectors("zpl.json")["save"]:
            if case["reloaded"] is None:
                self.assertRaises(ConfigurationError, loads, case["saved"], "a.cfg")
            else:
                self.assertEqual(as_list(loads(case["saved"], "a.cfg")), case["reloaded"], case["case"])

    def test_comments_are_written_above_their_item(self) -> None:
        """Comments of an item at any level are saved in column one and followed by an empty line, as in C."""
        a, b, c = Item("a", "1"), Item("b", "2"), Item("c", "2")
        trees = {
            "two comments on the root": Item(ROOT, None, (a,), (" one", "two")),
            "comment on an item": Item(ROOT, None, (Item("a", "1", (), (" about a",)), b)),
            "comment on a nested item: not indented": Item(
                ROOT, None, (Item("a", None, (Item("b", "1", (), (" deep",)), c)),)
            ),
            "empty comment": Item(ROOT, None, (a,), ("",)),
        }
        saved = {case["case"]: case["saved"] for case in vectors("zpl.json")["save"] if "comment" in case["case"]}
        self.assertEqual({case: dumps(tree) for case, tree in trees.items()}, saved)


class SentenceTests(SynchronousTestCase):
    """Errors about bad lines."""

    def refused(self, text: str | bytes) -> str:
        """Return the error about a text that is refused."""
        return str(self.assertRaises(ConfigurationError, loads, text, "alaska.cfg"))

    def test_sentences(self) -> None:
        """Each kind of error has its own sentence, which names what was expected and what was found."""
        for text, sentence in {
            "a\n\n   b": "alaska.cfg:3: indentation must be a multiple of 4 spaces, found 3",
            "a\n\tb": "alaska.cfg:2: indentation must be 4 spaces for each level, found a tab",
            "    a": "alaska.cfg:1: a must be indented by at most 0 spaces here, found 4",
            "a\n    b\n            c": "alaska.cfg:3: c must be indented by at most 8 spaces here, found 12",
            "= 1": "alaska.cfg:1: expected a name, found '= 1'",
            "\ufeffa": "alaska.cfg:1: expected a name, found a byte order mark: save the file without it",
            "a/ = 1": "alaska.cfg:1: a name must neither begin nor end with /, found 'a/'",
            "a b": "alaska.cfg:1: expected = after the name a, found 'b'",
            "a = 'x": "alaska.cfg:1: the value of a must end with ', found \"'x\"",
            "a = 'x' y": "alaska.cfg:1: expected nothing but a comment after the quoted value of a, found 'y'",
        }.items():
            self.assertEqual(self.refused(text), sentence)

    def test_long_lines_are_cut(self) -> None:
        """An error quotes at most 40 characters of a line."""
        self.assertEqual(
            self.refused(f"a {'b' * 99}"), f"alaska.cfg:1: expected = after the name a, found '{'b' * 40}…'"
        )

    def test_nul(self) -> None:
        """A NUL octet is refused; C would cut the line."""
        self.assertEqual(self.refused(b"a = 1\nb = x\0y\n"), "alaska.cfg:2: expected text, found a NUL octet")

    def test_no_utf_8(self) -> None:
        """An octet that is not UTF-8 is refused, also in a comment."""
        self.assertEqual(self.refused(b"a = 1\n# \xe9\n"), "alaska.cfg:2: expected UTF-8 text, found the octet 0xe9")

    def test_lone_surrogate(self) -> None:
        """A string with a lone surrogate is refused."""
        self.assertEqual(self.refused("a = \udce9\n"), "alaska.cfg:1: expected UTF-8 text, found the octet 0xed")


class ItemTests(SynchronousTestCase):
    """Trees."""

    def test_source_and_line(self) -> None:
        """A loaded item has its source and line, the root only its source."""
        tree = loads("# c\n\na\n    b = 1\n", "alaska.cfg")
        found = tree.find("a/b")
        assert found is not None
        self.assertEqual((tree.where, found.where), ("alaska.cfg", "alaska.cfg:4"))

    def test_all_of_a_name(self) -> None:
        """All children with a name are returned, in order."""
        tree = loads("bind = 1\nx = 2\nbind = 3\n", "a.cfg")
        self.assertEqual([item.value for item in tree.all("bind")], ["1", "3"])

    def test_put(self) -> None:
        """Putting a value creates missing sections and does not change the original tree."""
        empty = Item(ROOT, source="a.cfg")
        tree = empty.put("a/b", "1").put("/a/c/d", "2").put("e", "3").put("a/b", "4")
        self.assertEqual(dumps(tree), 'a\n    b = "4"\n    c\n        d = "2"\ne = "3"\n')
        self.assertEqual(empty.children, ())
        self.assertEqual({item.where for item in tree.children}, {"a.cfg"})

    def test_put_keeps_what_is_below(self) -> None:
        """Putting a value on a section keeps its children."""
        self.assertEqual(dumps(Item(ROOT).put("a/b", "1").put("a", "2")), 'a = "2"\n    b = "1"\n')

    def test_deep_trees(self) -> None:
        """A text that is nested deeper than Python's recursion limit is loaded and saved."""
        depth = 3000
        text = "".join(f'{" " * 4 * level}a = "{level}"\n' for level in range(depth))
        self.assertEqual(dumps(loads(text, "a.cfg")), text)


class FileTests(SynchronousTestCase):
    """Files."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_file(self) -> None:
        """A file is loaded, and its path is the source of its items."""
        self.path.write_text("a = č\n", encoding="utf-8")
        self.assertEqual(load(self.path), loads("a = č\n", "x"))
        self.assertEqual(load(str(self.path)).children[0].where, f"{self.path}:1")

    def test_missing(self) -> None:
        """A missing file raises another error than a bad file."""
        self.assertRaises(FileNotFoundError, load, self.path)

    def test_directory(self) -> None:
        """A directory is refused with an error message."""
        self.path.mkdir()
        error = self.assertRaises(ConfigurationError, load, self.path)
        self.assertEqual(str(error), f"{self.path}: cannot be read: Is a directory")


class AnyTextTests(SynchronousTestCase):
    """Any tree that C can save, and any text."""

    @given(TREES)
    def test_round_trip(self, tree: Item) -> None:
        """A saved tree loads as the same tree with its comments, except that each section has a value."""
        expected = Item(ROOT, None, tuple(loaded(child) for child in tree.children), tree.comments)
        self.assertEqual(loads(dumps(tree), "a.cfg"), expected)

    @given(st.one_of(st.text(), TEXTS, st.binary(), TREES.map(lambda tree: dumps(tree)[1:])))
    def test_any_text(self, text: str | bytes) -> None:
        """Any text gives a tree or an error of one line."""
        try:
            tree = loads(text, "a.cfg")
        except ConfigurationError as error:
            self.assertRegex(str(error), r"\A(a\.cfg:[1-9][0-9]*: [^\n]+(\n|\Z))+\Z")
            self.assertFalse([mark for mark in str(error).replace("\n", "") if unicodedata.category(mark) == "Cc"])
        else:
            dumps(tree)

    @given(st.one_of(st.text(), TEXTS))
    def test_octets_and_characters(self, text: str) -> None:
        """A string and its UTF-8 octets give the same tree or the same error."""
        outcomes: list[Item | str] = []
        for form in (text, text.encode()):
            try:
                outcomes.append(loads(form, "a.cfg"))
            except ConfigurationError as error:
                outcomes.append(str(error))
        self.assertEqual(*outcomes)

    @given(TREES, NAMES, NAMES, VALUES)
    def test_put_then_get(self, tree: Item, section: str, name: str, value: str) -> None:
        """A value that was put is found at its path and nowhere else."""
        path = f"{section}/{name}"
        before = {other: tree.get(other) for other in ("a", "a/b", "b/a") if other not in (path, section)}
        after = tree.put(path, value)
        self.assertEqual(after.get(path), value)
        self.assertEqual({other: after.get(other) for other in before}, before)


class LibraryTests(SynchronousTestCase):
    """The CZMQ library, if it is installed."""

    skip = czmq.MISSING

    def setUp(self) -> None:
        self.library = czmq.Library()
        self.addCleanup(self.library.close)

    @settings(deadline=None)
    @given(TEXTS)
    def test_any_text(self, text: str) -> None:
        """Any text is loaded and saved as by zconfig, or refused as by zconfig."""
        answer = self.library.load(text.encode())
        if answer is None:
            self.assertRaises(ConfigurationError, loads, text, "a.cfg")
        else:
            tree = loads(text, "a.cfg")
            self.assertEqual(as_list(tree), in_latin_1(answer[0]))
            self.assertEqual(dumps(tree).encode(), answer[1])

    @settings(deadline=None)
    @given(TREES)
    def test_any_tree(self, tree: Item) -> None:
        """Any tree is saved as by zconfig."""
        bare = replace(tree, comments=())
        self.assertEqual(dumps(bare).encode(), self.library.save(as_latin_1(as_list(bare))))

    @settings(deadline=None)
    @given(TEXTS, st.lists(st.sampled_from(["a", "b", "$", "-", ""]), min_size=1, max_size=3).map("/".join))
    def test_any_path(self, text: str, path: str) -> None:
        """Any path gives the same value as in zconfig."""
        with contextlib.suppress(ConfigurationError):
            found = loads(text, "a.cfg").get(path, "none")
            theirs = self.library.get(text.encode(), path.encode(), b"none")
            self.assertEqual(found, None if theirs is None else theirs.encode("latin-1").decode())

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=3).map("/".join), NAMES), max_size=6))
    def test_any_puts(self, items: list[tuple[str, str]]) -> None:
        """Putting values one by one gives the same tree as in zconfig."""
        tree = Item(ROOT)
        for path, value in items:
            tree = tree.put(path, value)
        self.assertEqual(dumps(tree).encode(), self.library.put([(os.fsencode(k), os.fsencode(v)) for k, v in items]))
